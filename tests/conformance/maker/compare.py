"""Whether stored cases are those that would be made now.

Everything must be equal but for the last digits of expected values and budgets, which follow the machine's longdouble."""

import numpy as np

import budgets
import numbers_text


def differences(built, stored):
    """Names of the cases that differ, or are in one list only."""
    old = {case["name"]: case for case in stored}
    new = {case["name"]: case for case in built}
    changed = [name for name in new if name in old and not same_case(new[name], old[name])]
    return [name for name in [*new, *old] if (name in new) != (name in old)] + changed


def same_case(new, old):
    if without_outputs(new) != without_outputs(old) or list(new["outputs"]) != list(old["outputs"]):
        return False
    return all(same_output(new["outputs"][name], old["outputs"][name], new["dtype"]) for name in new["outputs"])


def without_outputs(case):
    return {key: value for key, value in case.items() if key != "outputs"}


def same_output(new, old, dtype):
    described = [{key: value for key, value in output.items() if key not in ("values", "budget")} for output in (new, old)]
    if described[0] != described[1] or len(new.get("values", ())) != len(old.get("values", ())):
        return False
    if "values" not in new:
        return True
    one_digit = 10.0 ** (1 - numbers_text.BUDGET_DIGITS)
    if not abs(new["budget"] - old["budget"]) <= one_digit * old["budget"]:
        return False
    values = [np.array(output["values"], dtype=np.float64) for output in (new, old)]
    seen = np.isfinite(values[1])
    if not (values[0][~seen] == values[1][~seen]).all():
        return False
    return bool((np.abs(values[0][seen] - values[1][seen]) <= 2 * budgets.storage(values[1], dtype)).all())
