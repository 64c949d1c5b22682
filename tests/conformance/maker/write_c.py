"""The tables as C: initialisers of the types in ../tables.h."""

import json
import math

import bad_calls
import layouts
import numbers_text
import tables

WARNING = "/* Made by tests/conformance/generate.py: do not edit. */\n"


def text(x):
    return "NULL" if x is None else json.dumps(x)


def real(x):
    """A double from a number, or from a string that stands for one."""
    x = float(x)
    if math.isnan(x):
        return "NAN"
    if math.isinf(x):
        return "INFINITY" if x > 0 else "-INFINITY"
    return floating(repr(x))


def floating(word):
    special = {"nan": "NAN", "inf": "INFINITY", "-inf": "-INFINITY"}
    return special.get(word) or (word if any(c in word for c in ".e") else word + ".0")


def integer(x):
    return str(x) if abs(x) < 2**31 else f"INT64_C({x})"


def pointer(type_name, initialiser):
    """The address of an object that lives as long as the program."""
    return f"&(const {type_name}){initialiser}" if initialiser else "NULL"


def array_pointer(type_name, items):
    return f"({type_name}[]){{{', '.join(items)}}}" if items else "NULL"


def fill_text(fill):
    return fill and f"{{UINT64_C({fill['seed']}), UINT64_C({fill['stream']}), {real(fill['low'])}, {real(fill['high'])}}}"


def place(array):
    """strides, offset and size of an array in its buffer, in elements."""
    shape = array["shape"]
    if "layout" in array:
        return array["layout"]["strides"], array["layout"]["offset"], array["layout"]["size"]
    strides = array.get("strides") or layouts.contiguous_strides(shape)
    if array.get("data") == "one":
        return strides, 0, 1
    if 0 in shape:
        return strides, 0, 0
    reach = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    lowest = sum(r for r in reach if r < 0)
    return strides, -lowest, sum(r for r in reach if r > 0) - lowest + 1


def list_of(values):
    return "{" + ", ".join(integer(x) for x in values) + "}"


def named(name):
    """A constant by its name, or any number as it is."""
    return f"SUBQUAD_{name.upper()}" if isinstance(name, str) else str(name)


def matrix_text(array):
    """What makes a matrix of an array of its values: nothing, where it is dense."""
    rows, columns = array["shape"] if len(array["shape"]) == 2 else (0, 0)
    if "blocks" in array:
        return pointer(
            "matrix_spec", f"{{{rows}, {columns}, MATRIX_BLOCKS, {array['blocks']}, 0, 0, 0, 0, NULL, 0, 0, NULL, 0, 0}}"
        )
    if "sparse" not in array:
        return "NULL"
    sparse, lists = array["sparse"], []
    for key in ("offsets", "indices"):
        given = sparse.get(key)
        count = 0 if given is None else len(given)
        lists.append(f"{array_pointer('const int64_t', [integer(i) for i in given or []])}, {count}, {int(given is not None)}")
    kinds = ", ".join(named(sparse[key]) for key in ("layout", "index_dtype", "index_base"))
    nonzeros = sparse.get("nonzeros", len(sparse.get("indices") or []))
    return pointer("matrix_spec", f"{{{rows}, {columns}, MATRIX_SPARSE, 0, {kinds}, {nonzeros}, {', '.join(lists)}}}")


def array_text(name, array, dtype, is_output, write):
    dtype, matrix = array.get("dtype", dtype), matrix_text(array)
    if "sparse" in array:
        array = {**array, "shape": [len(array["sparse"].get("indices") or [])]}
    strides, offset, size = place(array)
    values = [floating(write(x)) for x in array.get("values", [])]
    sets = [f"{{{index}, {real(value)}}}" for index, value in array.get("set", [])]
    budget, head_error = (floating(numbers_text.rounded_up(array.get(key, 0))) for key in ("budget", "head_error"))
    return (
        f"{{{text(name)}, {int(is_output)}, SUBQUAD_{dtype.upper()}, {len(array['shape'])}, {list_of(array['shape'])}, {list_of(strides)}, "
        f"{offset}, {size}, {pointer('fill_spec', fill_text(array.get('fill')))}, {array_pointer('const double', values)}, "
        f"{budget}, {head_error}, "
        f"{array_pointer('const set_spec', sets)}, {len(sets)}, {text(array.get('same_as'))}, "
        f"DATA_{array.get('data', 'whole').upper()}, {matrix}}}"
    )


def option_text(name, value, set_as):
    if name.isdigit():
        return f"{{{name}, 0, {integer(value)}, 0}}"
    row = tables.options[name]
    constant = f"SUBQUAD_OPTION_{name.upper()}"
    if isinstance(value, str) and row["type"] in tables.names:
        return f"{{{constant}, 0, SUBQUAD_{row['type'].upper()}_{value.upper()}, 0}}"
    if set_as.get(name, "float" if row["type"] == "float" or isinstance(value, (float, str)) else "int") == "float":
        return f"{{{constant}, 1, 0, {real(value)}}}"
    return f"{{{constant}, 0, {integer(int(value))}, 0}}"


def options_text(options, set_as):
    return [option_text(key, value, set_as) for key, value in options.items()]


def state_text(made):
    """Of a context, or of what a function is called on. C never uses what is closed."""
    return f"STATE_{made.get('state', 'open').upper()}"


def basis_text(call):
    basis = call.get("conv_basis")
    if basis is None:
        return "NULL"
    options = options_text(basis["options"], call.get("set_as", {}))
    exp = int(basis.get("exp", False))
    maker = f"BASIS_{basis['made_by'].upper()}"
    state = state_text(basis)
    return pointer("basis_spec", f"{{{maker}, {array_pointer('const option_spec', options)}, {len(options)}, {exp}, {state}}}")


def sparsifier_text(call):
    if "sparsifier" not in call:
        return "NULL"
    options = options_text(call["sparsifier"]["options"], call.get("set_as", {}))
    state = state_text(call["sparsifier"])
    return pointer("sparsifier_spec", f"{{{array_pointer('const option_spec', options)}, {len(options)}, {state}}}")


def plan_text(call):
    if "plan" not in call:
        return "NULL"
    options = options_text(call["plan"]["options"], call.get("set_as", {}))
    values = int(call["plan"]["values"])
    state = state_text(call["plan"])
    return pointer("plan_spec", f"{{{array_pointer('const option_spec', options)}, {len(options)}, {values}, {state}}}")


def context_text(context):
    settings = [pointer("int64_t", f"{{{context[key]}}}" if key in context else None) for key in ("threads", "workspace_limit")]
    return f"{{{', '.join(settings)}, {text(context.get('simd_target'))}, {state_text(context)}}}"


def call_text(name, call, arrays):
    """arrays: the initialisers, finished."""
    options = options_text(call["options"], call.get("set_as", {}))
    return (
        f"{{{text(name)}, {call['function'].upper()}, {array_pointer('const option_spec', options)}, {len(options)}, {basis_text(call)}, "
        f"{sparsifier_text(call)}, {plan_text(call)},\n"
        f" {array_pointer('const array_spec', arrays)}, {len(arrays)},\n"
        f" {call.get('count', 0)}, {pointer('fill_spec', fill_text(call.get('fill')))}, {context_text(call.get('context', {}))}, "
        f"{call.get('in_place', -1)}, {call.get('pairs', -1)}, {call.get('rank', -1)}, {call.get('heads', -1)}, {call.get('prefix', -1)}, "
        f"{text(call.get('scores'))}, {text(call.get('certificate'))}}}"
    )


def good_call_text(case):
    dtype = case["dtype"]
    arrays = [
        array_text(name, array, dtype, False, lambda x, array=array: numbers_text.shortest(float(x), array.get("dtype", dtype)))
        for name, array in case["inputs"].items()
    ]
    arrays += [
        array_text(name, array, dtype, True, numbers_text.expected_writer(array, dtype))
        for name, array in case["outputs"].items()
    ]
    return call_text(case["name"], case, arrays)


def cases_text(cases):
    calls = ",\n".join(good_call_text(case) for case in cases)
    return f"{WARNING}static const call_spec cases[] = {{\n{calls}}};\n"


def plain_call_text(name, call):
    outputs = bad_calls.OUTPUTS[call["function"]]
    arrays = [array_text(key, array, call["dtype"], key in outputs, numbers_text.exact) for key, array in call["arrays"].items()]
    return call_text(name, call, arrays)


def bad_call_text(bad, bases):
    words = [text(word) for word in bad["message"] + [str(i) for i in bad.get("index", [])]] + ["NULL"]
    reason = bad.get("na", {}).get("c")
    call = plain_call_text(bad["name"], bases[bad["base"]] if reason else bad["call"])
    base = list(bases).index(bad["base"])
    return f"{{{call},\n {base}, SUBQUAD_{bad['code']}, {array_pointer('const char* const', words)}, {text(reason)}}}"


def bad_calls_text(table):
    bases = ",\n".join(plain_call_text(f"base {name}", base) for name, base in table["bases"].items())
    calls = ",\n".join(bad_call_text(bad, table["bases"]) for bad in table["calls"])
    return f"{WARNING}static const call_spec bad_bases[] = {{\n{bases}}};\n\nstatic const bad_call bad_calls[] = {{\n{calls}}};\n"
