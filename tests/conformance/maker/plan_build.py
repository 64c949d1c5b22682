"""From the rows of plan_list.py to finished cases."""

import numpy as np

import budgets
import build
import oracle
import plan_list

CALIBRATION = 1.25  # of a head's true error against the tol that was asked for: what method auto promises of all but a few heads
OF_AUTO = ("tol", "budget", "estimate", "parts", "strict_causal", "seed")


def planned(case, values, options):
    """The case with a plan in place of a direct call: options are the plan's, all but those of checks."""
    plan = {"options": {**case["options"], **options}, "values": values}
    return {**case, "options": {}, "plan": plan}


def asked(case, options, values=True):
    if case["function"].startswith("plan"):
        return planned(case, values, options)
    return {**case, "options": {"method": "auto", **case["options"], **options}}


def heads_of(shape):
    """Query heads of all batch elements, for the keys of a report that hold one value each."""
    count = 1
    for extent in shape[:-2]:
        count *= extent
    return count


def exact_case(row, function, own, dtype):
    """own: what is asked of method auto, which leaves the results exact."""
    make = build.backward_case if function.endswith("backward") else build.attention_case
    options = {name: value for name, value in row["options"].items() if name != "method"}
    case = make({**row, "function": function, "name": f"{title(own)}: {row['name']}", "options": options}, dtype)
    case = asked(case, own, values=function != "plan_backward")
    case["outputs"].pop("d_lag_bias", None)
    if function == "plan_backward":
        case.pop("pairs")
    return {**case, "heads": heads_of(case["inputs"]["q"]["shape"])}


def title(own):
    return ", ".join(f"{name} {value:g}" if isinstance(value, (int, float)) else str(value) for name, value in own.items())


def without_weight(row, dtype):
    """Bound of what gradients owe to the pairs that may be left out, whose weights are below round-off. The others have such weights that
    no plan within a tolerance leaves a tile of them out."""
    p = build.problem(row["options"], row["inputs"], dtype)
    weights = next(oracle.heads(p))[2].weights
    small = weights < budgets.unit(dtype)
    assert (weights[~small] > 1 / weights.size).all()
    d_o = max(abs(row["d_o"]["low"]), abs(row["d_o"]["high"]))
    of_logits = 2 * p.v.shape[3] * np.abs(p.v).max() * max(np.abs(p.q).max(), np.abs(p.k).max())
    return float(weights[small].sum() * d_o * max(1, of_logits))


def attending_case(row, function, own, dtype):
    """Gradients of the pairs that are computed are exact, and the others have no weight."""
    case = exact_case(row, function, own, dtype)
    for output in case["outputs"].values():
        output["budget"] += without_weight(row, dtype)
    return case


def approximate_case(row, dtype):
    """No value is expected: the runner compares heads with exact attention, in the relative Frobenius norm."""
    own = {name: value for name, value in row["options"].items() if name in OF_AUTO}
    options = {name: value for name, value in row["options"].items() if name not in OF_AUTO}
    inputs = build.with_layouts(row, row["inputs"])
    rows = inputs["q"]["shape"][:-1]
    outputs = {
        "o": {"shape": [*rows, inputs["v"]["shape"][-1]], "head_error": CALIBRATION * own.get("tol", 1.0)},
        "lse": {"shape": rows},
    }
    if "tol" not in own:
        outputs["o"].pop("head_error")
    case = {**build.head(row, dtype), "options": options, "inputs": inputs, "outputs": build.with_layouts(row, outputs)}
    case = asked(case, own, row["values"])
    case["pairs"] = oracle.pairs(build.problem(options, inputs, dtype))
    case["heads"] = heads_of(inputs["q"]["shape"])
    if row["prefix"]:
        case["prefix"] = row["prefix"]
    return case


def build_cases():
    """All cases of plan_list, in its order."""
    exact = [exact_case(row, *rest, dtype) for row, *rest in plan_list.exact_rows() for dtype in row["dtypes"]]
    exact += [attending_case(row, *rest, dtype) for row, *rest in plan_list.attending_rows() for dtype in row["dtypes"]]
    return exact + [approximate_case(row, dtype) for row in plan_list.approximate_rows() for dtype in row["dtypes"]]
