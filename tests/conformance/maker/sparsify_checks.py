"""Tests of the oracle and the budgets of sparsifiers, run at every generation: its basis is orthonormal and spans the rows of X, its scores
and certificates are those of the plain formulas where these have digits left, and deliberate mistakes are caught by a wide margin."""

import numpy as np

import checks
import conv_checks
import oracle
import sparsify_build
import sparsify_list
import sparsify_oracle


def check_basis(name, w):
    n, d = w.x.shape
    bound = np.finfo(oracle.REAL).eps * (n + 2) * (d + 4) * max(w.condition, 1)
    rows = sparsify_oracle.scaled_rows(w.x)
    assert np.abs(w.v @ w.v.T - np.eye(w.rank)).max(initial=0) <= bound, f"{name}: the basis is not orthonormal"
    left = np.abs(rows - (rows @ w.v.T) @ w.v).max(initial=0)
    assert left <= bound, f"{name}: {left} of a row lies outside the basis"


def check_formulas(name, w):
    """tau = x' (X X')^+ x, and the certificate of half the columns from generalised eigenvalues, in double: both lose the square of the
    condition, so that only good ones tell."""
    rows = sparsify_oracle.scaled_rows(w.x).astype(np.float64)
    inverse = np.linalg.pinv(rows @ rows.T, rcond=1e-9)
    bound = np.finfo(np.float64).eps * rows.size * rows.shape[0] * w.condition**2
    scores = np.einsum("id,ij,jd->d", rows, inverse, rows)
    assert np.abs(scores - w.scores).max(initial=0) <= bound, f"{name}: scores of the plain formula"
    half = np.arange(0, w.x.shape[1], 2)
    values = np.linalg.eigvals(inverse @ (2 * rows[:, half] @ rows[:, half].T)).real
    plain = np.abs(np.sort(values)[::-1][: w.rank] - 1).max(initial=0)
    e = sparsify_oracle.certificate(w, half, np.full(half.size, 2, dtype=oracle.REAL))
    assert abs(plain - e) <= 4 * bound * (1 + e), f"{name}: certificate {e}, by the plain formula {plain}"


def last_row_forgotten(x):
    changed = x.copy()
    changed[-1:] = 0
    return changed


def columns_one_off(x):
    return np.roll(x, 1, axis=1)


def first_column_twice(x):
    changed = x.copy()
    changed[:, 1:2] = x[:, :1]
    return changed


def rows_reversed(x):
    return x[::-1]


MISTAKES = (last_row_forgotten, columns_one_off, first_column_twice, rows_reversed)


def tells(row, mistake):
    """Whether a row's outputs depend on what this mistake changes: not where the budget is a promise, not where only X X' counts."""
    function, kind = row["function"], row.get("kind")
    if kind in ("deterministic", "sketched") or function == "sparsifier_softmax_error":
        return False
    if mistake is columns_one_off:
        return kind != "gram" and (function, kind) != ("sparsifier_attention", "itself")
    return mistake is not rows_reversed or function != "leverage_scores"


def check_mistakes(row, dtype, case, x, caught):
    for mistake in MISTAKES:
        if not tells(row, mistake) or x.size == 0 or (mistake(x) == x).all():
            continue
        try:
            size = conv_checks.excess(case, sparsify_build.case_of(row, dtype, mistake))
        except AssertionError:  # a choice that hangs on round-off
            continue
        caught.setdefault((row["function"], row.get("kind"), mistake.__name__), []).append(size > checks.MARGIN)


def check(cases):
    """cases: those that sparsify_build makes of the rows, in their order."""
    caught, made = {}, iter(cases)
    for row in sparsify_list.rows():
        for dtype in row["dtypes"]:
            case, (_, x) = next(made), sparsify_build.sources(row, dtype)
            w = sparsify_oracle.whiten(x)
            check_basis(case["name"], w)
            if w.condition < 1e3:
                check_formulas(case["name"], w)
            check_mistakes(row, dtype, case, x, caught)
    for (function, kind, name), hits in caught.items():
        assert sum(hits) > len(hits) / 2, f"{function}, {kind}: {name} is caught in {sum(hits)} of {len(hits)} cases only"
