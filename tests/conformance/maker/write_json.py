"""The JSON master: one line per array, so that a diff shows what changed."""

import json

import numbers_text


def array_text(array, write):
    """One array as one line; write turns a value into text."""
    rest = {key: value for key, value in array.items() if key not in ("values", "budget")}
    text = json.dumps(rest)[:-1]
    if "values" in array:
        values = ", ".join(f'"{x}"' if x in ("nan", "inf", "-inf") else x for x in (write(x) for x in array["values"]))
        text += f', "values": [{values}]'
    if "budget" in array:
        text += f', "budget": {numbers_text.rounded_up(array["budget"])}'
    return text + "}"


def arrays_text(arrays, write):
    lines = [f'      "{name}": {array_text(array, write(array))}' for name, array in arrays.items()]
    return "{\n" + ",\n".join(lines) + "\n    }" if lines else "{}"


def case_text(case):
    dtype = case["dtype"]
    fields = []
    for key, value in case.items():
        if key == "inputs":
            text = arrays_text(value, lambda array: lambda x: numbers_text.shortest(x, array.get("dtype", dtype)))
        elif key == "outputs":
            text = arrays_text(value, lambda array: numbers_text.expected_writer(array, dtype))
        else:
            text = json.dumps(value)
        fields.append(f'    "{key}": {text}')
    return "  {\n" + ",\n".join(fields) + "\n  }"


def cases_text(cases):
    return '{"format": 1, "cases": [\n' + ",\n".join(case_text(case) for case in cases) + "\n]}\n"


def load_cases(text):
    """Cases from the text of cases.json, with numbers for the strings that stand for them."""
    cases = json.loads(text)["cases"]
    for case in cases:
        for array in [*case["inputs"].values(), *case["outputs"].values()]:
            if "values" in array:
                array["values"] = [float(x) if isinstance(x, str) else x for x in array["values"]]
    return cases
