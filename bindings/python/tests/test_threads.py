"""Threads of the library and of Python: the same bits, calls side by side, the GIL, fork."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import subquad
from adaptive_reference import heads, local
from reference import fill, inputs
from subquad import _context


def everything(threads, dtype=np.float32):
    """All results of all functions, as bytes."""
    q, k, v = inputs(150, 170, d=16, d_v=9, heads=(4,), kv_heads=(2,), batch=(2,), dtype=dtype)
    settings = {
        "causal": True,
        "causal_offset": 20,
        "lag_bias": fill(4, 4, 170, dtype=dtype),
        "key_ranges": [(0, 170), (10, 130)],
        "threads": threads,
    }
    o, lse = subquad.attention(q, k, v, return_lse=True, **settings)
    gradients = subquad.attention_backward(q, k, v, o, lse, fill(3, *o.shape, dtype=dtype), **settings)
    merged = subquad.merge([o, o + 1], [lse, lse - 1], threads=threads)
    basis = {"causal": True, "method": "conv_basis", "bases": 3, "threads": threads}
    k, v = k[:, :, :150], v[:, :, :150]
    fitted = subquad.attention(q, k, v, **basis, return_lse=True)
    ways = [subquad.attention_backward(q, k, v, o, lse, o, **basis, backward=way) for way in ("exact", "conv_basis")]
    others = [array for way in ways for array in way[:3]]
    results = (o, lse, *gradients, *merged, *fitted, *others, *planned(threads, dtype), *sparsified(threads, dtype))
    return [array.tobytes() for array in results]


def planned(threads, dtype):
    """By a plan of a head that is not exact."""
    q, k, v = heads(2048, kinds=[local], dtype=dtype)
    plan = subquad.plan(q, k, v, tol=0.1, causal=True, threads=threads)
    o, lse = plan.apply(v, return_lse=True, threads=threads)
    return [o, lse, *plan.backward(v, o, lse, v, threads=threads)[:3]]


def sparsified(threads, dtype):
    """What does not hang on the last bits of a factorisation."""
    x, v = fill(5, 20, 500, dtype=dtype), fill(6, 20, 7, dtype=dtype)
    kinds = ({"columns": 60}, {"eps": 0.9}, {"method": "deterministic", "columns": 60})
    found = [subquad.sparsify(x, **kind, threads=threads) for kind in kinds]
    itself = subquad.sparsify(x, columns=500, threads=threads)
    scores = [subquad.leverage_scores(x, method=method, threads=threads) for method in ("exact", "sketch")]
    return [*(s.indices for s in found), itself.attention(v, threads=threads), *scores]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [2, 3, 7, None])
def test_the_same_bits_for_any_number_of_threads(threads, dtype):
    assert everything(threads, dtype) == everything(1, dtype)


def test_calls_from_several_threads_at_once():
    expected = everything(1)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(everything, [1, 2, 3, None] * 10))
    assert all(result == expected for result in results)


def test_idle_contexts_are_few():
    barrier = threading.Barrier(3 * (os.cpu_count() or 1))

    def call(_):
        with _context.borrow(1):
            barrier.wait()

    with ThreadPoolExecutor(barrier.parties) as pool:
        list(pool.map(call, range(barrier.parties)))
    assert 0 < len(_context._idle) <= (os.cpu_count() or 1)


def test_other_python_threads_run_meanwhile():
    """While one thread computes, the main thread is never kept waiting: without the GIL it would not run at all."""
    q, k, v = inputs(4096, 4096, d=64, d_v=64, dtype=np.float32)
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        call = pool.submit(subquad.attention, q, k, v, threads=1)
        turns = 0
        while not call.done():
            time.sleep(1e-4)
            turns += 1
        seconds = time.monotonic() - began
    assert turns > 5, f"{turns} turns in {seconds:.3f} s"


def test_the_same_columns_for_any_number_of_threads_of_the_blas():
    """Its factorisations have other last bits, on which no choice hangs."""
    script = """
import numpy as np, subquad
x = subquad.fill_uniform((60, 3000), 1, 0, -1.0, 1.0, "float64")
found = [subquad.sparsify(x, **kind) for kind in ({"columns": 200}, {"eps": 0.9}, {"method": "deterministic", "columns": 200})]
print([s.indices.tolist() for s in found])
"""
    outputs = []
    for threads in ("1", "2"):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads}
        ended = subprocess.run(
            [sys.executable, "-P", "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert (ended.stderr, ended.returncode) == ("", 0)
        outputs.append(ended.stdout)
    assert outputs[0] == outputs[1]


def in_child(connection):
    connection.send(everything(2))
    connection.close()


def test_other_python_threads_run_while_columns_are_chosen():
    """Until blocks are read, which takes the GIL each time, and gives it back."""
    x = fill(5, 64, 2**16, dtype=np.float32)
    sources = [x, subquad.column_blocks(lambda first, last: x[:, first:last], *x.shape, x.dtype, block_columns=512)]
    with ThreadPoolExecutor(1) as pool:
        for source in sources:
            call = pool.submit(lambda source: [subquad.sparsify(source, method="gram", threads=1) for _ in range(8)], source)
            turns = 0
            while not call.done():
                time.sleep(1e-4)
                turns += 1
            assert turns > 5


def test_fork():
    """A child goes on with the contexts of its parent, whose threads it does not have."""
    expected = everything(2)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=in_child, args=(theirs,))
    child.start()
    assert ours.poll(60), "the child hangs"
    assert ours.recv() == expected
    child.join(60)
    assert child.exitcode == 0
    assert everything(2) == expected


def test_fork_while_another_thread_computes():
    expected = everything(2)
    q, k, v = inputs(4096, 4096, d=64, d_v=64, dtype=np.float32)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(subquad.attention, q, k, v, threads=2)
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        child = context.Process(target=in_child, args=(theirs,))
        child.start()
        assert ours.poll(60), "the child hangs"
        assert ours.recv() == expected
        child.join(60)
        assert child.exitcode == 0
        call.result()


def test_a_forked_child_ends_cleanly():
    """Its interpreter takes down contexts whose threads stayed with the parent."""
    script = """
import os, subquad
x = subquad.fill_uniform((200, 8), 1, 0, -1.0, 1.0, "float32")
subquad.attention(x, x, x, threads=3)
child = os.fork()
if child:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("0\n", "", 0)
