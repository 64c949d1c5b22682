"""How numbers are written."""

import math

import numpy as np

# Significant digits of an expected value: far below the dtype's round-off (budgets.storage accounts for them).
DIGITS = {"float32": 10, "float64": 17}
BUDGET_DIGITS = 3


def shortest(x, dtype):
    """The shortest text that, read as double and rounded to dtype, gives x back."""
    if np.dtype(dtype).kind == "i":
        return str(int(x))
    text = special(x)
    if text is None:
        text = plain(str(np.dtype(dtype).type(x)))
        assert np.dtype(dtype).type(float(text)) == x
    return text


def exact(x):
    """The shortest text that reads back as this double."""
    return special(x) or plain(repr(float(x)))


def approximate(x, dtype):
    """An expected value."""
    return special(x) or plain(f"{float(x):.{DIGITS[dtype]}g}")


def rounded_up(x):
    """A budget: few digits, never less than x."""
    if x == 0:
        return "0"
    digits = BUDGET_DIGITS - 1
    text = f"{x:.{digits}e}"
    return text if float(text) >= x else f"{x * (1 + 10**-digits):.{digits}e}"


def special(x):
    if math.isfinite(x):
        return None
    return "nan" if math.isnan(x) else "inf" if x > 0 else "-inf"


def plain(text):
    return "0" if text in ("-0.0", "-0") else text.removesuffix(".0")


def expected_writer(output, dtype):
    """How to write an output's expected values: with no budget, exactly."""
    return (lambda x: approximate(x, dtype)) if output.get("budget") else exact
