"""The tables as Julia source, valid from 1.5 on: the same keys as the JSON, numbers that JSON lacks as NaN and Inf.

Long lists are text that `numbers` splits: an array literal of hundreds of entries costs seconds of compilation."""

import numbers_text

HEADER = """# Made by tests/conformance/generate.py: do not edit.
numbers(T, text) = T[parse(T, word) for word in split(text)]
table(pairs...) = Dict{String,Any}(pairs...)
"""


def list_of_numbers(values, element, write):
    return f'numbers({element}, "{" ".join(write(x) for x in values)}")'


def literal(x):
    """A value as it came from JSON."""
    if isinstance(x, bool):
        return "true" if x else "false"
    if isinstance(x, int):
        return str(x) if x < 2**63 else f"0x{x:016x}"
    if isinstance(x, float):
        return {"nan": "NaN", "inf": "Inf", "-inf": "-Inf"}.get(repr(x), repr(x))
    if isinstance(x, str):
        return '"' + x.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'
    if isinstance(x, dict):
        return f"table({', '.join(f'{literal(key)} => {literal(value)}' for key, value in x.items())})"
    if isinstance(x, list):
        return f"Any[{', '.join(literal(value) for value in x)}]" if x and not all_ints(x) else integers(x)
    raise TypeError(type(x))


def all_ints(x):
    return all(isinstance(value, int) and not isinstance(value, bool) for value in x)


def integers(x):
    return f"Int[{', '.join(str(value) for value in x)}]"


def specials(x):
    """The strings that stand for numbers in JSON, where a number is meant."""
    if isinstance(x, dict):
        return {key: value if key in TEXTS else specials(value) for key, value in x.items()}
    if isinstance(x, list):
        return [specials(value) for value in x]
    return float(x) if isinstance(x, str) and x in ("nan", "inf", "-inf") else x


TEXTS = {"name", "base", "code", "message", "message_in", "na", "function", "dtype", "context", "same_as", "data"}


def array_text(array, dtype):
    rest = {key: value for key, value in array.items() if key not in ("values", "budget")}
    if "dtype" in array:
        dtype = array["dtype"]
    pairs = [f"{literal(key)} => {literal(value)}" for key, value in rest.items()]
    if "values" in array:
        if dtype == "int64":
            values = list_of_numbers(array["values"], "Int64", lambda x: str(int(x)))
        elif "budget" not in array:
            values = list_of_numbers(array["values"], "Float64", lambda x: numbers_text.shortest(float(x), dtype))
        else:
            values = list_of_numbers(array["values"], "Float64", numbers_text.expected_writer(array, dtype))
        pairs.append(f'"values" => {values}')
    if "budget" in array:
        pairs.append(f'"budget" => {float(numbers_text.rounded_up(array["budget"]))!r}')
    return f"table({', '.join(pairs)})"


def case_text(case):
    lines = []
    for key, value in case.items():
        if key in ("inputs", "outputs"):
            arrays = "".join(f'\n    "{name}" => {array_text(array, case["dtype"])},' for name, array in value.items())
            lines.append(f'  "{key}" => table({arrays}),')
        else:
            lines.append(f"  {literal(key)} => {literal(value)},")
    return "push!(CASES, table(\n" + "\n".join(lines) + "\n))\n"


def cases_text(cases):
    return HEADER + "const CASES = Dict{String,Any}[]\n" + "".join(case_text(case) for case in cases)


def bad_calls_text(bad_calls):
    lines = [f"BAD_BASES[{literal(name)}] = {literal(specials(base))}\n" for name, base in bad_calls["bases"].items()]
    for bad in bad_calls["calls"]:
        whole = {key: value for key, value in bad.items() if key != "patch"}
        lines.append(f"push!(BAD_CALLS, {literal(specials(whole))})\n")
    return HEADER + "const BAD_BASES = Dict{String,Any}()\nconst BAD_CALLS = Dict{String,Any}[]\n" + "".join(lines)
