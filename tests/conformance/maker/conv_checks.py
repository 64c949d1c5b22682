"""Tests of the oracle and the budgets of conv bases, run at every generation: attention by conv basis against attention without one, the
loss's gradient against central differences, and deliberate mistakes, which the budgets must catch by a wide margin."""

import numpy as np

import checks
import conv_build
import conv_list
import conv_loss
import conv_oracle
import oracle
from build import rounded


def with_starts(head, starts):
    return conv_oracle.cut(conv_oracle.Head(head.n, starts, head.kernels.copy(), head.errors))


def starts_one_early(head):
    starts = [s - (s > 0 and s - 1 not in head.starts) for s in head.starts]
    return with_starts(head, starts)


def starts_one_late(head):
    starts = [s + (s + 1 < head.n and s + 1 not in head.starts) for s in head.starts]
    return with_starts(head, starts)


def kernels_one_lag_off(head):
    kernels = np.roll(head.kernels, 1, axis=1)
    return conv_oracle.cut(conv_oracle.Head(head.n, list(head.starts), kernels, head.errors))


def increments_for_sums(head):
    kernels = np.diff(head.kernels, axis=0, prepend=0)
    return conv_oracle.cut(conv_oracle.Head(head.n, list(head.starts), kernels, head.errors))


def last_basis_dropped(head):
    return conv_oracle.Head(head.n, head.starts[:-1], head.kernels[:-1], head.errors[:-1])


def leading_columns_unseen(head):
    if not head.starts or head.starts[0] == 0:
        return head
    hidden = np.full((1, head.n), -1e4, dtype=oracle.REAL)
    return conv_oracle.Head(head.n, [0, *head.starts], np.vstack([hidden, head.kernels]), np.vstack([0 * hidden, head.errors]))


def each(change):
    return lambda heads: {index: change(head) for index, head in heads.items()}


def heads_reversed(heads):
    return dict(zip(heads, reversed(list(heads.values())), strict=True))


MISTAKES = {
    change.__name__.replace("_", " "): each(change)
    for change in (
        starts_one_early,
        starts_one_late,
        kernels_one_lag_off,
        increments_for_sums,
        last_basis_dropped,
        leading_columns_unseen,
    )
} | {"heads reversed": heads_reversed}


def same_heads(a, b):
    return all(
        x.starts == y.starts and x.kernels.shape == y.kernels.shape and (x.kernels == y.kernels).all()
        for x, y in zip(a.values(), b.values(), strict=True)
    )


def excess(case, wrong):
    """Largest error in budgets; infinite where numbers that must be equal are not, or another count of them comes out."""
    worst = 0.0
    for name, output in case["outputs"].items():
        if wrong["outputs"][name]["values"].size != output["values"].size:
            return np.inf
        error = np.abs(wrong["outputs"][name]["values"] - output["values"]).max(initial=0)
        worst = max(worst, error / output["budget"] if output["budget"] else np.inf if error else 0.0)
    return worst


def mistaken(row, dtype, case):
    """Every mistake that makes other heads of this row's, with its error in budgets."""
    for name, mistake in MISTAKES.items():
        changed = []

        def apply(heads, mistake=mistake, changed=changed):
            wrong = mistake(heads)
            changed.append(not same_heads(heads, wrong))
            return wrong

        wrong = conv_build.case_of(row, dtype, apply)
        if changed[0]:
            yield name, excess(case, wrong)


def check_mistakes(row, dtype, case, caught):
    for name, size in mistaken(row, dtype, case):
        assert not 1 / checks.MARGIN <= size <= checks.MARGIN, f"{case['name']}: {name} is {size:.3g} budgets off"
        caught.setdefault((row["function"], name), []).append(size > checks.MARGIN)


def check_against_attention(case):
    """Where q and k have the structure, attention without a conv basis is the same."""
    p, d_o = checks.inputs_of(case)
    size = checks.excess(case, checks.results(p, d_o, None))
    assert size <= 1, f"{case['name']}: attention without a conv basis is {size:.3g} budgets off"


def check_loss(case):
    """The error of a central difference falls with the square of its step, so that the distance between those at h and h/2 exceeds the
    error of the latter."""
    arrays = {name: rounded(spec, case["dtype"]).astype(oracle.REAL) for name, spec in case["inputs"].items()}
    scale = oracle.REAL(case["options"].get("scale", 1))
    along = checks.direction(arrays["x"].shape, 0)

    def loss(step):
        x = arrays["x"] + step * along
        logits = np.tril(scale * (arrays["a1"] @ x @ arrays["a2"].T))
        return conv_loss.solve({**arrays, "x": x}, logits, scale, False, case["dtype"])[0]

    eps = np.finfo(oracle.REAL).eps
    h = oracle.REAL(eps) ** (oracle.REAL(1) / 5)
    slopes = [(loss(step) - loss(-step)) / (2 * step) for step in (h, h / 2)]
    roundoff = eps * (sum(arrays["a1"].shape) + arrays["x"].size) * max(loss(0), 1) / h
    logits = np.tril(scale * (arrays["a1"] @ arrays["x"] @ arrays["a2"].T))
    wanted = (conv_loss.solve(arrays, logits, scale, False, case["dtype"])[1] * along).sum()
    assert abs(slopes[1] - wanted) <= abs(slopes[0] - slopes[1]) + roundoff, f"{case['name']}: {wanted}, difference {slopes[1]}"


def check(cases):
    """cases: those that conv_build makes of the rows, in their order."""
    caught, made = {}, iter(cases)
    for row in conv_list.rows():
        for dtype in row["dtypes"]:
            case = next(made)
            if row["function"] == "attention_loss":
                check_loss(case)
                continue
            if row["function"].startswith("attention"):
                check_against_attention(case)
            check_mistakes(row, dtype, case, caught)
    for (function, name), hits in caught.items():
        assert sum(hits) > len(hits) / 2, f"{function}: {name} is caught in {sum(hits)} of {len(hits)} cases only"
