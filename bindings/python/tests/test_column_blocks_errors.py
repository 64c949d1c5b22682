"""What the function that reads columns raises reaches the caller, and blocks that do not fit are named."""

import numpy as np
import pytest
import subquad
from conv_reference import changed, refused
from sparsify_reference import generic, sparse

N, D = 6, 400


class TroubleError(Exception):
    pass


def troubled(x, error, at):
    """Sources of both kinds that raise the error when column `at` is asked for."""

    def position(first, last):
        if last > at:
            raise error
        return x[:, first:last]

    def order():
        for first in range(0, x.shape[1], 10):
            if first >= at:
                raise error
            yield x[:, first : first + 10]

    return [subquad.column_blocks(function, *x.shape, x.dtype, block_columns=10) for function in (position, order)]


CALLS = {
    "sparsify": lambda source: subquad.sparsify(source, columns=20),
    "deterministic": lambda source: subquad.sparsify(source, method="deterministic", columns=20),
    "gram": lambda source: subquad.sparsify(source, method="gram"),
    "leverage_scores": subquad.leverage_scores,
    "queries": lambda source: subquad.sparsify_pair(source, generic(4, D, stream=9), columns=20),
    "keys": lambda source: subquad.sparsify_pair(sparse(4, D, "csr"), source, columns=20),
    "softmax_error": lambda source: subquad.sparsify(generic(N, D), columns=20).softmax_error(source),
}


@pytest.mark.parametrize("at", [0, 200, 390])
@pytest.mark.parametrize(
    "error",
    [
        TroubleError("mine"),
        KeyboardInterrupt(),
        SystemExit(3),
        StopIteration(1),
        ValueError("x: offsets[3] is"),
        subquad.SubquadError(subquad.Status.ERR_VALUE, "x: indices[3] is o"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_exception_reaches_the_caller(call, error, at):
    """It is the very object, and nothing stands in its place or follows it."""
    for source in troubled(generic(N, D), error, at):
        if isinstance(error, StopIteration) and "order" in repr(source):
            continue  # a generator turns it into a RuntimeError itself
        with pytest.raises(type(error)) as caught:
            call(source)
        assert caught.value is error
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ is False
        error.__traceback__ = None
    assert subquad.sparsify(generic(N, D), columns=20).shape == (N, 20)


GOOD = generic(3, 20)


@pytest.mark.parametrize(
    ("blocks", "name", "words"),
    [
        (lambda first, last: None, "ERR_NULL", r"^blocks\(0, 20\) is None"),
        (lambda first, last: [[1.0]], "ERR_DTYPE", r"^blocks\(0, 20\) is a builtins.list"),
        (lambda first, last: GOOD[:, first:last].astype(np.float32), "ERR_DTYPE", r"^blocks\(0, 20\) is float32, not float64"),
        (lambda first, last: GOOD[:, first : last - 1], "ERR_SHAPE", r"^blocks\(0, 20\) has shape \(3, 19\), not \(3, 20\)"),
        (lambda first, last: GOOD[:2, first:last], "ERR_SHAPE", r"^blocks\(0, 20\) has shape \(2, 20\), not \(3, 20\)"),
        (lambda first, last: GOOD[0], "ERR_SHAPE", r"^blocks\(0, 20\) has shape \(20,\)"),
        (lambda first, last: np.ma.masked_array(GOOD), "ERR_DTYPE", r"^blocks\(0, 20\) is a masked array"),
        (lambda first, last: changed(GOOD, (1, 7), np.nan), "ERR_NONFINITE", r"^x\[1, 7\] is nan"),
        (lambda: None, "ERR_TYPE", r"^blocks\(\) is a builtins.NoneType"),
        (lambda: [GOOD[:, :9]], "ERR_SHAPE", r"^blocks\(\) ends after 9 columns, not 20"),
        (list, "ERR_SHAPE", r"^blocks\(\) ends after 0 columns, not 20"),
        (lambda: [GOOD, GOOD[:, :1]], "ERR_SHAPE", r"^blocks\(\) has 21 columns or more, not 20"),
        (lambda: [GOOD[:, :15], GOOD], "ERR_SHAPE", r"^blocks\(\) has 35 columns or more, not 20"),
        (lambda: [GOOD[:, :15], GOOD[1:, :5]], "ERR_SHAPE", r"from column 15 on has shape \(2, 5\), not \(3, any\)"),
        (lambda: [GOOD[:, :15], 7], "ERR_DTYPE", r"from column 15 on is a builtins.int"),
    ],
)
def test_blocks_that_do_not_fit(blocks, name, words):
    refused(name, words, subquad.sparsify, subquad.column_blocks(blocks, 3, 20, "float64"), columns=5)


@pytest.mark.parametrize(
    ("arguments", "name", "words"),
    [
        ((GOOD, 3, 20, "float64"), "ERR_TYPE", "^blocks is "),
        ((iter([GOOD]), 3, 20, "float64"), "ERR_TYPE", "^blocks is .*not a function"),
        ((None, 3, 20, "float64"), "ERR_TYPE", "^blocks is None"),
        ((lambda first: GOOD, 3, 20, "float64"), "ERR_TYPE", "^blocks is .*not a function of"),
        ((lambda a, b, c: GOOD, 3, 20, "float64"), "ERR_TYPE", "^blocks is .*not a function of"),
        ((print, -1, 20, "float64"), "ERR_VALUE", "^rows is -1"),
        ((print, 3, -20, "float64"), "ERR_VALUE", "^columns is -20"),
        ((print, 3.0, 20, "float64"), "ERR_TYPE", "^rows is 3.0"),
        ((print, 3, "20", "float64"), "ERR_TYPE", "^columns is '20'"),
        ((print, 3, 2**63, "float64"), "ERR_VALUE", "^columns is 9223372036854775808"),
        ((print, 3, 20, "float16"), "ERR_DTYPE", "^dtype is float16, not float32 or float64"),
        ((print, 3, 20, ">f8"), "ERR_DTYPE", "^dtype is >f8"),
        ((print, 3, 20, np.int64), "ERR_DTYPE", "^dtype is int64"),
        ((print, 3, 20, "nonsense"), "ERR_DTYPE", "^dtype is 'nonsense', not a dtype"),
    ],
)
def test_sources_that_are_refused(arguments, name, words):
    refused(name, words, subquad.column_blocks, *arguments)


@pytest.mark.parametrize(("most", "name"), [(0, "ERR_VALUE"), (-3, "ERR_VALUE"), (1.5, "ERR_TYPE"), (True, "ERR_TYPE")])
def test_block_columns(most, name):
    refused(name, f"^block_columns is {most}", subquad.column_blocks, print, 3, 20, "float64", block_columns=most)
