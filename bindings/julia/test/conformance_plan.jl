# How the rows of the conformance tables that speak of plans are carried out in Julia, and what must hold of method auto.

"""The results by name of a row whose function is one of plans."""
function call_on_plan(row, arrays; context, report)
    given(name) = get(arrays, name, nothing)
    ranges = julia_ranges(given("key_ranges"))
    making = keywords(row["plan"], :lag_bias => given("lag_bias"), :key_ranges => ranges, :context => context)
    p = in_state(row["plan"], plan(given("q"), given("k"), row["plan"]["values"] ? given("v") : nothing; making...))
    settings = keywords(row, :context => context, :return_report => report)
    if row["function"] == "plan_apply"
        result = apply!(given("o"), p, given("v"); lse=given("lse"), settings...)
        return Dict{String,Any}("o" => given("o"), "lse" => given("lse"), "report" => report ? last(result) : nothing)
    end
    result = attention_backward(p, (given(name) for name in ("v", "o", "lse", "d_o"))...; settings...)
    return Dict{String,Any}(string(name) => value for (name, value) in pairs(result))
end

const OF_AUTO = ("method", "tol", "budget", "estimate", "parts", "strict_causal", "seed")

const OF_HEADS = (
    :parts, :pairs_exact, :pairs_low, :pairs_screened, :error, :error_low, :error_high, :fallback, :window, :heavy_columns,
    :selected_keys, :conv_bases, :head_seconds_plan,
)

const PARTS = (
    "heavy" => Subquad.SUBQUAD_PART_HEAVY, "selection" => Subquad.SUBQUAD_PART_SELECTION,
    "centroids" => Subquad.SUBQUAD_PART_CENTROIDS, "conv" => Subquad.SUBQUAD_PART_CONV, "screened" => Subquad.SUBQUAD_PART_SCREENING,
)

"""Whether a head's `parts` in a report are among those that the bits in `allowed` stand for."""
function parts_hold(parts, allowed)
    names = ["exact"; "window"; [name for (name, part) in PARTS if part & allowed != 0]]
    return issubset(split(parts, '+'), names)
end

"""Whether a report says of every head what it should, and nothing that contradicts itself. The bits of `allowed` are parts."""
function report_holds(report, heads, allowed)
    each = Dict(key => haskey(report, key) ? vcat(report[key]) : [] for key in OF_HEADS)
    all(key -> length(each[key]) == heads, OF_HEADS) || (@show(each); return false)
    report[:seed] isa Integer && report[:estimate] in ("screened", "sampled") || return false
    all(parts -> parts_hold(parts, allowed), each[:parts]) || (@show(each[:parts], allowed); return false)
    exact = each[:parts] .== "exact"
    right = (0 .<= each[:error_low] .<= each[:error] .<= each[:error_high]) .& (exact .== (each[:fallback] .!= "")) .&
            (.!exact .| ((each[:pairs_low] .== 0) .& (each[:pairs_screened] .== 0) .& (each[:error_high] .== 0)))
    all(right) || (@show(each); return false)
    return sum(reduce(+, each[key]; init=0) for key in (:pairs_exact, :pairs_low, :pairs_screened)) <= report[:pairs]
end

"""Whether every head of the outputs is as close to exact attention as its row says."""
function heads_hold(case, arrays, results)
    bounded = [name for (name, row) in case["outputs"] if haskey(row, "head_error")]
    isempty(bounded) && return true
    options = filter(entry -> !(entry[1] in OF_AUTO), get(case, "plan", case)["options"])
    outputs = Dict{String,Any}(name => lay_out(row, case["dtype"]) for (name, row) in case["outputs"])
    exact = call(Dict{String,Any}("function" => "attention", "options" => options), merge(arrays, outputs))
    return all(name -> all(relative_errors(results[name], exact[name]) .<= case["outputs"][name]["head_error"]), bounded)
end

token_axis(name) = name == "lse" ? 1 : 2

"""The view of the first rows of an array that has tokens."""
function first_rows(name, x, rows)
    name in ("lag_bias", "key_ranges") && return x
    sizes = ntuple(axis -> axis == token_axis(name) ? rows : size(x, axis), ndims(x))
    return Laid(x.buffer, x.offset, sizes, x.strides)
end

"""Whether the same call on the first rows gives the same bits."""
function prefix_holds(case, arrays, results)
    haskey(case, "prefix") || return true
    cut(name, x) = first_rows(name, x, case["prefix"])
    outputs = Dict{String,Any}(name => lay_out(row, case["dtype"]) for (name, row) in case["outputs"])
    call(case, Dict{String,Any}(name => cut(name, x) for (name, x) in merge(arrays, outputs)))
    return all(name -> collect(cut(name, outputs[name])) == collect(cut(name, results[name])), keys(outputs))
end
