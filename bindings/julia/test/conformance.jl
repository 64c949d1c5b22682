# The cases and bad calls that every language runs: tests/conformance, whose README says what the tables mean.

const CONFORMANCE = joinpath(PACKAGE, "..", "..", "tests", "conformance")

module Tables
include(joinpath(Main.CONFORMANCE, "generated", "cases.jl"))
include(joinpath(Main.CONFORMANCE, "generated", "bad_calls.jl"))
end

"""
An array with any strides at all, zero included, in a vector. Dimensions are Julia's: C's in reverse. `data` is where C is told that it
lies: in the vector ("whole" or "one"), a byte after that ("misaligned") or nowhere ("null").
"""
struct Laid{T,N} <: AbstractArray{T,N}
    buffer::Vector{T}
    offset::Int
    size::NTuple{N,Int}
    strides::NTuple{N,Int}
    data::String
end

Laid(buffer::Vector{T}, offset, size::NTuple{N}, strides) where {T,N} = Laid{T,N}(buffer, offset, size, strides, "whole")

Base.size(x::Laid) = x.size
Base.strides(x::Laid) = x.strides
Base.pointer(x::Laid{T}) where {T} = x.data == "null" ? Ptr{T}(C_NULL) : pointer(x.buffer, x.offset + 1) + (x.data == "misaligned")
place(x, index) = 1 + x.offset + sum((index .- 1) .* x.strides)
Base.getindex(x::Laid{T,N}, index::Vararg{Int,N}) where {T,N} = x.buffer[place(x, index)]
Base.setindex!(x::Laid{T,N}, value, index::Vararg{Int,N}) where {T,N} = x.buffer[place(x, index)] = value

const DTYPES = Dict("float32" => Float32, "float64" => Float64, "int32" => Int32, "int64" => Int64)

unused(::Type{T}) where {T} = T <: Integer ? typemin(T) : T(NaN)

"""The array that `row` of a table describes, its buffer full of NaN, in the buffer of `others[row["same_as"]]` where it says so."""
function lay_out(row, dtype, others=Dict())
    T = DTYPES[get(row, "dtype", dtype)]
    sizes = Tuple(reverse(Int.(row["shape"])))
    if haskey(row, "same_as")
        other = others[row["same_as"]]
        return Laid(other.buffer, other.offset, sizes, strides(zeros(T, sizes)))
    elseif haskey(row, "layout")
        layout = row["layout"]
        return Laid(fill(unused(T), layout["size"]), Int(layout["offset"]), sizes, Tuple(reverse(Int.(layout["strides"]))))
    elseif haskey(row, "strides")
        steps = Tuple(reverse(Int.(row["strides"])))
        # The whole of such an array may be more than there can be.
        reach = get(row, "data", "whole") == "one" ? zero.(sizes) : (sizes .- 1) .* steps
        return Laid(fill(unused(T), 1 + sum(abs.(reach))), -sum(min.(reach, 0)), sizes, steps)
    end
    return Laid(fill(unused(T), prod(sizes)), 0, sizes, strides(zeros(T, sizes)))
end

"""The same with the numbers that the row gives."""
function input(row, dtype, others=Dict())
    # Of a sparse matrix this is its values.
    haskey(row, "sparse") && (row = merge(row, Dict("shape" => [length(row["sparse"]["indices"])])))
    array = lay_out(row, dtype, others)
    data = get(row, "data", "whole")
    data == "whole" || (array = typeof(array)(array.buffer, array.offset, array.size, array.strides, data))
    data == "one" && return array
    # An axis with stride 0 holds one element only, however often it is read and however long it is.
    distinct = map((n, step) -> 1:(step == 0 ? min(n, 1) : n), size(array), strides(array))
    if haskey(row, "fill")
        T = eltype(array) <: AbstractFloat ? eltype(array) : Float64
        view(array, distinct...) .= reshape(filled(Vector{T}(undef, prod(length.(distinct))), row["fill"]), length.(distinct))
    elseif haskey(row, "values")
        array .= reshape(convert(Vector{eltype(array)}, row["values"]), size(array))
    end
    for (index, value) in get(row, "set", [])
        array[CartesianIndices(array)[index+1]] = value
    end
    return array
end

filled(x, fill) = fill_uniform!(x, fill["seed"]; stream=fill["stream"], low=fill["low"], high=fill["high"])

# C's pairs (start, end) from 0 are Julia's (first, last) from 1.
julia_ranges(::Nothing) = nothing
julia_ranges(table) = size(table, 1) == 0 ? Array(table) : Array(table) .+ (CartesianIndices(table) .|> index -> index[1] == 1 ? 1 : 0)

"""Keyword arguments of one type whatever they hold, so that a call is compiled for its keywords and not for each row."""
function keywords(row, extra...)
    given = Dict{Symbol,Any}(extra...)
    for (name, value) in row["options"]
        given[Symbol(name)] = get(get(row, "set_as", Dict()), name, "") == "float" ? Float64(value) : value
    end
    filter!(entry -> entry[2] !== nothing, given)
    names = Tuple(sort(collect(keys(given))))
    return NamedTuple{names,NTuple{length(names),Any}}(Tuple(Any[given[name] for name in names]))
end

"""What a call is made on, closed where its row says so."""
function in_state(made, object)
    get(made, "state", "") == "closed" && close(object)
    return object
end

include("conformance_conv.jl")
include("conformance_sparsify.jl")
include("conformance_plan.jl")

"""Call the function that `row` names on `arrays`; the results by name."""
function call(row, arrays; context=nothing, report=false)
    haskey(row, "conv_basis") && return call_on_basis(row, arrays; context=context, report=report)
    haskey(row, "plan") && return call_on_plan(row, arrays; context=context, report=report)
    row["function"] == "attention_loss" && return call_loss(row, arrays; context=context)
    row["function"] in OF_SPARSIFIERS && return call_on_sparsifier(row, arrays; context=context, report=report)
    given(name) = get(arrays, name, nothing)
    settings = keywords(
        row, :lag_bias => given("lag_bias"), :key_ranges => julia_ranges(given("key_ranges")), :context => context,
        :return_report => report, :lse => row["function"] == "attention" ? given("lse") : nothing,
    )
    if row["function"] == "attention"
        result = attention!(given("o"), given("q"), given("k"), given("v"); settings...)
        return Dict{String,Any}("o" => given("o"), "lse" => given("lse"), "report" => report ? last(result) : nothing)
    elseif row["function"] == "attention_backward"
        inputs = (given(name) for name in ("q", "k", "v", "o", "lse", "d_o"))
        result = attention_backward(inputs...; settings...)
        return Dict{String,Any}(string(name) => value for (name, value) in pairs(result))
    elseif row["function"] == "attention_merge"
        o_parts, lse_parts = (Any[arrays["$name[$i]"] for i in 0:row["count"]-1] for name in ("o_parts", "lse_parts"))
        attention_merge!(given("o"), o_parts, lse_parts; lse=given("lse"), context=context)
        return Dict{String,Any}("o" => given("o"), "lse" => given("lse"))
    end
    return Dict{String,Any}("x" => filled(given("x"), row["fill"]))
end

"""Elements of an array's buffer that are not its own."""
function gaps(array)
    own = Set(place(array, Tuple(index)) for index in CartesianIndices(array))
    return [array.buffer[i] for i in eachindex(array.buffer) if !(i in own)]
end

function case_holds(case)
    arrays = Dict{String,Any}(name => input(row, case["dtype"]) for (name, row) in case["inputs"])
    outputs = Dict{String,Any}(name => lay_out(row, case["dtype"]) for (name, row) in case["outputs"])
    if haskey(case, "in_place")
        outputs = Dict{String,Any}(name => arrays["$(name)_parts[$(case["in_place"])]"] for name in keys(outputs))
    end
    results = call(case, merge(arrays, outputs); report=haskey(case, "pairs") || haskey(case, "heads"))
    for (name, expected) in case["outputs"]
        size(results[name]) == Tuple(reverse(expected["shape"])) || return false
        if haskey(expected, "values")
            budget = fill(expected["budget"], length(expected["values"]))
            within(Float64.(vec(collect(results[name]))), expected["values"], budget) || return false
        end
        results[name] isa Laid && !haskey(case, "in_place") && (all(isnan, gaps(results[name])) || return false)
    end
    if haskey(case, "heads")
        allowed = get(get(case, "plan", case)["options"], "parts", sum(last, PARTS))
        report_holds(results["report"], case["heads"], allowed) || return false
    end
    all(key -> !haskey(case, key) || results["report"][Symbol(key)] == case[key], ("pairs", "rank", "scores")) || return false
    haskey(case, "certificate") && (certificate_holds(results["report"], case["certificate"]) || return false)
    return heads_hold(case, arrays, results) && prefix_holds(case, arrays, results)
end

"""Whether `word` stands in `text` by itself, in whatever case."""
stands_in(word, text) = occursin(Regex("(?<![A-Za-z0-9_])\\Q" * string(word) * "\\E(?![A-Za-z0-9_])", "i"), text)

is_input(array) = haskey(array, "fill") || haskey(array, "values")

function prepare(row)
    arrays = Dict{String,Any}()
    for later in (false, true), (name, array) in row["arrays"]
        haskey(array, "same_as") == later && (arrays[name] = input(array, row["dtype"], arrays))
    end
    return arrays
end

function context_of(settings)
    state = get(settings, "state", nothing)
    context = Context(; (Symbol(name) => value for (name, value) in settings if name != "state")...)
    state == "closed" && close(context)
    return context
end

"""Call `make` while `context` is in use: by a call that reads the columns of a matrix, from the function that hands them out."""
function inside_another_call(make, context)
    return leverage_scores(column_blocks(range -> (make(); ones(1, length(range))), 1, 2, Float64); context=context)
end

"""Whether the call fails as its row says, harms no array, and leaves the context able to do what `base` says."""
function refused_well(bad, base)
    arrays = prepare(bad["call"])
    before = Dict{String,Any}(name => copy(array.buffer) for (name, array) in arrays)
    context = Ref{Any}(nothing)
    settings = get(bad["call"], "context", Dict())
    failure = try
        context[] = context_of(settings)
        make() = call(bad["call"], arrays; context=context[])
        get(settings, "state", nothing) == "busy" ? inside_another_call(make, context[]) : make()
        return false
    catch exception
        exception
    end
    failure isa SubquadError && failure.name == bad["code"] || (@show(failure); return false)
    words = vcat(get(get(bad, "message_in", Dict()), "julia", bad["message"]), reverse(get(bad, "index", Int[])) .+ 1)
    all(word -> stands_in(word, failure.message), words) || (@show(words, failure); return false)
    # After this error the contents of outputs are unspecified.
    kept = [name for name in keys(arrays) if failure.name != "ERR_OVERFLOW" || is_input(bad["call"]["arrays"][name])]
    all(isequal(before[name], arrays[name].buffer) for name in kept) || return false
    usable = context[] !== nothing && isopen(context[]) && (isempty(settings) || get(settings, "state", nothing) == "busy")
    usable && call(base, prepare(base); context=context[])
    context[] === nothing || close(context[])
    return true
end

@testset "$(case["name"])" for case in Tables.CASES
    @test case_holds(case)
end

@testset "the base of bad calls: $name" for (name, base) in Tables.BAD_BASES
    @test call(base, prepare(base)) isa Dict
end

@testset "$(bad["name"])" for bad in Tables.BAD_CALLS
    haskey(get(bad, "na", Dict()), "julia") && continue
    @test refused_well(bad, Tables.BAD_BASES[bad["base"]])
end
