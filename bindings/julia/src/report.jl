# What a call did.

const REPORT_KEYS = sort([
    id => Symbol(lowercase(name[length("SUBQUAD_REPORT_")+1:end])) for (name, id) in CONSTANTS if startswith(name, "SUBQUAD_REPORT_")
])

"""
    Report

What a call did: an ordered dictionary from `Symbol` to a number, a `String`, or a `Vector` of them, without the keys that the call
said nothing of. `report.json` is the library's own text for it, one JSON object.

```jldoctest
julia> q = ones(Float32, 8, 5);

julia> _, report = attention(q, q, q; causal=true, return_report=true);

julia> report[:method], report[:pairs]
("exact", 15)
```
"""
struct Report <: AbstractDict{Symbol,Any}
    entries::Vector{Pair{Symbol,Any}}
    json::String
end

Base.length(report::Report) = length(report.entries)
Base.iterate(report::Report, state...) = iterate(report.entries, state...)

function Base.get(report::Report, key, default)
    index = findfirst(entry -> first(entry) == key, report.entries)
    return index === nothing ? default : last(report.entries[index])
end

"""Run `f(handle)` with a fresh report and return what it then holds. `f` throws when its call fails."""
function with_report(f)
    handle = Ref(Ptr{subquad_report}(C_NULL))
    check(subquad_report_create(handle))
    try
        f(handle[])
        entries = Pair{Symbol,Any}[]
        for (id, name) in REPORT_KEYS
            values = report_values(handle[], id)
            isempty(values) || push!(entries, name => length(values) == 1 ? values[1] : values)
        end
        json = Ref{Cstring}()
        check(subquad_report_json(handle[], json))
        return Report(entries, unsafe_string(json[]))
    finally
        subquad_report_destroy(handle[])
    end
end

function report_values(handle, id)
    count, type = Ref{Int64}(), Ref{Int32}()
    check(subquad_report_length(handle, id, count, type))
    read, T = if type[] == SUBQUAD_TYPE_STRING
        subquad_report_get_string, Cstring
    elseif type[] == SUBQUAD_TYPE_FLOAT
        subquad_report_get_float, Float64
    else
        subquad_report_get_int, Int64
    end
    return map(0:count[]-1) do index
        value = Ref{T}()
        check(read(handle, id, index, value))
        T === Cstring ? unsafe_string(value[]) : value[]
    end
end

"""
    Subquad.info(; context=nothing)

Describe the library and the machine, as a [`Report`](@ref): versions, SIMD targets, threads, BLAS. Without a context, threads and
target are those that a new one would have.

```jldoctest
julia> haskey(Subquad.info(), :version)
true
```
"""
function info(; context=nothing)
    context === nothing && return with_report(handle -> check(subquad_info(C_NULL, handle)))
    return disable_sigint() do
        occupied(pointer -> with_report(handle -> check(subquad_info(pointer, handle))), context)
    end
end
