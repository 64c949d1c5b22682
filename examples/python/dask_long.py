"""Attention over a long sequence by a cluster of processes: the same numbers as one process has, and what moved between the workers.

The processes are all of this machine, which is enough to try it. On a cluster of machines only the client's address is another. Queries,
keys and values are made where they are needed and stay there, and so does the result, until this program compares it.

usage: dask_long.py [--tokens 16384] [--heads 4] [--rows 2048] [--workers 1 2] [--repeat 3]
"""

import argparse
import time

import dask
import dask.array as da
import distributed
import numpy as np
import subquad.dask

DIMENSION = 64


def inputs(tokens, heads, rows):
    """q, k and v [heads, tokens, DIMENSION], in chunks of one head and so many rows."""
    chunks = (1, rows, DIMENSION)
    seeds = (np.random.default_rng(seed) for seed in range(3))
    return [
        da.random.default_rng(seed).standard_normal((heads, tokens, DIMENSION), chunks=chunks, dtype="float32") for seed in seeds
    ]


class Times:
    """The least seconds on the clock and on processors, of several runs."""

    def __init__(self):
        self.clock = self.processors = float("inf")

    def add(self, clock, processors):
        self.clock, self.processors = min(self.clock, clock), min(self.processors, processors)

    def __str__(self):
        return f"{self.clock:7.2f} s, {self.processors:7.2f} s of processors"


def alone(repeat, *arrays):
    """The result of one process with one thread, and its times."""
    times = Times()
    for _ in range(repeat):
        began, worked = time.perf_counter(), time.process_time()
        o = subquad.attention(*arrays, causal=True, threads=1)
        times.add(time.perf_counter() - began, time.process_time() - worked)
    return o, times


def received(dask_worker):
    """Bytes that this worker has had from others."""
    return sum(transfer["total"] for transfer in dask_worker.transfer_incoming_log)


def on_cluster(workers, arrays, repeat):
    """The result, its times, and the bytes that moved each time."""
    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        kept = dask.persist(*arrays)
        distributed.wait(kept)

        def total(function):
            return sum(client.run(function).values())

        times, before = Times(), total(received)
        for number in range(repeat):
            o = None
            began, worked = time.perf_counter(), total(time.process_time)
            # The seed matters to no exact result, but to its name, by which the one before would be found.
            o = subquad.dask.attention(*kept, causal=True, seed=number).persist()
            distributed.wait(o)
            times.add(time.perf_counter() - began, total(time.process_time) - worked)
        return o.compute(), times, (total(received) - before) / repeat


def at_most(tokens, heads, rows, workers):
    """The bound of docs/scaling.md on the bytes that move: queries, keys, values and part of every pair of chunks."""
    blocks = -(-tokens // rows)
    pairs = heads * blocks * (blocks + 1) // 2
    return 0 if workers == 1 else pairs * rows * 4 * (4 * DIMENSION + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=16384)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    settings = parser.parse_args()

    arrays = inputs(settings.tokens, settings.heads, settings.rows)
    expected, times = alone(settings.repeat, *dask.compute(*arrays))
    operations = 2 * settings.heads * settings.tokens * (settings.tokens + 1) * DIMENSION
    print(
        f"{settings.heads} heads of {settings.tokens} tokens, causal, d = {DIMENSION}, float32, in chunks of {settings.rows} rows"
    )
    print(f"one process, one thread     {times}: {operations / times.processors / 1e9:.0f} Gflop/s")
    for workers in settings.workers:
        o, times, moved = on_cluster(workers, arrays, settings.repeat)
        difference = np.abs(o - expected).max()
        bound = at_most(settings.tokens, settings.heads, settings.rows, workers)
        print(f"workers of one thread: {workers:<4} {times}; difference at most {difference:.1e}; ", end="")
        print(f"moved {moved / 1e6:.0f} MB (bound {bound / 1e6:.0f})")


if __name__ == "__main__":
    main()
