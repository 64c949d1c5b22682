"""What is tested of sparsifiers: one row per case, as in case_list.py.

x, or q and k: a function of the dtype that gives a MATRIX of the README; its numbers follow from the case's name."""

import numpy as np

import layouts
import philox
import sparsify_matrices
from case_list import DTYPES, fill

EXACT = {"sparsify_certify": "exact"}


def uniform(name, shape, stream=0, low=-1.0, high=1.0, layout=None, **more):
    """A dense matrix by fill."""
    spec = {"shape": list(shape), "fill": fill(name, stream, low, high), **more}
    return lambda dtype: spec | ({"layout": layout(list(shape))} if layout else {})


def given(make, **more):
    """A dense matrix by its values; make gives them in double, and they are rounded to the dtype."""

    def spec(dtype):
        x = make().astype(dtype)
        return {"shape": list(x.shape), "values": x.ravel(), **more}

    return spec


def sparse(name, shape, share, layout, **settings):
    spec = sparsify_matrices.random_sparse(name, 0, list(shape), share, layout, **settings)
    return lambda dtype: spec


def row(name, function, **settings):
    """told: texts that the report must hold, by key."""
    return {"name": name, "function": function, "dtypes": DTYPES, "options": {}, "layout": {}, **settings}


def numbers(name, shape, stream=0, low=-1.0, high=1.0):
    return philox.fill_uniform(list(shape), "float64", **fill(name, stream, low, high))


def whole(name, shape):
    """Small whole numbers, sums of which are exact."""
    return np.floor(numbers(name, shape, low=-3.0, high=4.0))


def dependent_rows(name, shape):
    """Row 2 is row 0, row 3 the sum of rows 0 and 1, row 4 zero."""
    x = whole(name, shape)
    x[2], x[3], x[4] = x[0], x[0] + x[1], 0
    return x


def dependent_columns(name, shape):
    """Columns 1 and 4 are zero, column 3 is column 2."""
    x = numbers(name, shape)
    x[:, [1, 4]] = 0
    x[:, 3] = x[:, 2]
    return x


def near_rows(name, shape, distance):
    """The last row is nearly the first."""
    x = numbers(name, shape)
    x[-1] = x[0] + distance * x[-1]
    return x


def uneven_rows(name, shape):
    """Rows whose sizes lie 30 orders of magnitude apart."""
    return numbers(name, shape) * np.array([1e15, 1, 1e-15, 1e3])[: shape[0], None]


def few_columns(name, shape, count):
    """All but `count` columns are zero."""
    x = numbers(name, shape)
    x[:, : shape[1] - 2 * count : 1] = 0
    x[:, -1 : -2 * count : -2] = 0
    return x


def one_large_column(name, shape):
    x = numbers(name, shape)
    x[:, shape[1] // 2] *= 1000
    return x


def matrices():
    """(name, x, dtypes): matrices of every kind that scores are asked of."""
    for shape in ((0, 5), (3, 0), (1, 1), (1, 7), (5, 2), (3, 3), (4, 9), (8, 40), (7, 65), (2, 257)):
        name = f"{shape[0]} x {shape[1]}"
        yield name, uniform(name, shape), DTYPES
    yield "all zero", uniform("zero", (3, 5), low=0.0, high=0.0), DTYPES
    yield "dependent rows", given(lambda: dependent_rows("dependent rows", (5, 12))), DTYPES
    yield "zero and equal columns", given(lambda: dependent_columns("columns", (4, 11))), DTYPES
    yield "fewer columns than rows, dependent", given(lambda: dependent_rows("few columns", (6, 3))), DTYPES
    yield "rows of sizes far apart", given(lambda: uneven_rows("uneven", (4, 17))), DTYPES
    yield "one large column", given(lambda: one_large_column("large", (4, 21))), DTYPES
    yield "condition near 1e6", given(lambda: near_rows("near", (4, 15), 1e-6)), ("float64",)
    yield "condition near 1e2", given(lambda: near_rows("near", (4, 15), 1e-2)), DTYPES
    for layout in (layouts.fortran, layouts.padded, layouts.stepped, layouts.reversed_along(0, 1), layouts.broadcast_along(1)):
        name = layout([1, 1])["name"]
        yield name, uniform(name, (4, 13), layout=layout), DTYPES
    for width in (1, 3, 0):
        yield f"blocks of {width or 'any width'}", uniform("blocks", (4, 13), blocks=width), DTYPES
    yield "blocks as wide as x", uniform("blocks", (4, 13), blocks=13), DTYPES


def sparse_matrices():
    for layout in ("csc", "csr"):
        for index_dtype, base in (("int32", 0), ("int32", 1), ("int64", 0), ("int64", 1)):
            name = f"{layout}, {index_dtype}, base {base}"
            yield name, sparse(name, (5, 19), 0.4, layout, dtype=index_dtype, base=base), DTYPES
        yield f"{layout}, places named twice", sparse(f"{layout} twice", (5, 17), 0.5, layout, twice=True), DTYPES
        yield f"{layout}, mostly empty columns", sparse(f"{layout} thin", (4, 60), 0.06, layout), DTYPES
        yield f"{layout}, nothing stored", sparse(f"{layout} empty", (4, 9), 0.0, layout), DTYPES
        yield f"{layout}, no columns", sparse(f"{layout} none", (4, 0), 1.0, layout), DTYPES
        yield f"{layout}, everything stored", sparse(f"{layout} full", (3, 7), 1.1, layout), DTYPES
    yield "csc, rows in no order", sparse("shuffled", (6, 17), 0.6, "csc", shuffled=True), DTYPES
    yield "csc, rows in no order and twice", sparse("all of it", (6, 17), 0.5, "csc", shuffled=True, twice=True), DTYPES


def score_rows():
    for make in (matrices, sparse_matrices):
        for name, x, dtypes in make():
            yield row(name, "leverage_scores", x=x, dtypes=dtypes, options={"sparsify_scores": "exact"})
    layout = {"scores": layouts.reversed_along(0)}
    yield row(
        "scores reversed", "leverage_scores", x=uniform("back", (3, 8)), options={"sparsify_scores": "exact"}, layout=layout
    )
    yield row(
        "finite check off",
        "leverage_scores",
        x=uniform("off", (3, 8)),
        options={"sparsify_scores": "exact", "check_finite": False},
    )


def signs(count):
    """Three orthogonal rows of 1 and -1: every column has the score 3 / count."""
    return (-1.0) ** (np.arange(count)[None, :] >> np.arange(3)[:, None])


def sketched_rows():
    """What is small enough to need no sketch has exact scores whatever is asked for; else they are within the factor of a sketch alone,
    the rank being so low that nothing is projected."""
    sketch = {"sparsify_scores": "sketch"}
    for name, x in (("4 x 30", uniform("sketched", (4, 30))), ("csr", sparse("sketched csr", (4, 30), 0.4, "csr"))):
        yield row(f"sketch, {name}", "leverage_scores", x=x, options=sketch, told={"scores": "exact"})
    for name, count, more in (("3 x 256", 256, {}), ("3 x 200 in blocks", 200, {"blocks": 30})):
        x = given(lambda count=count: signs(count), **more)
        yield row(f"sketch, {name}", "leverage_scores", x=x, kind="sketched", options=sketch, told={"scores": "sketch"})
    seeded = given(lambda: signs(160))
    yield row(
        "sketch, a seed and delta",
        "leverage_scores",
        x=seeded,
        kind="sketched",
        options={**sketch, "seed": 7, "sparsify_delta": 0.1},
        told={"scores": "sketch"},
    )


def x_itself(name, x, method, **options):
    return row(name, "sparsify", x=x, kind="itself", options={"sparsify_method": method, **EXACT, **options})


def itself_rows():
    """m >= d."""
    for method in ("leverage", "deterministic"):
        for d in (1, 5, 9):
            name = f"{method}, as many columns as x, d = {d}"
            yield x_itself(name, uniform(name, (3, d)), method, sparsify_columns=d)
        name = f"{method}, more columns than x"
        yield x_itself(name, uniform(name, (3, 7)), method, sparsify_columns=1000)
        yield x_itself(f"{method}, no rows", uniform("no rows", (0, 4)), method, sparsify_columns=4)
        yield x_itself(f"{method}, no columns", uniform("no columns", (3, 0)), method, sparsify_columns=4)
        yield x_itself(f"{method}, csc, all of it", sparse("csc itself", (4, 7), 0.5, "csc", base=1), method, sparsify_columns=7)
        yield x_itself(f"{method}, csr, all of it", sparse("csr itself", (4, 7), 0.5, "csr"), method, sparsify_columns=7)
        yield x_itself(f"{method}, blocks, all of it", uniform("blocks itself", (4, 7), blocks=2), method, sparsify_columns=8)
    yield x_itself("gram, fewer columns than rows", uniform("gram itself", (5, 3)), "gram")
    yield x_itself("gram, no columns", uniform("gram nothing", (3, 0)), "gram")


def sampled_row(name, x, **settings):
    return row(f"sampled, {name}", "sparsify", x=x, kind="sampled", options={**EXACT, **settings.pop("options")}, **settings)


def sampled_rows():
    """At most 128 columns, so that the library has no sketch and exact scores."""
    for columns in (1, 2, 5, 11):
        name = f"{columns} of 12 columns"
        yield sampled_row(name, uniform(name, (3, 12)), options={"sparsify_columns": columns})
    yield sampled_row("20 of 128 columns", uniform("of 128", (4, 128)), options={"sparsify_columns": 20}, dtypes=("float64",))
    most, columns = 2**63 - 1, {"sparsify_columns": 8}
    for seed in (1, 2, most):
        yield sampled_row(f"seed {seed}", uniform("of a seed", (4, 40)), options={**columns, "seed": seed})
    yield sampled_row("method named", uniform("named", (3, 15)), options={**columns, "sparsify_method": "leverage"})
    yield sampled_row("one row", uniform("one row", (1, 20)), options=columns)
    yield sampled_row("dependent rows", given(lambda: dependent_rows("sampled", (5, 30))), options=columns)
    yield sampled_row("zero and equal columns", given(lambda: dependent_columns("sampled", (4, 15))), options=columns)
    few = given(lambda: few_columns("few", (3, 12), 6))
    for m in (5, 6, 9):
        yield sampled_row(f"6 columns that are not zero, {m} asked for", few, options={"sparsify_columns": m})
    yield sampled_row("rows of sizes far apart", given(lambda: uneven_rows("sampled", (4, 30))), options=columns)
    near = given(lambda: near_rows("sampled", (4, 30), 1e-6))
    yield sampled_row("condition near 1e6", near, options=columns, dtypes=("float64",))
    yield sampled_row(
        "one large column", given(lambda: one_large_column("sampled", (3, 30))), options=columns, dtypes=("float64",)
    )
    for layout in (layouts.fortran, layouts.padded, layouts.reversed_along(0, 1)):
        name = layout([1, 1])["name"]
        yield sampled_row(name, uniform(f"sampled {name}", (4, 30), layout=layout), options=columns)
    for layout in ("csc", "csr"):
        for index_dtype, base in (("int32", 0), ("int64", 1)):
            name = f"{layout}, {index_dtype}, base {base}"
            yield sampled_row(
                name, sparse(f"sampled {name}", (4, 50), 0.3, layout, dtype=index_dtype, base=base), options=columns
            )
    twice = sparse("sampled twice", (4, 40), 0.4, "csc", shuffled=True, twice=True)
    yield sampled_row("csc, rows in no order and twice", twice, options=columns)
    for width in (1, 7, 0):
        yield sampled_row(f"blocks of {width or 'any width'}", uniform("sampled blocks", (4, 30), blocks=width), options=columns)


def eps_rows():
    """With few rows, many columns and a large eps some columns are left out."""
    for eps in (0.9, 0.999999):
        for delta in (0.01, 0.4):
            name = f"eps = {eps}, delta = {delta}"
            yield sampled_row(
                name, uniform(name, (2, 128)), options={"sparsify_eps": eps, "sparsify_delta": delta}, dtypes=("float64",)
            )
    yield sampled_row("eps = 0.05, which keeps all", uniform("keeps all", (3, 10)), options={"sparsify_eps": 0.05})


def gram_rows():
    for name, x, dtypes in (*matrices(), *sparse_matrices()):
        if x("float64")["shape"][1] > x("float64")["shape"][0] > 0:
            yield row(f"gram, {name}", "sparsify", x=x, kind="gram", dtypes=dtypes, options={"sparsify_method": "gram", **EXACT})


def deterministic_row(name, x, **settings):
    options = {"sparsify_method": "deterministic", **EXACT, **settings.pop("options")}
    return row(f"deterministic, {name}", "sparsify", x=x, kind="deterministic", options=options, **settings)


def deterministic_rows():
    for columns in (4, 6, 12, 24):
        name = f"{columns} of 40 columns"
        yield deterministic_row(name, uniform(name, (3, 40)), options={"sparsify_columns": columns})
    for eps in (0.3, 0.8):
        name = f"eps = {eps}"
        yield deterministic_row(name, uniform(name, (2, 150)), options={"sparsify_eps": eps})
    columns = {"sparsify_columns": 9}
    yield deterministic_row("one row", uniform("one row", (1, 20)), options=columns)
    yield deterministic_row("dependent rows", given(lambda: dependent_rows("det", (5, 30))), options=columns)
    yield deterministic_row("zero and equal columns", given(lambda: dependent_columns("det", (4, 30))), options=columns)
    yield deterministic_row("one large column", given(lambda: one_large_column("det", (4, 30))), options=columns)
    yield deterministic_row("rows of sizes far apart", given(lambda: uneven_rows("det", (4, 30))), options=columns)
    near = given(lambda: near_rows("det", (4, 30), 1e-6))
    yield deterministic_row("condition near 1e6", near, options=columns, dtypes=("float64",))
    yield deterministic_row("column-major", uniform("det major", (4, 30), layout=layouts.fortran), options=columns)
    yield deterministic_row("csc", sparse("det csc", (4, 60), 0.3, "csc", base=1), options=columns)
    yield deterministic_row("csr", sparse("det csr", (4, 60), 0.3, "csr", dtype="int64"), options=columns)
    yield deterministic_row("blocks", uniform("det blocks", (4, 30), blocks=7), options=columns)


def certified_rows():
    """Other certificates than the exact one. Where a method has whitened exactly, each is exact but none. Elsewhere the exact value is
    known only for a selection that is not random: of all columns that are not zero."""
    x, columns = uniform("certified", (4, 40)), {"sparsify_columns": 12}
    for certify, found in (("none", "none"), ("auto", "exact"), ("estimate", "exact")):
        asked, told = {"sparsify_certify": certify}, {"certificate": found}
        for method, options in (("leverage", columns), ("deterministic", columns), ("gram", {})):
            kind = "sampled" if method == "leverage" else method
            options = {"sparsify_method": method, **options, **asked}
            yield row(f"certified by {certify}, {method}", "sparsify", x=x, kind=kind, options=options, told=told)
    few = sparse("certified csc", (12, 300), 0.02, "csc")
    for certify in ("auto", "estimate"):
        options = {"sparsify_columns": 200, "sparsify_certify": certify}
        told = {"certificate": "estimate"}
        yield row(f"certified by {certify}, all columns", "sparsify", x=few, kind="sampled", options=options, told=told)


def pair_rows():
    def pair(name, q, k, kind, **options):
        return row(name, "sparsify_pair", q=q, k=k, kind=kind, options={**EXACT, **options})

    q, k = uniform("pair", (3, 9)), uniform("pair", (4, 9), 1)
    yield pair("itself", q, k, "itself", sparsify_columns=9)
    yield pair("gram", q, k, "gram", sparsify_method="gram")
    yield pair("sampled", uniform("pair sampled", (2, 30)), uniform("pair sampled", (3, 30), 1), "sampled", sparsify_columns=9)
    sampled = sparse("sampled csc", (2, 30), 0.5, "csc"), sparse("sampled csr", (3, 30), 0.5, "csr", base=1)
    yield pair("sampled, csc and csr", *sampled, "sampled", sparsify_columns=9)
    yield pair("deterministic", q, k, "deterministic", sparsify_method="deterministic", sparsify_columns=8)
    yield pair(
        "gram, queries sparse", sparse("pair csc", (3, 12), 0.5, "csc"), uniform("mixed", (2, 12)), "gram", sparsify_method="gram"
    )
    yield pair(
        "gram, keys in blocks",
        uniform("pair 2", (3, 12)),
        uniform("pair 2", (2, 12), 1, blocks=5),
        "gram",
        sparsify_method="gram",
    )
    yield pair(
        "gram, queries and keys the same", uniform("same", (3, 12)), uniform("same", (3, 12)), "gram", sparsify_method="gram"
    )
    yield pair("gram, no queries", uniform("none", (0, 12)), uniform("none", (3, 12), 1), "gram", sparsify_method="gram")


def attention_rows():
    def attention(name, n, d, kind, n_k=None, d_v=2, x=None, layout=None, made=None, **options):
        keys = n if n_k is None else n_k
        arrays = {"v": {"shape": [keys, d_v], "fill": fill(name, 9)}}
        source = (
            {"x": x or uniform(name, (n, d))} if n_k is None else {"q": uniform(name, (n, d)), "k": uniform(name, (n_k, d), 1)}
        )
        defaults = {"itself": {"sparsify_columns": d}, "gram": {"sparsify_method": "gram"}, "sampled": {"sparsify_columns": 5}}
        made = made or defaults[kind]
        return row(
            name, "sparsifier_attention", kind=kind, made=made, arrays=arrays, options=options, layout=layout or {}, **source
        )

    for kind in ("itself", "gram", "sampled"):
        for n, d in ((1, 8), (5, 9), (7, 30)):
            yield attention(f"{kind}, n = {n}, d = {d}", n, d, kind)
        yield attention(f"{kind}, a pair", 4, 11, kind, n_k=6)
        yield attention(f"{kind}, causal", 6, 10, kind, causal=True)
        yield attention(f"{kind}, scale", 5, 9, kind, scale=-0.25)
        yield attention(f"{kind}, a pair, causal with an offset", 3, 12, kind, n_k=6, causal=True, causal_offset=2)
        yield attention(f"{kind}, no columns of v", 4, 9, kind, d_v=0)
        if kind != "sampled":
            yield attention(f"{kind}, no rows", 0, 3, kind)
        every = dict.fromkeys(("v", "o", "lse"), layouts.padded)
        yield attention(f"{kind}, strided", 4, 9, kind, layout=every)
    yield attention("gram, csc", 5, 14, "gram", x=sparse("attention csc", (5, 14), 0.4, "csc"))
    yield attention("itself, csr", 5, 14, "itself", x=sparse("attention csr", (5, 14), 0.4, "csr"))


def error_rows():
    def error(name, **settings):
        return row(name, "sparsifier_softmax_error", options=settings.pop("options", {}), **settings)

    itself, gram = {"sparsify_columns": 9}, {"sparsify_method": "gram"}
    yield error("itself", x=uniform("error", (4, 9)), kind="itself", made=itself)
    yield error("gram", x=uniform("error", (4, 9)), kind="gram", made=gram)
    yield error("gram, scale", x=uniform("error", (4, 9)), kind="gram", made=gram, options={"scale": 0.5})
    yield error("gram, a pair", q=uniform("error", (4, 9)), k=uniform("error", (3, 9), 1), kind="gram", made=gram)
    yield error("sampled", x=uniform("error sampled", (3, 20)), kind="sampled", made={"sparsify_columns": 9})
    q, k = uniform("error pair", (3, 20)), uniform("error pair", (2, 20), 1)
    yield error("sampled, a pair", q=q, k=k, kind="sampled", made={"sparsify_columns": 9}, options={"scale": 0.3})
    yield error("gram, csr", x=sparse("error csr", (4, 14), 0.4, "csr"), kind="gram", made=gram)


def rows():
    for family in (
        score_rows,
        sketched_rows,
        itself_rows,
        sampled_rows,
        eps_rows,
        gram_rows,
        deterministic_rows,
        certified_rows,
        pair_rows,
        attention_rows,
        error_rows,
    ):
        yield from family()
