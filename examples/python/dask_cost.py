"""How long attention takes on a cluster, by the cost model of docs/scaling.md: on paper, and with the chunks that make it shortest.

usage: dask_cost.py [--tokens 131072 1048576] [--heads 32] [--shared 4] [--dimension 128] [--rate 70] [--link 1.25] [--threads 16]
                    [--task 2] [--measure]
"""

import argparse
import itertools
import math
import time
from typing import NamedTuple

import numpy as np
import subquad

WORKERS = (1, 3, 10, 30, 100, 300, 1000)
BYTES = 4  # of a float32


class Problem(NamedTuple):
    """Causal attention: q and v's rows have `dimension` numbers; `shared` query heads read one key/value head."""

    tokens: int
    heads: int
    shared: int
    dimension: int

    @property
    def operations(self):
        return 2 * self.heads * self.tokens * (self.tokens + 1) * self.dimension

    @property
    def data(self):
        """Bytes of q, k, v and o."""
        return BYTES * self.tokens * self.dimension * self.heads * (2 + 2 / self.shared)


class Cluster(NamedTuple):
    rate: float  # operations per second of a worker, which is one thread
    link: float  # bytes per second that a worker receives
    task: float  # seconds of the scheduler for each task


class Estimate(NamedTuple):
    seconds: float
    rows: int
    heads: int
    tasks: int
    moved: float  # bytes that each worker receives


def estimate(problem, cluster, workers, rows, heads):
    """With chunks of so many rows, of queries and of keys, and so many query heads."""
    blocks, groups = math.ceil(problem.tokens / rows), problem.heads // heads
    pairs = groups * blocks * (blocks + 1) // 2
    shared = min(heads, problem.shared)
    part = BYTES * rows * heads * (problem.dimension * (2 + 2 / shared) + 1)  # queries, keys, values, and what comes out
    rounds = math.ceil(pairs / workers)
    moved = rounds * part * (1 - 1 / workers)
    tasks = math.ceil(pairs * 4 / 3) + groups * blocks * 4
    halves = groups * blocks**2  # a pair on the diagonal is half hidden
    busiest = max(min(blocks, 2), math.ceil(halves / workers))
    computing = problem.operations / cluster.rate * busiest / halves
    return Estimate(max(computing + moved / cluster.link, tasks * cluster.task), rows, heads, tasks, moved)


def shortest(problem, cluster, workers):
    """Over chunks of at most 64 MiB of queries, whose rows and heads are powers of two; of those within 2 %, the fewest tasks."""
    rows = [2**p for p in range(8, problem.tokens.bit_length())]
    heads = [
        h for h in range(1, problem.heads + 1) if problem.heads % h == 0 and (h % problem.shared == 0 or problem.shared % h == 0)
    ]
    fit = [(r, h) for r, h in itertools.product(rows, heads) if BYTES * r * h * problem.dimension <= 64 << 20]
    found = [estimate(problem, cluster, workers, *chunk) for chunk in fit]
    least = min(found).seconds
    return min((one for one in found if one.seconds <= 1.02 * least), key=lambda one: one.tasks)


def table(problem, cluster):
    alone = problem.operations / cluster.rate
    print(f"{problem.tokens} tokens, {problem.data / 1e9:.1f} GB of q, k, v and o; one thread alone: {alone:.0f} s")
    print("| workers | seconds | of ideal | chunk: rows x heads | tasks | received by each |")
    print("|---|---|---|---|---|---|")
    for workers in WORKERS:
        one = shortest(problem, cluster, workers)
        share, seconds = alone / workers / one.seconds, float(f"{one.seconds:.3g}")
        print(f"| {workers} | {seconds:g} | {share:.0%} | {one.rows} x {one.heads} | {one.tasks} | {one.moved / 1e9:.2g} GB |")
    print()


def least_tokens(problem, cluster, workers):
    """The least power of two of tokens from which half of the ideal speed is reached."""
    for power in range(10, 31):
        longer = problem._replace(tokens=2**power)
        if longer.operations / cluster.rate / workers >= shortest(longer, cluster, workers).seconds / 2:
            return 2**power
    return None


def measured_rate(dimension):
    """Operations per second of one thread."""
    q, k, v = (np.random.default_rng(seed).standard_normal((4096, dimension), dtype=np.float32) for seed in range(3))
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        subquad.attention(q, k, v, threads=1)
        seconds.append(time.perf_counter() - began)
    return 4 * 4096**2 * dimension / min(seconds)


def measured_task():
    """Seconds of a task that does next to nothing, of many that depend on two others each, on two workers."""
    import distributed

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        few = client.map(abs, range(64), pure=False)
        distributed.wait(few)
        pairs = list(itertools.product(few, few))
        began = time.perf_counter()
        distributed.wait(client.map(max, *zip(*pairs, strict=True), pure=False))
        return (time.perf_counter() - began) / len(pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[131072, 1048576])
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--shared", type=int, default=4, help="query heads to a key/value head")
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--rate", type=float, default=70, help="Gflop/s of a worker, one thread")
    parser.add_argument("--link", type=float, default=1.25, help="GB/s into a machine")
    parser.add_argument("--threads", type=int, default=16, help="workers of a machine, which share its link")
    parser.add_argument("--task", type=float, default=2.0, help="milliseconds of the scheduler for a task")
    parser.add_argument("--measure", action="store_true", help="measure rate and task on this machine first")
    settings = parser.parse_args()

    rate, task = settings.rate * 1e9, settings.task * 1e-3
    if settings.measure:
        rate, task = measured_rate(settings.dimension), measured_task()
    cluster = Cluster(rate, settings.link * 1e9 / settings.threads, task)
    print(f"{rate / 1e9:.0f} Gflop/s a worker, {cluster.link / 1e6:.0f} MB/s into it, {1e3 * task:.2g} ms a task")
    print(f"causal, {settings.heads} heads in groups of {settings.shared}, d = {settings.dimension}, float32\n")
    for tokens in settings.tokens:
        table(Problem(tokens, settings.heads, settings.shared, settings.dimension), cluster)
    print("half of the ideal speed or more:")
    for workers in WORKERS[1:]:
        least = least_tokens(Problem(0, settings.heads, settings.shared, settings.dimension), cluster, workers)
        print(f"| {workers} workers | from {least} tokens |")


if __name__ == "__main__":
    main()
