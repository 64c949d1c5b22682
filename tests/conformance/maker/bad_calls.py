"""The table of bad calls: read, checked, and patched into whole calls."""

import copy
import json

LANGUAGES = {"c", "python", "julia", "rust"}
BAD_KEYS = {"name", "base", "patch", "code", "message", "message_in", "index", "na"}
CALL_KEYS = {"function", "dtype", "options", "set_as", "context", "arrays", "count", "fill", "conv_basis", "sparsifier", "plan"}
ARRAY_KEYS = {"shape", "dtype", "fill", "values", "set", "strides", "same_as", "data", "blocks", "sparse"}
MADE = ("conv_basis", "sparsifier", "plan")  # what a call may be made on
STATES = {"null", "closed", "busy"}
LEAST_ROWS = 60  # that each language runs
KINDS = {"ERR_NULL", "ERR_SHAPE", "ERR_DTYPE", "ERR_TYPE", "ERR_STRIDE", "ERR_SIZE", "ERR_NONFINITE", "ERR_VALUE", "ERR_BUSY"}
SPARSE_KEYS = {"layout", "index_dtype", "index_base", "nonzeros", "offsets", "indices"}
OUTPUTS = {
    "attention": {"o", "lse"},
    "attention_backward": {"dq", "dk", "dv", "d_lag_bias"},
    "attention_loss": {"loss", "grad_x"},
    "attention_merge": {"o", "lse"},
    "conv_basis_apply": {"o", "lse"},
    "conv_basis_apply_transposed": {"y"},
    "conv_basis_backward": {"dq", "dk", "dv"},
    "conv_basis_get": {"starts_out", "kernels_out"},
    "conv_basis_multiply": {"y"},
    "conv_basis_multiply_transposed": {"y"},
    "conv_basis_to_dense": {"h_out"},
    "fill_uniform": {"x"},
    "leverage_scores": {"scores"},
    "plan_apply": {"o", "lse"},
    "plan_backward": {"dq", "dk", "dv"},
    "sparsifier_attention": {"o", "lse"},
    "sparsifier_ratio_bound": set(),
    "sparsifier_softmax_error": set(),
    "sparsify": {"indices", "weights", "y"},
    "sparsify_pair": {"indices", "weights", "y"},
}


def merge_patch(target, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def load(path, tables):
    """The table with the patched call of every bad call under "call"; anything misspelt is an error."""
    table = json.loads(path.read_text())
    assert table["format"] == 1
    for name, base in table["bases"].items():
        check_call(f"base {name}", base, tables)
    names = [bad["name"] for bad in table["calls"]]
    assert len(set(names)) == len(names), sorted(name for name in set(names) if names.count(name) > 1)
    for bad in table["calls"]:
        where = f"bad call {bad['name']}"
        known(where, bad, BAD_KEYS)
        known(f"{where}, na", bad.get("na", {}), LANGUAGES)
        known(f"{where}, message_in", bad.get("message_in", {}), LANGUAGES)
        known(f"{where}, code", {bad["code"]}, tables.statuses)
        assert LANGUAGES - set(bad.get("na", {})), f"{where} is expressed nowhere"
        for words in [bad["message"], *bad.get("message_in", {}).values()]:
            # What is missing has a name only; everything else a value too, or what it is at odds with.
            assert len(words) >= 1 + (bad["code"] != "ERR_NULL"), f"{where} asks for too few words: {words}"
        bad["call"] = merge_patch(table["bases"][bad["base"]], bad["patch"])
        check_call(where, bad["call"], tables)
    check_spread(table["calls"])
    return table


def check_spread(calls):
    """Every language runs many of the calls, and the calls are wrong in every way that there is."""
    for language in LANGUAGES:
        rows = sum(language not in bad.get("na", {}) for bad in calls)
        assert rows >= LEAST_ROWS, f"{language} runs {rows} bad calls, fewer than {LEAST_ROWS}"
    codes = {bad["code"] for bad in calls}
    assert codes >= KINDS, f"no bad call gives {sorted(KINDS - codes)}"
    closed = {part for bad in calls for part in ("context", *MADE) if bad["call"].get(part, {}).get("state") == "closed"}
    assert closed == {"context", *MADE}, f"no bad call uses a closed {sorted({'context', *MADE} - closed)}"


def known(where, keys, allowed):
    assert set(keys) <= set(allowed), f"{where}: unknown {sorted(set(keys) - set(allowed))}"


def check_call(where, call, tables):
    known(where, call, CALL_KEYS)
    known(where, call.get("context", {}), {"threads", "workspace_limit", "simd_target", "state"})
    known(f"{where}, conv_basis", call.get("conv_basis", {}), {"made_by", "options", "exp", "state"})
    known(f"{where}, sparsifier", call.get("sparsifier", {}), {"options", "state"})
    known(f"{where}, plan", call.get("plan", {}), {"options", "values", "state"})
    states = {call.get(key, {}).get("state") for key in ("context", *MADE)} - {None}
    known(f"{where}, state", states, STATES)
    made = [call[key].get("options", {}) for key in MADE if key in call]
    for options in [call["options"], *made]:
        known(where, {name for name in options if not name.isdigit()}, tables.options)
    for name, array in call["arrays"].items():
        known(f"{where}, {name}", array, ARRAY_KEYS)
        known(f"{where}, {name}", {array.get("dtype", call["dtype"])}, tables.dtypes)
        given = ("fill" in array) + ("values" in array)
        assert given == (name not in OUTPUTS[call["function"]]), f"{where}, {name}: inputs have values, outputs have none"
        known(f"{where}, {name}, sparse", array.get("sparse", {}), SPARSE_KEYS)
        if "values" in array and "data" not in array:
            count = 1
            for extent in [len(array["sparse"]["indices"])] if "sparse" in array else array["shape"]:
                count *= extent
            assert len(array["values"]) == count, f"{where}, {name}: {len(array['values'])} values for shape {array['shape']}"
