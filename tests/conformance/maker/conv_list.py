"""What is tested of conv bases: one row per case, as in case_list.py.

starts: a list, or a list per head of each batch element; n marks a basis that a head lacks. The arrays that a basis is made of
follow from made_by: starts and kernels for create, h for from_dense, q and k for recover and fit (structures.py)."""

import itertools

import layouts
from case_list import DTYPES, fill

BACK = layouts.reversed_along


def spread(n, k, first=0):
    """Starts of k bases, even over the columns from `first`."""
    return [first + (n - first) * r // k for r in range(k)]


def row(name, function, **settings):
    """made: options of the call that makes the basis; options: of the function itself."""
    defaults = {
        "dtypes": DTYPES,
        "made_by": "create",
        "made": {"cumulative": True},
        "options": {},
        "layout": {},
        "lead": [],
        "exp": False,
    }
    return {**defaults, "name": name, "function": function, **settings}


def basis_row(
    name, function, n, starts, columns=2, lead=(), heads_v=None, kernel_range=(-1.0, 1.0), value_range=(-1.0, 1.0), **settings
):
    """lead: [batch, heads] of the basis, or what is there of it; heads_v: of v, where it has fewer."""
    k = len(starts) if not lead or not starts else len(starts[0]) if isinstance(starts[0], list) else len(starts)
    lead = list(lead)
    repeated = starts if starts and isinstance(starts[0], list) else [starts] * int(count(lead))
    inputs = {
        "starts": {"dtype": "int64", "shape": [*lead, k], "values": [s for of_head in repeated for s in of_head]},
        "kernels": {"shape": [*lead, k, n], "fill": fill(name, 0, *kernel_range)},
    }
    lead_v = lead if heads_v is None else [*lead[:-1], heads_v]
    argument = {"conv_basis_apply": "v", "conv_basis_get": None, "conv_basis_to_dense": None}.get(function, "x")
    if argument:
        inputs[argument] = {"shape": [*(lead_v if argument == "v" else lead), n, columns], "fill": fill(name, 1, *value_range)}
    return row(name, function, inputs=inputs, lead=lead, **settings)


def count(lead):
    product = 1
    for extent in lead:
        product *= extent
    return product


def sizes(function):
    for n in (0, 1, 2, 3, 7, 31, 64, 65):
        yield basis_row(f"n = {n}", function, n, [0] if n else [])
    yield basis_row("n = 0, a basis that is lacking", function, 0, [0])
    yield basis_row("n = 257, k = 5", function, 257, spread(257, 5), columns=1)
    yield basis_row("no bases", function, 5, [])
    yield basis_row("a basis per column", function, 7, list(range(7)))
    yield basis_row("the last column only", function, 7, [6])
    yield basis_row("no columns", function, 7, [0, 3], columns=0)
    yield basis_row("17 columns", function, 13, [0, 3], columns=17)


def many_bases(function, counts=range(1, 9)):
    for k, first in itertools.product(counts, (0, 5)):
        yield basis_row(f"k = {k} from column {first}", function, 37, spread(37, k, first), columns=1)


def increments(function):
    for k in (1, 3, 8):
        yield basis_row(f"increments, k = {k}", function, 23, spread(23, k, 2), made={})


def heads(function):
    yield basis_row("heads with different starts", function, 9, [[0, 4, 9], [9, 9, 9], [1, 2, 8]], lead=[3])
    for lead in ([2], [2, 3]):
        yield basis_row(f"leading extents {lead}", function, 7, [1, 3], lead=lead)


def strided(function, names, n=7):
    for layout in (layouts.fortran, layouts.padded, layouts.stepped, BACK(-1), BACK(0, 1)):
        name = layout([1, 1, 1, 1])["name"]
        yield basis_row(f"all arrays {name}", function, n, [0, 2], lead=[2, 2], layout=dict.fromkeys(names, layout))
    yield basis_row("one kernel for all heads", function, n, [0, 2], lead=[3], layout={"kernels": layouts.broadcast_along(0)})


def apply_rows():
    f = "conv_basis_apply"
    every = ("starts", "kernels", "v", "o", "lse")
    yield from itertools.chain(sizes(f), many_bases(f), increments(f), heads(f), strided(f, every))
    for (h, h_v), batch in itertools.product(((4, 1), (4, 2), (6, 3)), ([], [2])):
        yield basis_row(f"heads {h} over {h_v}, batch {batch}", f, 5, [0, 2], lead=[*batch, h], heads_v=h_v)
    yield basis_row("heads inside rows", f, 7, [0, 3], lead=[2, 2], layout=dict.fromkeys("vo", layouts.heads_inside))
    yield basis_row("one value for all keys", f, 7, [0, 3], layout={"v": layouts.broadcast_along(-2)})
    for dtype, reach in (("float32", 10.0), ("float32", 80.0), ("float64", 10.0), ("float64", 600.0)):
        for n, starts in ((13, [0, 4]), (65, [0, 20, 41]), (65, [3])):
            name = f"logits to {reach:g}, n = {n}, from column {starts[0]}"
            yield basis_row(name, f, n, starts, kernel_range=(-reach, reach), dtypes=(dtype,))
    yield basis_row("all logits near 70", f, 33, [0, 9], kernel_range=(69.0, 71.0))
    yield basis_row("all logits near -70", f, 33, [0, 9], kernel_range=(-71.0, -69.0))
    yield basis_row("values far from zero", f, 13, [0, 9], value_range=(1000.0, 1001.0))
    for n in (13, 257):
        yield basis_row(f"strictly causal, n = {n}", f, n, spread(n, 3), columns=1, options={"strict_causal": True})
    yield {**basis_row("without lse", f, 13, [0, 9]), "without": ("lse",)}
    yield basis_row("finite check off", f, 13, [0, 9], options={"check_finite": False})


def multiply_rows():
    for f in ("conv_basis_multiply", "conv_basis_multiply_transposed"):
        yield from itertools.chain(
            sizes(f), many_bases(f, (1, 4, 8)), increments(f), heads(f), strided(f, ("starts", "kernels", "x", "y"))
        )
        for starts in ([0, 4], [3], []):
            yield basis_row(f"of exp, starts {starts}", f, 13, starts, exp=True)
        yield basis_row("of exp, n = 65", f, 65, spread(65, 3, 1), exp=True, columns=1)
    yield basis_row("strictly causal", "conv_basis_multiply", 65, [0, 30], columns=1, options={"strict_causal": True})


def apply_transposed_rows():
    f = "conv_basis_apply_transposed"
    yield from itertools.chain(
        sizes(f), many_bases(f, (1, 8)), increments(f), heads(f), strided(f, ("starts", "kernels", "x", "y"))
    )
    for dtype, reach in (("float32", 80.0), ("float64", 600.0)):
        for starts in ([0, 4], [3]):
            name = f"logits to {reach:g}, from column {starts[0]}"
            yield basis_row(name, f, 13, starts, kernel_range=(-reach, reach), dtypes=(dtype,))


def round_trip_rows():
    for f, outputs in (("conv_basis_get", ("starts_out", "kernels_out")), ("conv_basis_to_dense", ("h_out",))):
        yield basis_row("a basis per column", f, 5, list(range(5)))
        yield basis_row("no bases", f, 5, [])
        yield basis_row("n = 0", f, 0, [])
        yield basis_row("heads with different starts", f, 5, [[0, 3], [5, 5], [1, 5]], lead=[3])
        yield basis_row("batch and heads", f, 5, [1, 3], lead=[2, 2])
        yield basis_row("of exp", f, 7, [2, 4], exp=True)
        yield basis_row("of exp of increments", f, 7, [0, 4], exp=True, made={})
        yield basis_row("from increments", f, 7, [0, 2, 6], made={})
        for layout in (layouts.fortran, layouts.padded, BACK(-1)):
            name = layout([1, 1, 1])["name"]
            yield basis_row(f"outputs {name}", f, 5, [0, 3], lead=[2], layout=dict.fromkeys(outputs, layout))
        if f == "conv_basis_get":
            yield basis_row("increments in, cumulative out", f, 7, [0, 2, 6], made={}, options={"cumulative": True})
            yield basis_row("cumulative in, increments out", f, 7, [0, 2, 6], options={"cumulative": False})
            yield basis_row("increments in and out", f, 7, [0, 2, 6], made={}, options={"cumulative": False})
        for name, n, starts, lead in DENSE:
            yield dense_row(f"dense: {name}", f, n, starts, lead)
    yield dense_row("dense: strided", "conv_basis_get", 5, [[0, 2], [1, 3]], [2], layout={"h": layouts.padded})


DENSE = (
    ("a basis per column", 6, list(range(6)), []),
    ("two bases", 7, [0, 3], []),
    ("later columns only", 7, [4], []),
    ("the zero matrix", 5, [], []),
    ("one entry", 1, [0], []),
    ("no entries", 0, [], []),
    ("heads with different starts", 5, [[0, 2], [5, 5], [3, 5]], [3]),
)


def dense_row(name, function, n, starts, lead, **settings):
    """h is the matrix of these starts and of random kernels."""
    source = basis_row(name, function, n, starts, lead=lead)
    return row(name, function, lead=list(lead), made_by="from_dense", made={}, source=source["inputs"], n=n, **settings)


def structured_row(name, function, n, starts, window, d=4, d_v=2, batch=None, heads=None, constant=False, asked=None, **settings):
    """q and k of structures.py; the options of recovery are the row's `made`, with conv_delta from the structure."""
    shape = {"n": n, "d": d, "starts": starts, "batch": batch, "heads": heads, "constant": constant}
    most = max(len(s) for s in starts) if starts and isinstance(starts[0], list) else len(starts)
    made = {"bases": most if asked is None else asked, "conv_window": window, **settings.pop("made", {})}
    return row(name, function, structure=shape, d_v=d_v, made_by="recover", made=made, **settings)


def fitted_row(name, function, n, starts, made, **settings):
    """q and k of structures.py, whose basis a fit finds too; its logits lack a constant per row, and so lse is left open."""
    shape = {"n": n, "d": 4, "starts": starts, "batch": None, "heads": None, "constant": False, **settings.pop("shape", {})}
    return row(name, function, structure=shape, d_v=2, made_by="fit", made=made, without=("lse", "kernels_out"), **settings)


def recover_rows():
    f = "conv_basis_get"
    cumulative = {"options": {"cumulative": True}}
    for n, starts, window in (
        (1, [0], 1),
        (2, [0, 1], 1),
        (7, [0], 3),
        (13, [0, 4], 3),
        (31, [0, 9, 10, 26], 4),
        (37, [5, 18], 6),
    ):
        yield structured_row(f"recovered, n = {n}, starts {starts}", f, n, starts, window, **cumulative)
    yield structured_row("recovered increments", f, 13, [2, 4, 9], 3)
    yield structured_row("recovered, the last column", f, 13, [3, 12], 1, **cumulative)
    yield structured_row("recovered, every column", f, 6, list(range(6)), 1, **cumulative)
    yield structured_row("recovered, constant on pieces", f, 17, [0, 5, 11], 4, constant=True, **cumulative)
    yield structured_row("recovered, more bases asked for", f, 13, [0, 4], 3, asked=5, **cumulative)
    yield structured_row("recovered, window n", f, 13, [0], 13, **cumulative)
    yield structured_row("recovered, scale", f, 13, [0, 4], 3, made={"scale": -0.75}, **cumulative)
    yield structured_row("recovered, eps given", f, 13, [0, 4], 3, made={"conv_eps": 0.001}, **cumulative)
    yield structured_row("recovered, heads", f, 13, [[0, 4], [3, 7]], 3, batch=2, heads=(4, 2), **cumulative)
    yield structured_row("recovered, heads with fewer bases", f, 13, [[0, 4], [3]], 3, heads=(2, 2), **cumulative)
    layout = {"q": layouts.padded, "k": BACK(-1), "starts_out": layouts.fortran, "kernels_out": layouts.stepped}
    yield structured_row("recovered, strided", f, 13, [[0, 4], [3, 7]], 3, heads=(4, 2), layout=layout, **cumulative)
    for n, starts in ((13, [0, 4]), (65, [7, 30])):
        yield structured_row(f"recovered, n = {n}", "conv_basis_apply", n, starts, 3)


def attention_rows():
    """Method conv_basis in the functions of attention themselves: the options of recovery are theirs."""
    for f in ("attention", "attention_backward"):
        yield structured_row("conv basis, from column 0", f, 13, [0, 4], 3)
        yield structured_row("conv basis, from column 5", f, 13, [5, 9], 3)
        yield structured_row("conv basis, constant on pieces", f, 17, [0, 5, 11], 4, constant=True, made={"scale": 0.5})
        yield structured_row("conv basis, heads and batch", f, 9, [[0, 4], [3, 6]], 3, batch=2, heads=(4, 2))
    yield structured_row("conv basis, n = 65", "attention", 65, [0, 20, 41], 5)
    yield structured_row("conv basis, strictly causal", "attention", 33, [0, 20], 5, made={"strict_causal": True})
    for bias in ((1, 13), (4, 13)):
        yield structured_row(f"conv basis, lag bias {bias}", "attention", 13, [[0, 4], [3, 7]], 3, heads=(4, 2), bias=bias)
    layout = {"q": layouts.padded, "k": layouts.fortran, "v": BACK(-1), "o": layouts.padded, "lse": layouts.stepped}
    yield structured_row("conv basis, strided", "attention", 9, [[0, 4], [3, 6]], 3, batch=2, heads=(4, 2), layout=layout)


def fit_rows():
    """As many bases as there are, or more; a tolerance that fewer do not meet; and a basis per column, which any q and k have."""
    f = "conv_basis_apply"
    yield fitted_row("fitted, one basis", f, 13, [0], {"bases": 1})
    yield fitted_row("fitted, n = 65", f, 65, [0, 20, 41], {"bases": 3, "scale": 0.25})
    yield fitted_row("fitted, from column 5", f, 33, [5, 17], {"bases": 3})
    yield fitted_row("fitted, a basis per column", f, 6, list(range(6)), {"bases": 6})
    yield fitted_row("fitted to a tolerance", f, 65, [0, 30], {"tol": 1e-3, "seed": 1})
    heads = {"batch": 2, "heads": (4, 2)}
    yield fitted_row("fitted, heads and batch", f, 9, [[0, 4], [0, 6]], {"bases": 2}, shape=heads)
    yield fitted_row("fitted, starts", "conv_basis_get", 37, [0, 9, 26], {"bases": 3})
    for f in ("attention", "attention_backward"):
        yield fitted_row("conv basis, fitted", f, 17, [0, 9], {"bases": 2})


def backward_rows():
    f = "conv_basis_backward"
    for method in ("conv_basis", "exact"):
        options = {"backward": method}
        yield structured_row(f"by {method}, k = 1", f, 13, [0], 3, options=options)
        yield structured_row(f"by {method}, k = 3", f, 17, [2, 5, 11], 3, d_v=3, options=options)
        yield structured_row(f"by {method}, heads and batch", f, 7, [[0, 4], [2, 5]], 2, batch=2, heads=(4, 2), options=options)
    options = {"backward": "conv_basis", "scale": -0.75}
    yield structured_row("scale", f, 13, [0, 4], 3, made={"scale": -0.75}, options=options)
    yield structured_row("n = 65", f, 65, [0, 30], 3, d=2, d_v=1, options={"backward": "conv_basis"})
    yield structured_row("n = 1", f, 1, [0], 1, options={"backward": "conv_basis"})
    layout = dict.fromkeys(("q", "k", "v", "d_o", "dq", "dk", "dv"), layouts.padded)
    yield structured_row("strided", f, 7, [0, 4], 2, heads=(2, 1), options={"backward": "conv_basis"}, layout=layout)


def loss_row(name, n, d, d_v, starts=None, window=None, **settings):
    """starts: of the pieces on which a2 is constant, a1 being constant throughout: then method conv_basis has no error."""
    return row(name, "attention_loss", n=n, d=d, d_v=d_v, starts=starts, window=window, **settings)


def loss_rows():
    for n, d, d_v in ((1, 1, 1), (2, 3, 2), (13, 3, 2), (13, 4, 5), (65, 2, 1)):
        yield loss_row(f"exact, n = {n}, d = {d}, d_v = {d_v}", n, d, d_v, options={"method": "exact"})
    yield loss_row("exact, scale", 7, 3, 2, options={"scale": 0.25})
    yield {**loss_row("exact, the loss alone", 7, 3, 2), "without": ("grad_x",)}
    layout = dict.fromkeys(("a1", "a2", "a3", "x", "y", "e", "grad_x"), layouts.padded)
    yield loss_row("exact, strided", 7, 3, 2, layout=layout)
    for backward in ("conv_basis", "exact"):
        options = {"method": "conv_basis", "backward": backward}
        yield loss_row(f"by conv_basis, backward {backward}", 17, 3, 2, [0, 5, 11], 4, options=options)
    yield loss_row(
        "by conv_basis, from column 2", 13, 4, 3, [2, 9], 3, options={"method": "conv_basis", "backward": "conv_basis"}
    )


def rows():
    for family in (
        apply_rows,
        multiply_rows,
        apply_transposed_rows,
        round_trip_rows,
        recover_rows,
        attention_rows,
        fit_rows,
        backward_rows,
        loss_rows,
    ):
        yield from family()
