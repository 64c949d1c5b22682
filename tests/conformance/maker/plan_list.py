"""What is tested of method auto and of plans: one row per case.

Exact rows ask for tol 0 on rows of case_list.py, whose oracle and budgets hold for it; so they do for short rows with any tol, and where
all but a few keys have no weight, whose gradients are exact however the rest is found. Approximate rows are long enough for
approximation to pay, and are compared with exact attention by the runner."""

import itertools

import build
import case_list
import layouts
import structures
from case_list import DTYPES, fill

FORWARD = (
    "n = 0, causal",
    "n = 1, causal",
    "n = 13, causal",
    "n = 37",
    "n = 65, causal, about a block",
    "d = 5, d_v = 31",
    "d_v = 0",
    "batch of 0",
    "no heads at all",
    "5 queries, 13 keys, offset 8",
    "7 queries, 7 keys, offset -3",
    "9 queries, 4 keys, offset 100",
    "5 queries, 0 keys, offset 0",
    "5 queries, 13 keys, not causal, no offset",
    "heads 4 over 2, no batch",
    "heads 6 over 3, batch 2",
    "scale -1.5",
    "lag bias per head, batch",
    "lag bias, negative lag_min, not causal",
    "lag bias with key ranges that need fewer lags",
    "padding on both sides, one empty",
    "ranges, slice and causal",
    "logits to 1e4",
    "all arrays fortran",
    "all arrays stepped",
    "all arrays reversed along axis 0, 1, 2",
    "keys broadcast along heads",
)
BACKWARD = (
    "n = 0",
    "n = 13, causal",
    "n = 37",
    "5 queries, 13 keys, offset 8",
    "heads 4 over 2, batch 2",
    "lag bias per head, batch",
    "padding left, causal",
    "scale -1.5",
    "all arrays padded",
)


PARTS = (1, 2, 4, 8, 16)  # each alone
GRADIENTS = ("attention_backward", "plan_backward")
SHORT = ("n = 13, causal", "heads 4 over 2, batch 2", "all arrays padded")


def chosen(rows, names):
    rows = {row["name"]: row for row in rows}
    return [rows[name] for name in names]


def exact_rows():
    """Rows of case_list.py with the function that is called on them, and what is asked of method auto."""
    forward, backward = chosen(case_list.attention_rows(), FORWARD), list(case_list.backward_rows())
    yield from ((row, function, {"tol": 0.0}) for row, function in itertools.product(forward, ("attention", "plan_apply")))
    yield from ((row, "plan_backward", {"tol": 0.0}) for row in chosen(backward, BACKWARD))
    short = chosen(backward, SHORT)
    yield from ((row, function, {"tol": 0.1}) for row, function in itertools.product(short, GRADIENTS))


def attending_rows():
    """The same of rows most of whose keys have no weight, with enough tokens not to be exact by their number."""
    n, tol = 1024, {"tol": 0.1}
    q, k = (build.literal(x) for x in structures.attending("few runs of keys", n))
    row = case_list.attention_row("few runs of keys", n=n, d=1, scale=1.0)
    single, double = ({**row, "inputs": {**row["inputs"], "q": q, "k": k}, "dtypes": (dtype,)} for dtype in DTYPES)
    yield single, "attention_backward", {**tol, "estimate": "screened"}
    yield double, "plan_backward", {**tol, "estimate": "sampled", "parts": 7}


def long_row(name, n, function="plan_apply", values=True, prefix=None, bias=None, **rest):
    """values: whether the plan is made with v; prefix: rows of a shorter sequence that must give the same bits; bias: a whole input."""
    settings = {"d": 32, "heads": (2, 1), "causal": True, **rest}
    row = case_list.attention_row(name, n=n, **settings)
    if bias:
        row["inputs"]["lag_bias"] = bias
    return {**row, "function": function, "values": values, "prefix": prefix}


def decay(n, slope):
    """A bias that falls with the lag, as in ALiBi."""
    return {"shape": [1, n], "values": [-slope * lag for lag in range(n)]}


def approximate_rows():
    near = {"n": 2048, "bias": decay(2048, 1 / 16), "dtypes": ("float32",)}
    one_query = {"q": layouts.broadcast_along(-2)}
    yield long_row("short", n=100, tol=0.1)
    yield long_row("near keys", tol=0.1, function="attention", **{**near, "dtypes": DTYPES})
    yield long_row("near keys, random values", tol=0.05, values=False, **near)
    yield long_row("near keys, no parts", tol=0.1, parts=0, **near)
    yield long_row("few keys for all queries", n=2048, tol=0.1, amplitude=2.0, layout=one_query)
    yield long_row("keys anywhere, screened", n=2048, tol=0.1, amplitude=3.0, estimate="screened")
    yield long_row("keys anywhere, sampled", n=2048, tol=0.1, amplitude=3.0, estimate="sampled")
    anywhere = {"n": 2048, "amplitude": 3.0, "estimate": "sampled", "dtypes": ("float32",)}
    for parts in PARTS:
        yield long_row(f"keys anywhere, parts {parts}", tol=0.1, parts=parts, **anywhere)
    for parts in (6, 24):
        yield long_row(f"keys anywhere, parts {parts}", tol=0.1, parts=parts, function="attention", **anywhere)
    for parts in (3, 9):
        yield long_row(f"a budget of half, parts {parts}", budget=0.5, parts=parts, **anywhere)
    yield long_row("even weights", n=2048, tol=0.1, amplitude=0.5, dtypes=("float32",))
    yield long_row("weights by lag", n=2048, tol=0.1, amplitude=0.1, bias=lags(2048), dtypes=("float32",))
    yield long_row("a seed", n=2048, tol=0.1, amplitude=2.0, seed=2**40 + 1, dtypes=("float32",))
    yield long_row(
        "fewer queries than keys, in batches",
        n=500,
        n_k=2500,
        batch=2,
        ranges=[(0, 2500), (100, 2300)],
        tol=0.1,
        amplitude=2.0,
        causal=False,
        function="attention",
        dtypes=("float32",),
    )
    yield long_row("last queries", n=300, n_k=4000, causal_offset=3700, tol=0.1, amplitude=2.0, dtypes=("float32",))
    strided = {"q": layouts.heads_inside, "k": layouts.reversed_along(-1), "v": layouts.heads_inside, "o": layouts.heads_inside}
    yield long_row("strided", n=2048, heads=(4, 2), tol=0.1, amplitude=2.0, layout=strided, dtypes=("float32",))
    yield long_row("a budget of a quarter", n=2048, budget=0.25, amplitude=2.0)
    yield long_row("a budget of 200 keys", n=2048, budget=200.0, amplitude=2.0, function="attention", dtypes=("float32",))
    yield long_row("a longer sequence, strict", n=2100, prefix=1500, tol=0.1, strict_causal=True, amplitude=2.0)
    yield long_row(
        "a longer sequence of near keys, strict", prefix=1100, tol=0.1, strict_causal=True, function="attention", **near
    )


def lags(n):
    return {"shape": [2, n], "fill": fill("weights by lag", 3, -20.0, 0.0)}
