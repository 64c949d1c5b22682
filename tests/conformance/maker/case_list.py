"""What is tested: one row per case, without numbers that follow from it (those are made in build.py).

A row yields one case per dtype. Adding a row changes no other row's inputs: seeds follow from names."""

import itertools
import zlib

import layouts
import tables

DTYPES = ("float32", "float64")
FAR = tables.options["causal_offset"]["highest"]


def fill(name, stream, low=-1.0, high=1.0):
    return {"seed": zlib.crc32(name.encode()), "stream": stream, "low": low, "high": high}


def lead(batch, heads):
    """Leading dimensions; None leaves one out."""
    return [n for n in (batch, heads) if n is not None]


def attention_row(
    name,
    n=7,
    n_k=None,
    d=3,
    d_v=None,
    batch=None,
    heads=None,
    amplitude=1.0,
    bias=None,
    bias_range=(-1.0, 1.0),
    ranges=None,
    value_range=(-1.0, 1.0),
    layout=None,
    dtypes=DTYPES,
    slice_of=None,
    **options,
):
    """heads: (H_q, H_kv); bias: (rows, L); layout: argument -> layout.

    slice_of: (name, n_k of the whole): k and v are the rows from key_offset of a longer k and v, whose seeds follow from name."""
    n_k = n if n_k is None else n_k
    h_q, h_kv = heads or (None, None)
    title, name = name, slice_of[0] if slice_of else name
    inputs = {
        "q": {"shape": [*lead(batch, h_q), n, d], "fill": fill(name, 0, -amplitude, amplitude)},
        "k": {"shape": [*lead(batch, h_kv), n_k, d], "fill": fill(name, 1, -amplitude, amplitude)},
        "v": {"shape": [*lead(batch, h_kv), n_k, d_v if d_v is not None else d], "fill": fill(name, 2, *value_range)},
    }
    if bias:
        inputs["lag_bias"] = {"shape": list(bias), "fill": fill(name, 3, *bias_range)}
    if ranges is not None:
        inputs["key_ranges"] = {"dtype": "int64", "shape": [len(ranges), 2], "values": [x for pair in ranges for x in pair]}
    row = {"name": title, "function": "attention", "dtypes": dtypes, "options": options, "inputs": inputs, "layout": layout or {}}
    row["d_o"] = fill(name, 4)
    if slice_of:
        row["whole"] = slice_of[1]
    return row


def sizes():
    for n, causal in itertools.product((0, 1, 2, 7, 13, 31, 37), (False, True)):
        yield attention_row(f"n = {n}{', causal' * causal}", n=n, d_v=5, causal=causal)
    for n, causal in itertools.product((47, 48, 49, 63, 64, 65, 127, 129), (False, True)):
        yield attention_row(f"n = {n}{', causal' * causal}, about a block", n=n, d_v=2, causal=causal)
    for d, d_v in ((1, 1), (1, 8), (3, 2), (8, 8), (8, 3), (5, 31), (16, 17), (64, 64), (64, 1), (3, 64)):
        yield attention_row(f"d = {d}, d_v = {d_v}", n=7 if max(d, d_v) == 64 else 13, d=d, d_v=d_v, causal=True)
    yield attention_row("d_v = 0", d_v=0, causal=True)
    yield attention_row("batch of 0", batch=0, heads=(2, 1))
    yield attention_row("no query heads", heads=(0, 2))
    yield attention_row("no heads at all", heads=(0, 0))


def offsets():
    for n, n_k, offset in (
        (5, 13, 8),
        (13, 5, -8),
        (1, 37, 36),
        (7, 7, 0),
        (7, 7, 3),
        (7, 7, -3),
        (7, 7, -7),
        (9, 4, 100),
        (0, 5, 0),
        (5, 0, 0),
        (33, 70, 37),
        (70, 33, -20),
    ):
        yield attention_row(f"{n} queries, {n_k} keys, offset {offset}", n=n, n_k=n_k, causal=True, causal_offset=offset)
    yield attention_row("5 queries, 13 keys, not causal, no offset", n=5, n_k=13)
    yield attention_row("offset given, not causal", n=5, n_k=13, causal=False, causal_offset=-4)
    yield attention_row("farthest offset, farthest keys", causal=True, causal_offset=FAR, key_offset=FAR)
    yield attention_row("offset and keys as far apart as can be", causal=True, causal_offset=FAR, key_offset=-FAR)
    yield attention_row("keys as far ahead as can be", causal=True, causal_offset=-FAR, key_offset=FAR)


def grouped_heads():
    for (h_q, h_kv), batch in itertools.product(((1, 1), (4, 1), (4, 2), (4, 4), (6, 3)), (None, 1, 2)):
        where = "no batch" if batch is None else f"batch {batch}"
        yield attention_row(
            f"heads {h_q} over {h_kv}, {where}", n=7, n_k=9, d_v=2, batch=batch, heads=(h_q, h_kv), causal=True, causal_offset=2
        )
    yield attention_row("heads 6 over 3, not causal", n=5, n_k=6, d_v=2, batch=2, heads=(6, 3))


def scales():
    for scale in (1.0, 0.0, -1.5, 0.125, 1e-30):
        yield attention_row(f"scale {scale:g}", n=13, n_k=13, d=8, causal=True, scale=scale)
    yield attention_row("method named, finite check off", method="exact", check_finite=False, causal=True)


def lag_biases():
    yield attention_row("lag bias, one row, causal", n=13, heads=(4, 2), bias=(1, 13), causal=True)
    yield attention_row("lag bias per head, causal", n=13, heads=(4, 2), bias=(4, 13), causal=True)
    yield attention_row("lag bias per head, batch", n=7, batch=2, heads=(4, 2), bias=(4, 7), causal=True)
    yield attention_row("lag bias, negative lag_min, not causal", n=13, bias=(1, 25), lag_min=-12)
    yield attention_row("lag bias longer than needed", n=13, bias=(1, 40), lag_min=-20)
    yield attention_row("lag bias, 5 queries, 13 keys", n=5, n_k=13, bias=(1, 13), causal=True, causal_offset=8)
    yield attention_row("lag bias, 5 queries, 13 keys, not causal", n=5, n_k=13, bias=(1, 17), lag_min=-4, causal_offset=8)
    yield attention_row("lag bias, positive lag_min", n=5, n_k=4, bias=(1, 8), lag_min=17, causal=True, causal_offset=20)
    yield attention_row("lag bias, keys of a slice", n=13, n_k=5, bias=(1, 13), causal=True, causal_offset=0, key_offset=4)
    yield attention_row("lag bias over several blocks", n=65, n_k=97, d_v=2, bias=(1, 97), causal=True, causal_offset=32)
    yield attention_row("lag bias over several blocks, not causal", n=65, d_v=2, bias=(1, 129), lag_min=-64)
    yield attention_row("lag bias with key ranges that need fewer lags", n=7, bias=(1, 10), lag_min=-3, ranges=[(0, 4)])
    yield attention_row("lag bias where nothing is seen", n=3, bias=(1, 1), causal=True, causal_offset=-5)
    yield attention_row("lag bias, no keys", n=3, n_k=0, bias=(1, 0), causal=True, causal_offset=0)
    yield attention_row("lag bias far out", n=5, bias=(1, 9), lag_min=FAR - 4, causal_offset=FAR)


def key_ranges():
    batch = {"batch": 3, "heads": (2, 1), "d_v": 2}
    yield attention_row("padding right", n=7, ranges=[(0, 4), (0, 7), (0, 1)], **batch)
    yield attention_row("padding left", n=7, ranges=[(3, 7), (0, 7), (6, 7)], **batch)
    yield attention_row("padding left, causal", n=7, ranges=[(3, 7), (0, 7), (6, 7)], causal=True, **batch)
    yield attention_row("padding on both sides, one empty", n=7, ranges=[(2, 5), (3, 3), (1, 6)], **batch)
    yield attention_row("one range for the whole batch", n=7, ranges=[(2, 5)], causal=True, **batch)
    yield attention_row("ranges beyond the keys", n=7, ranges=[(-5, 1000), (-9, -2), (7, 50)], **batch)
    yield attention_row("a range without a batch", n=7, ranges=[(1, 4)])
    yield attention_row("ranges over several blocks", n=9, n_k=200, d_v=2, batch=2, ranges=[(61, 131), (64, 128)], heads=(1, 1))
    yield attention_row("ranges with keys of a slice", n=7, n_k=5, ranges=[(11, 14)], key_offset=10)
    yield attention_row("ranges, slice and causal", n=7, n_k=5, ranges=[(2, 6)], key_offset=1, causal=True, causal_offset=0)


def large_logits():
    yield attention_row("logits to 1e4", n=13, d=8, amplitude=4.0, scale=100.0, causal=True)
    yield attention_row("logits to 1e4, several blocks", n=65, d=4, d_v=2, amplitude=4.0, scale=150.0)
    yield attention_row("all logits near -1e4", n=13, bias=(1, 13), bias_range=(-10001.0, -9999.0), causal=True)
    yield attention_row("all logits near 1e4", n=13, bias=(1, 13), bias_range=(9999.0, 10001.0), causal=True)
    yield attention_row("values far from zero", n=13, value_range=(1000.0, 1001.0), causal=True)
    yield attention_row("all queries and keys zero", n=13, amplitude=0.0, causal=True)
    yield attention_row("weights that underflow", n=37, bias=(1, 37), bias_range=(-400.0, 0.0), causal=True)


def strided():
    back = layouts.reversed_along
    same = {"n": 7, "n_k": 9, "d": 4, "d_v": 3, "batch": 2, "heads": (4, 2), "causal": True, "causal_offset": 2}
    every = ("q", "k", "v", "o", "lse")
    for layout in (layouts.fortran, layouts.padded, layouts.stepped, back(-1), back(-2), back(0, 1, 2)):
        name = layout([1, 1, 1, 1])["name"]
        yield attention_row(f"all arrays {name}", layout=dict.fromkeys(every, layout), **same)
    yield attention_row("all but lse: heads inside rows", layout=dict.fromkeys("qkvo", layouts.heads_inside), **same)
    yield attention_row("keys broadcast along heads", layout={"k": layouts.broadcast_along(1)}, **same)
    yield attention_row("one value for all keys", layout={"v": layouts.broadcast_along(-2)}, **same)
    yield attention_row("one query for all rows", layout={"q": layouts.broadcast_along(-2)}, **same)
    yield attention_row("only keys reversed, several blocks", n=65, d=8, d_v=2, causal=True, layout={"k": back(0)})
    yield attention_row("rows of 64 reversed", n=7, d=64, d_v=64, causal=True, layout=dict.fromkeys("qkvo", back(-1)))
    yield attention_row(
        "lag bias and ranges strided",
        n=7,
        batch=2,
        heads=(2, 1),
        bias=(2, 7),
        ranges=[(1, 7), (0, 4)],
        causal=True,
        layout={"lag_bias": back(1), "key_ranges": layouts.fortran},
    )


def attention_rows():
    for family in (sizes, offsets, grouped_heads, scales, lag_biases, key_ranges, large_logits, strided):
        yield from family()


def backward_rows():
    """The gradients of rows like the forward ones, kept small: their outputs are as large as their inputs."""
    back = layouts.reversed_along
    yield attention_row("n = 0", n=0, d_v=5, causal=True)
    yield attention_row("n = 1", n=1, d_v=5, causal=True)
    for n, causal in itertools.product((13, 37), (False, True)):
        yield attention_row(f"n = {n}{', causal' * causal}", n=n, d_v=2, causal=causal)
    for n in (48, 63, 64, 65, 129):
        yield attention_row(f"n = {n}, causal, about a block", n=n, d=2, d_v=1, causal=True)
    yield attention_row("n = 65, about a block", n=65, d=2, d_v=1)
    for d, d_v in ((1, 1), (8, 3), (5, 31), (64, 64)):
        yield attention_row(f"d = {d}, d_v = {d_v}", n=5, d=d, d_v=d_v, causal=True)
    yield attention_row("d_v = 0", d_v=0, causal=True)
    yield attention_row("batch of 0", batch=0, heads=(2, 1))
    yield attention_row("no query heads", heads=(0, 2))
    for n, n_k, offset in ((5, 13, 8), (13, 5, -8), (7, 7, -3), (7, 7, -7), (9, 4, 100), (0, 5, 0), (5, 0, 0), (33, 70, 37)):
        yield attention_row(f"{n} queries, {n_k} keys, offset {offset}", n=n, n_k=n_k, d=2, causal=True, causal_offset=offset)
    for (h_q, h_kv), batch in itertools.product(((4, 1), (4, 2), (4, 4), (6, 3)), (None, 2)):
        where = "no batch" if batch is None else f"batch {batch}"
        yield attention_row(
            f"heads {h_q} over {h_kv}, {where}",
            n=5,
            n_k=6,
            d=2,
            d_v=2,
            batch=batch,
            heads=(h_q, h_kv),
            causal=True,
            causal_offset=1,
        )
    for scale in (0.0, -1.5):
        yield attention_row(f"scale {scale:g}", n=7, d=8, causal=True, scale=scale)
    yield attention_row("lag bias, one row, causal", n=7, heads=(4, 2), bias=(1, 7), causal=True)
    yield attention_row("lag bias, one row, batch", n=7, batch=2, heads=(2, 1), bias=(1, 7), causal=True)
    yield attention_row("lag bias per head, batch", n=7, batch=2, heads=(4, 2), bias=(4, 7), causal=True)
    yield attention_row("lag bias, negative lag_min, not causal", n=7, bias=(1, 15), lag_min=-8)
    yield attention_row("lag bias, 5 queries, 13 keys, not causal", n=5, n_k=13, bias=(1, 17), lag_min=-4, causal_offset=8)
    yield attention_row("lag bias over several blocks", n=65, n_k=97, d=2, d_v=1, bias=(1, 97), causal=True, causal_offset=32)
    yield attention_row("lag bias where nothing is seen", n=3, bias=(1, 1), causal=True, causal_offset=-5)
    batch = {"batch": 3, "heads": (2, 1), "d": 2, "d_v": 2}
    yield attention_row("padding right, one empty", n=7, ranges=[(0, 4), (3, 3), (0, 1)], **batch)
    yield attention_row("padding left, causal", n=7, ranges=[(3, 7), (0, 7), (6, 7)], causal=True, **batch)
    yield attention_row("ranges over several blocks", n=5, n_k=140, d=2, d_v=1, ranges=[(61, 131)])
    for first, n_k in ((0, 5), (5, 6), (11, 9)):
        yield attention_row(
            f"slice of keys {first} to {first + n_k}",
            n=13,
            n_k=n_k,
            bias=(2, 13),
            heads=(2, 1),
            causal=True,
            causal_offset=0,
            key_offset=first,
            slice_of=("slices of keys, backward", 20),
        )
    yield attention_row("logits to 1e4", n=7, d=8, amplitude=4.0, scale=100.0, causal=True)
    yield attention_row("all logits near -1e4", n=7, bias=(1, 7), bias_range=(-10001.0, -9999.0), causal=True)
    same = {"n": 5, "n_k": 6, "d": 3, "d_v": 2, "batch": 2, "heads": (2, 1), "causal": True, "causal_offset": 1}
    every = ("q", "k", "v", "o", "lse", "d_o", "dq", "dk", "dv")
    for layout in (layouts.fortran, layouts.padded, layouts.stepped, back(-1), back(0, 1, 2)):
        name = layout([1, 1, 1, 1])["name"]
        yield attention_row(f"all arrays {name}", layout=dict.fromkeys(every, layout), **same)
    yield attention_row("one gradient for all rows", layout={"d_o": layouts.broadcast_along(-2)}, **same)
    yield attention_row(
        "gradient of a strided lag bias",
        n=5,
        heads=(2, 1),
        bias=(2, 5),
        causal=True,
        layout={"lag_bias": layouts.padded, "d_lag_bias": back(1)},
    )


def slice_rows():
    """Three slices of the keys of one problem, the last beyond every query: merging them must give the whole."""
    for first, n_k in ((0, 5), (5, 8), (13, 7)):
        yield attention_row(
            f"slice of keys {first} to {first + n_k}",
            n=13,
            n_k=n_k,
            batch=2,
            heads=(2, 1),
            bias=(2, 13),
            ranges=[(2, 13), (0, 9)],
            causal=True,
            causal_offset=0,
            key_offset=first,
            slice_of=("slices of keys", 20),
        )


def merge_row(name, parts, shape, spread=1.0, unseen=None, layout=None, in_place=None, dtypes=DTYPES):
    """unseen(part, row) tells which rows of which part have seen nothing."""
    row = {
        "name": name,
        "function": "attention_merge",
        "dtypes": dtypes,
        "parts": parts,
        "shape": list(shape),
        "spread": spread,
        "unseen": unseen or (lambda part, row: False),
        "layout": layout or {},
    }
    if in_place is not None:
        row["in_place"] = in_place
    return row


def merge_rows():
    for count in (1, 2, 3, 5):
        yield merge_row(f"{count} parts", count, [7, 3])
    yield merge_row("no rows", 2, [0, 3])
    yield merge_row("rows without columns", 2, [5, 0])
    yield merge_row("heads and batch", 3, [2, 3, 5, 2])
    yield merge_row("a part that sees nothing", 3, [7, 3], unseen=lambda part, row: part == 1)
    yield merge_row("the first part sees nothing", 2, [7, 3], unseen=lambda part, row: part == 0)
    yield merge_row("rows that no part sees", 3, [7, 3], unseen=lambda part, row: row % 3 == 0 or part == row % 2)
    yield merge_row("log-sum-exps to 1e4", 4, [13, 2], spread=1e4)
    yield merge_row("rows over several blocks", 2, [129, 1], unseen=lambda part, row: row == 64 + part)
    for layout in (layouts.fortran, layouts.padded, layouts.stepped, layouts.reversed_along(-1), layouts.reversed_along(0, 1)):
        name = layout([1, 1, 1])["name"]
        yield merge_row(f"all arrays {name}", 2, [2, 5, 3], layout=dict.fromkeys(("o_parts", "lse_parts", "o", "lse"), layout))
    yield merge_row("in place of the first part", 3, [7, 3], in_place=0)
    yield merge_row("in place of the last part", 3, [7, 3], in_place=2)


def fill_rows():
    most = 2**64 - 1
    for name, shape, arguments, layout in (
        ("seed 0, stream 0", [13], (0, 0, 0.0, 1.0), None),
        ("largest seed and stream", [9], (most, most, 0.0, 1.0), None),
        ("seed and stream in their high words", [9], (1 << 32, 1 << 40, -1.0, 1.0), None),
        ("limits that are no sums of powers of two", [31], (7, 3, -0.1, 0.3), None),
        ("wide limits", [7], (7, 3, -1e30, 2e30), None),
        ("low equals high", [5], (7, 3, 0.3, 0.3), None),
        ("four dimensions", [2, 3, 1, 5], (11, 2, -1.0, 1.0), None),
        ("no elements", [3, 0, 2], (11, 2, -1.0, 1.0), None),
        ("column-major", [5, 7], (11, 3, -1.0, 1.0), layouts.fortran),
        ("padded", [2, 3, 4], (11, 4, -1.0, 1.0), layouts.padded),
        ("reversed", [5, 7], (11, 5, -1.0, 1.0), layouts.reversed_along(0, 1)),
    ):
        seed, stream, low, high = arguments
        yield {
            "name": name,
            "function": "fill_uniform",
            "dtypes": DTYPES,
            "shape": shape,
            "fill": {"seed": seed, "stream": stream, "low": low, "high": high},
            "layout": {"x": layout} if layout else {},
        }
