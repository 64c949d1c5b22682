"""From the rows of plan_list.py to finished cases."""

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


def exact_case(row, function, dtype):
    make = build.backward_case if function == "plan_backward" else build.attention_case
    options = {name: value for name, value in row["options"].items() if name != "method"}
    case = make({**row, "function": function, "name": f"tol 0: {row['name']}", "options": options}, dtype)
    case = asked(case, {"tol": 0.0}, values=function != "plan_backward")
    if function == "plan_backward":
        case["outputs"].pop("d_lag_bias", None)
        case.pop("pairs")
    return {**case, "heads": heads_of(case["inputs"]["q"]["shape"])}


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
    exact = [exact_case(row, function, dtype) for row, function in plan_list.exact_rows() for dtype in row["dtypes"]]
    return exact + [approximate_case(row, dtype) for row in plan_list.approximate_rows() for dtype in row["dtypes"]]
