"""subquad.dask on a cluster of processes, each with less memory than the data take, and one of which is lost."""

import math
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import subquad
from dask_reference import FAN_IN, assert_within, dask, distributed, here, long_roundoff, made

import budgets
import sparsify_budgets

WORKERS, THREADS = 3, 2
MEMORY = 192 << 20  # bytes of each worker, of which a bare one takes about 90 MiB


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": WORKERS, "threads_per_worker": THREADS, "processes": True, "memory_limit": MEMORY}
    with (
        distributed.LocalCluster(**options, dashboard_address=":0") as cluster,
        distributed.Client(cluster, set_as_default=True) as client,
    ):
        yield client


def processes(client):
    """The process of each worker."""
    return client.run(os.getpid)


def os_threads():
    return len(list(Path("/proc/self/task").iterdir()))


def compare(computed, q, k, v, **settings):
    """o and lse are those of one process, which has all arrays."""
    arrays = [here(x) for x in (q, k, v)]
    expected = subquad.attention(*arrays, return_lse=True, **settings)
    roundoff = long_roundoff(*arrays, parts=k.numblocks[-2])
    for name, result, one in zip(("o", "lse"), computed, expected, strict=True):
        assert_within(result, one, roundoff[name], name)


def test_keys_and_values_that_fit_nowhere(client):
    """640 MiB, in workers of 576 MiB together. None of them was restarted for want of memory."""
    before = processes(client)
    n_k, d = 5 << 18, 64
    q, k, v = made((50, d), (50, d), 0), made((n_k, d), (20_011, d), 1), made((n_k, d), (20_011, d), 2)
    assert k.nbytes + v.nbytes > WORKERS * MEMORY
    o, lse = subquad.dask.attention(q, k, v, return_lse=True)
    compare(dask.compute(o, lse), q, k, v)
    assert processes(client) == before


def test_batch_heads_queries_and_keys(client):
    """Grouped heads, causal: all dimensions in chunks, of sizes that do not divide."""
    q = made((2, 4, 1009, 16), (1, 3, 300, 16), 3)
    k, v = (made((2, 2, 1501, 16), (1, 1, 400, 16), seed) for seed in (4, 5))
    o, lse = subquad.dask.attention(q, k, v, causal=True, causal_offset=492, return_lse=True)
    compare(dask.compute(o, lse), q, k, v, causal=True, causal_offset=492)


def test_a_task_keeps_one_processor_busy(client):
    """A worker runs as many tasks as it has threads, and no library starts more; but on request it does."""
    q, k, v = (made((4, 1024, 32), (1, 256, 32), seed) for seed in (9, 10, 11))
    o = subquad.dask.attention(q, k, v)
    client.run(warm_up)
    distributed.wait(client.compute(o))
    before = client.run(os_threads)
    o = subquad.dask.attention(q, k, v, scale=0.5)
    distributed.wait(client.compute(o))
    assert client.run(os_threads) == before
    o = subquad.dask.attention(q, k, v, scale=0.25, threads=3)
    distributed.wait(client.compute(o))
    after = client.run(os_threads)
    assert sum(after.values()) > sum(before.values())


def warm_up(dask_worker):
    """All threads of the worker's pool have started."""
    barrier = threading.Barrier(THREADS)
    for future in [dask_worker.executors["default"].submit(barrier.wait) for _ in range(THREADS)]:
        future.result()


def test_columns_that_fit_nowhere(client):
    """224 MiB, of which this process holds one chunk at a time: columns, weights and certificate of one process, to the last bit."""
    x = made((32, 7 << 18), (32, 100_003), 12)
    assert x.nbytes > MEMORY
    before = processes(client)
    s = subquad.dask.sparsify(x, columns=200, block_columns=1 << 15)
    factor = subquad.dask.sparsify(x, method="gram")
    assert processes(client) == before
    whole = here(x)
    plain = subquad.sparsify(
        subquad.column_blocks(lambda first, last: whole[:, first:last], *x.shape, x.dtype, block_columns=1 << 15), columns=200
    )
    assert (s.indices.tobytes(), s.weights.tobytes(), s.epsilon) == (
        plain.indices.tobytes(),
        plain.weights.tobytes(),
        plain.epsilon,
    )
    one = subquad.sparsify(whole, method="gram")
    # roundoff: long sums are in double; what is rounded to float32 are factors, of which the tree joins four at each height
    heights = 2 + math.ceil(math.log(x.numblocks[1]) / math.log(FAN_IN))
    relative = 2 * heights * sparsify_budgets.per_row((32, FAN_IN * 32), budgets.unit(x.dtype))
    y, expected = (found.y.astype(np.float64) for found in (factor, one))
    gram = expected @ expected.T
    assert np.abs(y @ y.T - gram).max() <= relative * np.diag(gram).max()


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def held_back(block, flag, block_info=None):
    """The last chunk does not come before there is such a file."""
    info = block_info[0]
    if info["chunk-location"] == tuple(count - 1 for count in info["num-chunks"]):
        wait_for(Path(flag).exists)
    return block


def results_of(client):
    """How many parts and chunks of the result each worker holds."""
    return {address: sum("subquad-attention" in str(key) for key in keys) for address, keys in client.has_what().items()}


def test_a_lost_worker(client, tmp_path):
    """A worker that holds inputs and parts of the result is killed in the middle: what it held is made again, to the same bits."""
    q, k, v = (made((2, 4096, 64), (1, 512, 64), seed) for seed in (6, 7, 8))
    kept = dask.persist(q, k, v)
    distributed.wait(kept)
    flag = tmp_path / "flag"
    late = kept[0].map_blocks(held_back, flag=str(flag), dtype=q.dtype, meta=q._meta)
    o, lse = subquad.dask.attention(late, *kept[1:], causal=True, return_lse=True)
    futures = client.compute([o, lse])
    wait_for(lambda: sum(results_of(client).values()) >= 12)
    results = results_of(client)
    address = max(results, key=results.get)
    assert not any(future.done() for future in futures)
    os.kill(processes(client)[address], signal.SIGKILL)
    flag.touch()
    computed = client.gather(futures)
    assert address not in client.scheduler_info(n_workers=-1)["workers"]
    with dask.config.set(scheduler="synchronous"):
        expected = dask.compute(*subquad.dask.attention(q, k, v, causal=True, return_lse=True))
    assert [x.tobytes() for x in computed] == [x.tobytes() for x in expected]
    compare(computed, q, k, v, causal=True)


def test_a_worker_is_lost_while_columns_are_read(client, tmp_path):
    """The worker that makes a chunk is killed the first time: a flag in a file tells the second."""
    x = made((8, 40_000), (8, 5000), 13)
    fatal = x.map_blocks(die_once, flag=str(tmp_path / "flag"), dtype=x.dtype, meta=x._meta)
    before = set(processes(client).values())
    s = subquad.dask.sparsify(fatal, columns=50)
    assert before - set(processes(client).values())  # one of them has gone; another may not have come yet
    plain = subquad.sparsify(subquad.dask.column_blocks(x), columns=50)
    assert (s.indices == plain.indices).all()
    assert s.weights.tobytes() == plain.weights.tobytes()


def die_once(block, flag, block_info=None):
    path = Path(flag)
    if block_info[0]["chunk-location"][1] == 4 and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return block
