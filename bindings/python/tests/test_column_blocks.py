"""Columns that a function reads: what comes out is what the same matrix in memory gives, and what the function raises."""

import threading

import numpy as np
import pytest
import subquad
from reference import assert_within, fill
from sparsify_reference import SETTINGS, check, check_columns, check_same, generic, whiten

import sparsify_budgets

N, D = 6, 400


def by_position(x, most=None):
    return subquad.column_blocks(lambda first, last: x[:, first:last], *x.shape, x.dtype, block_columns=most)


def in_order(x, width):
    return subquad.column_blocks(lambda: (x[:, at : at + width] for at in range(0, x.shape[1], width)), *x.shape, x.dtype)


def uneven(x):
    """Blocks of 1, 0, 2, 0, 3, .. columns, in a layout of their own."""

    def blocks():
        at, width = 0, 1
        while at < x.shape[1]:
            yield np.asfortranarray(x[:, at : at + width])[::-1].copy()[::-1]
            yield x[:, :0]
            at, width = at + width, width + 1

    return subquad.column_blocks(blocks, *x.shape, x.dtype)


SOURCES = {
    "by position": by_position,
    "by position, 64 at a time": lambda x: by_position(x, 64),
    "by position, more than all": lambda x: by_position(x, 10**9),
    "in order": lambda x: in_order(x, 64),
    "in order, 1": lambda x: in_order(x, 1),
    "in order, all at once": lambda x: in_order(x, 10**6),
    "uneven": uneven,
    "a list": lambda x: subquad.column_blocks(lambda: [x[:, :3], x[:, 3:]], *x.shape, x.dtype),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("most", [1, 7, 100])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_few_at_a_time(settings, most, dtype):
    """A sketch mixes columns that are read together, where they are few."""
    x = generic(N, D, dtype)
    s = subquad.sparsify(by_position(x, most), **settings, certify="exact")
    check(s, x, settings)
    if s.method != "gram":
        check_columns(s, x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_blocks(settings, source, dtype):
    """For scores of matrices in memory that are as small as here there is a third pass: they are exact."""
    x = generic(N, D, dtype)
    s = subquad.sparsify(source(x), **settings, certify="exact")
    check_same(s, subquad.sparsify(x if s.method != "leverage" else by_position(x), **settings), check(s, x, settings))
    assert isinstance(s.y, np.ndarray)


@pytest.fixture(scope="module")
def larger():
    x = generic(60, 3000, np.float32)
    return x, whiten(x)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("settings", [{"columns": 100}, {"eps": 0.9}])
def test_larger_blocks(larger, settings, source):
    """The columns of the same matrix in memory."""
    x, w = larger
    s, plain = (subquad.sparsify(matrix, **settings, certify=False) for matrix in (source(x), x))
    assert (plain.report["scores"], s.report["scores"]) == ("sketch", "sketch")
    check_same(s, plain, w)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("method", ["exact", "sketch"])
def test_block_scores(method, source):
    x = generic(N, D)
    scores, plain = (subquad.leverage_scores(matrix, method=method) for matrix in (source(x), x))
    assert_within(scores, plain, 2 * sparsify_budgets.scores(whiten(x), x.dtype) * max(1, plain.max()), "scores")


@pytest.mark.parametrize("shape", [(0, 9), (9, 0), (0, 0)])
def test_blocks_of_nothing(shape):
    for source in (by_position, lambda x: in_order(x, 4)):
        s = subquad.sparsify(source(np.zeros(shape)), columns=2, certify="exact")
        assert (s.shape[0], s.epsilon) == (shape[0], 0)


def test_what_is_read_and_how_often():
    """Twice, for exact scores three times, in order, at most as many columns at once as asked for, on the calling thread."""
    x, asked = generic(N, D), []

    def blocks(first, last):
        assert threading.current_thread() is threading.main_thread()
        asked.append((first, last))
        return x[:, first:last]

    source = subquad.column_blocks(blocks, N, D, "float64", block_columns=90)
    calls = {
        lambda: subquad.sparsify(source, columns=30): 2,
        lambda: subquad.sparsify(source, method="gram"): 2,
        lambda: subquad.leverage_scores(source): 2,
        lambda: subquad.leverage_scores(source, method="exact"): 3,
    }
    for call, passes in calls.items():
        asked.clear()
        call()
        assert max(last - first for first, last in asked) <= 90
        assert [first for first, _ in asked[1:] if first] == [last for _, last in asked[:-1] if last < D]
        assert sum(last - first for first, last in asked) == passes * D


def test_a_source_describes_itself():
    source = subquad.column_blocks(print, 3, 4, np.float32, block_columns=2)
    assert (source.shape, source.dtype, source.block_columns) == ((3, 4), np.dtype(np.float32), 2)
    assert repr(source) == "column_blocks(<built-in function print>, rows=3, columns=4, dtype='float32')"
    assert subquad.column_blocks(print, 3, 4, "float64").block_columns == 0


def test_blocks_may_use_the_library():
    x = generic(N, D)

    def blocks(first, last):
        subquad.sparsify(x, columns=10)
        return x[:, first:last]

    s = subquad.sparsify(subquad.column_blocks(blocks, N, D, x.dtype), columns=30)
    assert (s.indices == subquad.sparsify(by_position(x), columns=30).indices).all()


def test_one_source_for_calls_in_several_threads():
    x = generic(N, 3000)
    source = in_order(x, 100)
    expected = subquad.sparsify(source, columns=30).indices
    results = []
    threads = [threading.Thread(target=lambda: results.append(subquad.sparsify(source, columns=30, threads=2))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert all((s.indices == expected).all() for s in results)


def test_maps_of_files(tmp_path):
    x = fill(0, N, D)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert (subquad.sparsify(mapped, columns=30).indices == subquad.sparsify(x, columns=30).indices).all()
