"""subquad.dask.attention: any chunks give what one process gives, and only chunks that see each other are read."""

import numpy as np
import pytest
import subquad
from dask_reference import check, chunked, da, dask
from reference import check_forward, fill, inputs


@pytest.fixture(autouse=True)
def in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows_k", [37, 11, (1, 30, 6), 1, (0, 20, 0, 17)], ids=str)
@pytest.mark.parametrize("rows_q", [31, 7, (1, 29, 1), (0, 5, 26, 0)], ids=str)
@pytest.mark.parametrize("settings", [{}, {"causal": True, "causal_offset": 6}], ids=["full", "causal"])
def test_rows(rows_q, rows_k, settings, dtype):
    q, k, v = inputs(31, 37, dtype=dtype)
    check(q, k, v, chunked([q, k, v], rows_q, rows_k), **settings)


@pytest.mark.parametrize("offset", [-40, -30, -3, 0, 5, 6, 50])
def test_causal_offsets(offset):
    q, k, v = inputs(31, 37, heads=(2,))
    check(q, k, v, chunked([q, k, v], 10, 9, lead=2), causal=True, causal_offset=offset)


def test_a_slice_of_longer_keys():
    q, k, v = inputs(31, 37)
    settings = {"causal": True, "causal_offset": 40, "key_offset": 20, "scale": 0.7}
    check(q, k, v, chunked([q, k, v], 10, 9), **settings)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("heads", "kv_heads"), [(q, kv) for q in (1, 2, 3, 4, 6) for kv in (1, 2, 3, 4, 6) if q % kv == 0], ids=str
)
@pytest.mark.parametrize(("chunk_q", "chunk_kv"), [(1, 6), (6, 1), (2, 1), (4, 4), ((1, 2, 3), 2)], ids=str)
def test_grouped_heads(heads, kv_heads, chunk_q, chunk_kv, dtype):
    """Every pair of counts, whatever the chunks of heads cut."""
    if isinstance(chunk_q, tuple) and sum(chunk_q) != heads:
        chunk_q = heads
    q, k, v = inputs(7, 9, heads=(heads,), kv_heads=(kv_heads,), batch=(2,), dtype=dtype)
    arrays = [da.from_array(x, chunks=(1, chunk, 4, -1)) for x, chunk in ((q, chunk_q), (k, chunk_kv), (v, min(chunk_kv, 2)))]
    check(q, k, v, arrays, causal=True, causal_offset=2)


def test_batches_in_chunks_that_differ():
    q, k, v = inputs(7, 7, heads=(2,), batch=(5,))
    arrays = [da.from_array(x, chunks=(batch, 2, 4, -1)) for x, batch in ((q, 2), (k, 3), (v, (1, 4)))]
    o, _ = check(q, k, v, arrays, causal=True)
    assert o.chunks[0] == (1, 1, 1, 1, 1)


def test_key_ranges():
    """Padding on either side; one batch element that sees nothing."""
    q, k, v = inputs(7, 20, heads=(2,), batch=(3,))
    ranges = [(0, 20), (13, 18), (9, 9)]
    check(q, k, v, chunked([q, k, v], 4, 3), key_ranges=ranges)
    check(q, k, v, chunked([q, k, v], 4, 3, lead=3), key_ranges=ranges, causal=True, causal_offset=12)
    check(q, k, v, chunked([q, k, v], 4, 3), key_ranges=np.array([(4, 11)]))


@pytest.mark.parametrize(
    ("n_q", "n_k", "heads", "kv_heads", "batch"),
    [(0, 5, 2, 2, 1), (5, 0, 2, 2, 1), (0, 0, 2, 1, 2), (5, 5, 0, 0, 2), (5, 5, 0, 2, 2), (5, 5, 2, 2, 0)],
)
def test_nothing(n_q, n_k, heads, kv_heads, batch):
    q, k, v = inputs(n_q, n_k, heads=(heads,), kv_heads=(kv_heads,), batch=(batch,))
    arrays = [da.from_array(x) for x in (q, k, v)]
    o, lse = subquad.dask.attention(*arrays, causal=True, causal_offset=0, return_lse=True)
    expected = check_forward(q, k, v, causal=True, causal_offset=0)
    for lazy, array in zip((o, lse), expected, strict=True):
        assert lazy.shape == array.shape
        assert np.array_equal(lazy.compute(), array)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_where_keys_are_one_chunk(dtype):
    """With more than four rows in every chunk of queries."""
    q, k, v = inputs(600, 700, heads=(4,), kv_heads=(2,), batch=(2,), dtype=dtype)
    o, lse = subquad.attention(q, k, v, causal=True, causal_offset=100, return_lse=True)
    arrays = chunked([q, k, v], (5, 300, 295), 700)
    parts = subquad.dask.attention(*arrays, causal=True, causal_offset=100, return_lse=True)
    computed = dask.compute(*parts)
    assert computed[0].tobytes() == o.tobytes()
    assert computed[1].tobytes() == lse.tobytes()


def test_the_same_bits_and_names_twice():
    q, k, v = inputs(31, 37)
    first, again = (subquad.dask.attention(*chunked([q, k, v], 10, 9)) for _ in range(2))
    assert first.name == again.name
    assert first.name != subquad.dask.attention(*chunked([q, k, v], 10, 9), scale=0.3).name
    threaded = again.compute(scheduler="threads")
    assert first.compute().tobytes() == threaded.tobytes()


@pytest.mark.parametrize("settings", [{"tol": 0.1}, {"budget": 0.5}, {"tol": 0.1, "parts": ["heavy"], "seed": 3}], ids=str)
def test_a_tolerance_for_each_chunk_of_queries(settings):
    """What each chunk gets is what subquad.attention gives it."""
    q, k, v = inputs(2000, 2000, d=16, d_v=8, heads=(2,), dtype=np.float32)
    arrays = chunked([3 * q, 3 * k, v], 1000, 2000)
    o = subquad.dask.attention(*arrays, causal=True, **settings).compute()
    for head in range(2):
        for first in (0, 1000):
            part = slice(first, first + 1000)
            expected = subquad.attention(
                3 * q[head, None, part], 3 * k[head, None], v[head, None], causal=True, causal_offset=first, **settings
            )
            assert o[head, part].tobytes() == expected.tobytes()


def refuse(block, block_info=None, allowed=()):
    """A chunk that may not be read unless it is allowed."""
    assert block_info[0]["chunk-location"][-2] in allowed, "this chunk was read"
    return block


def test_nothing_is_computed_before_it_is_asked_for():
    q, k, v = (x.map_blocks(refuse, dtype=x.dtype, meta=x._meta) for x in chunked(inputs(31, 37), 10, 9))
    o = subquad.dask.attention(q, k, v)
    with pytest.raises(AssertionError, match="this chunk was read"):
        o.compute()


def test_hidden_chunks_are_not_read():
    """Each chunk of queries depends on the keys up to its own, and on those alone."""
    q, k, v = inputs(40, 40)
    arrays = chunked([q, k, v], 10, 10)
    for last in range(4):
        seen = range(last + 1)
        guarded = [x.map_blocks(refuse, dtype=x.dtype, meta=x._meta, allowed=seen) for x in arrays]
        o = subquad.dask.attention(*guarded, causal=True)
        o.blocks[last].compute()
    parts = [key for key in dict(o.dask) if isinstance(key, tuple) and key[0].startswith("subquad-attention-part")]
    pairs, joins = 4 * 5 // 2, 3
    assert len(parts) == pairs + joins


def test_key_ranges_hide_chunks():
    q, k, v = inputs(8, 40, heads=(1,), batch=(2,))
    arrays = chunked([q, k, v], 8, 10)
    guarded = [arrays[0], *(x.map_blocks(refuse, dtype=x.dtype, meta=x._meta, allowed=[1, 2]) for x in arrays[1:])]
    subquad.dask.attention(*guarded, key_ranges=[(10, 30), (15, 20)]).compute()


def test_misaligned_chunks():
    """As they arrive over a network: a buffer may begin at any byte."""

    def shifted(x):
        return np.frombuffer(b"." + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape)

    q, k, v = inputs(31, 37)
    arrays = [x.map_blocks(shifted, dtype=x.dtype, meta=x._meta) for x in chunked([q, k, v], 10, 9, last=-1)]
    assert not arrays[0].to_delayed()[0, 0].compute().flags.aligned
    plain = subquad.dask.attention(*chunked([q, k, v], 10, 9)).compute()
    assert subquad.dask.attention(*arrays).compute().tobytes() == plain.tobytes()


def test_inputs_of_other_layouts():
    q, k, v = (np.asfortranarray(fill(stream, 31, 6)) for stream in range(3))
    check(q, k, v, [da.from_array(x[::-1], chunks=(10, 6))[::-1] for x in (q, k, v)], causal=True)
