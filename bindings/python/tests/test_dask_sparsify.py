"""subquad.dask.sparsify and column_blocks: what one process finds, from chunks that are read one at a time."""

import tracemalloc

import numpy as np
import pytest
import subquad
from dask_reference import da, dask, made
from sparsify_reference import KINDS, SETTINGS, generic, sparse, whiten

import budgets
import oracle
import sparsify_budgets

N, D = 6, 400
CHUNKS = {
    "one": (N, D),
    "even": (N, 100),
    "prime": (N, 37),
    "one column": (N, (1, 300, 1, 98)),
    "rows too": (4, 90),
    "empty": (N, (0, 200, 0, 200, 0)),
}


@pytest.fixture(autouse=True)
def in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def blocks_of(x, most=None):
    return subquad.column_blocks(lambda first, last: x[:, first:last], *x.shape, x.dtype, block_columns=most)


def parts(s):
    """Everything that must be the same."""
    return [s.indices.tobytes(), s.weights.tobytes(), s.y.tobytes(), s.epsilon, s.certificate, s.radius, s.rank]


def check_factor(s, x):
    """roundoff: a factor's, at each height of the tree."""
    w = whiten(x)
    assert (s.method, s.shape, s.rank) == ("gram", (x.shape[0], w.rank), w.rank)
    heights = 1 + np.ceil(np.log(x.shape[1]) / np.log(4))
    y = s.y.astype(oracle.REAL)
    assert np.abs(y @ y.T - w.gram).max(initial=0) <= heights * sparsify_budgets.gram(w, x.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("most", [None, 64, 90])
@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize("settings", [s for s in SETTINGS.values() if s.get("method") != "gram"], ids=str)
def test_the_same_bits_as_in_one_process(settings, chunks, most, dtype):
    x = generic(N, D, dtype)
    lazy = da.from_array(x, chunks=chunks)
    s = subquad.dask.sparsify(lazy, **settings, block_columns=most, certify="exact")
    assert parts(s) == parts(subquad.sparsify(blocks_of(x, most), **settings, certify="exact"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.__name__ != "uneven"], ids=lambda kind: kind.__name__)
def test_factors(kind, chunks, dtype):
    x = kind(N, D, dtype)
    check_factor(subquad.dask.sparsify(da.from_array(x, chunks=chunks), method="gram"), x)


def test_factors_of_full_rank_are_those_of_one_process():
    """roundoff: but for the signs of its columns Y is the Cholesky factor, which moves by its condition times as much as Y Y' does."""
    x = generic(N, D)
    w = whiten(x)
    found = (subquad.dask.sparsify(da.from_array(x, chunks=(N, 9)), method="gram"), subquad.sparsify(x, method="gram"))
    y, plain = (s.y * np.sign(np.diag(s.y)) for s in found)
    heights = 2 + np.ceil(np.log(D / 9) / np.log(4))
    largest = np.sqrt(np.abs(np.diag(w.gram)).max())
    relative = heights * sparsify_budgets.per_row(x.shape, budgets.unit(x.dtype)) * w.condition**2 * N
    assert np.abs(y - plain).max() <= relative * largest


def test_a_factor_certifies_itself():
    x = generic(N, D)
    s = subquad.dask.sparsify(da.from_array(x, chunks=(N, 50)), method="gram", certify="exact")
    assert s.certificate == "exact"
    assert s.epsilon <= sparsify_budgets.certificate(whiten(x), 0, N, 0, x.dtype)


def test_functions_that_read_blocks():
    """Pairs, and leverage scores: whatever takes column blocks."""
    q, k = generic(4, D), generic(5, D, stream=1)
    lazy_q, lazy_k = (subquad.dask.column_blocks(da.from_array(x, chunks=(3, 70))) for x in (q, k))
    assert parts(subquad.sparsify_pair(lazy_q, lazy_k, columns=50)) == parts(
        subquad.sparsify_pair(blocks_of(q), blocks_of(k), columns=50)
    )
    assert subquad.leverage_scores(lazy_q).tobytes() == subquad.leverage_scores(blocks_of(q)).tobytes()
    mixed = subquad.sparsify_pair(lazy_q, sparse(3, D), columns=50)
    assert mixed.shape == (7, 50)


@pytest.mark.parametrize("shape", [(0, 9), (9, 0), (0, 0)])
@pytest.mark.parametrize("settings", [{"columns": 2}, {"method": "gram"}], ids=str)
def test_nothing(shape, settings):
    s = subquad.dask.sparsify(da.from_array(np.zeros(shape)), **settings)
    assert (s.shape[0], s.epsilon) == (shape[0], 0)


def test_each_chunk_is_read_once_in_each_pass():
    """Twice, and in order, however narrow the blocks are that the library asks for."""
    read = []

    def noted(block, block_info=None):
        read.append(block_info[0]["chunk-location"][1])
        return block

    x = da.from_array(generic(N, D), chunks=(N, 90)).map_blocks(noted, dtype="float64", meta=np.empty((0, 0)))
    subquad.dask.sparsify(x, columns=30, block_columns=25)
    assert read == 2 * list(range(5))
    read.clear()
    subquad.dask.sparsify(x, method="gram")
    assert sorted(read) == list(range(5))


def test_one_chunk_is_in_memory_at_a_time():
    """16 chunks of 4 MiB; beside one, blocks of 1 MiB and what the library copies of them."""
    chunk, block = 4 << 20, 1 << 20
    x = made((32, 16 * chunk // 128), (32, chunk // 128), seed=1)
    tracemalloc.start()
    try:
        subquad.dask.sparsify(x, columns=100, block_columns=block // 128)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert x.nbytes == 16 * chunk
    in_the_making = 3 * chunk  # random numbers, and their multiples
    assert peak <= in_the_making + 4 * block
