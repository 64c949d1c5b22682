# What a failing call throws.

"""
    SubquadError(code, message)

What every refused or failed call throws. `code` is the library's status code (`Subquad.SUBQUAD_ERR_SHAPE` and so on), `name` its name
("ERR_SHAPE"), `message` says what was wrong with which argument.

Messages come from the library, which counts as C does: shapes run from the slowest dimension to the fastest, the reverse of Julia's
`size`, and positions from 0. Where a message speaks of a shape, the `size` of each array follows; a NaN or an infinity is named by
its Julia index, a part of a merge by its number from 1.

```jldoctest
julia> q = zeros(4, 3); q[2, 3] = NaN;

julia> error = try attention(q, q, q) catch exception exception end;

julia> error.name
"ERR_NONFINITE"

julia> occursin("q[2, 3]", error.message)
true
```
"""
struct SubquadError <: Exception
    code::Int32
    name::String
    message::String
end

SubquadError(code, message) = SubquadError(code, unsafe_string(subquad_status_name(code)), message)

Base.showerror(io::IO, error::SubquadError) = print(io, "SubquadError: ", error.message, " (", error.name, ", ", error.code, ")")

"""Throw what this thread's last call left behind, unless it succeeded. Nothing may come between the call and this."""
check(status) = status == SUBQUAD_OK ? nothing : throw(SubquadError(status, unsafe_string(subquad_last_error())))

"""The same, with options called by the shorter names that the caller knows: `short_names` has them, short => long."""
function check(status, short_names::AbstractDict)
    status == SUBQUAD_OK && return nothing
    throw(SubquadError(status, in_short(unsafe_string(subquad_last_error()), short_names)))
end

in_short(message, names) = foldl((text, (short, long)) -> replace(text, Regex("\\b$long\\b") => short), collect(names); init=message)

"""The same after a call on arrays: say in Julia's terms what C said in its own."""
function check(status, inputs::Vector{Named}, outputs::Vector{Named}, short_names=Dict{Symbol,Symbol}())
    status == SUBQUAD_OK && return nothing
    # Parts of a merge have numbers.
    from_one(text) = replace(text, r"(?<=_parts\[)\d+" => part -> string(parse(Int, part) + 1))
    message = from_one(in_short(unsafe_string(subquad_last_error()), short_names))
    if status == SUBQUAD_ERR_SHAPE
        sizes = ["$name $(join(size(array), "×"))" for (name, array) in [inputs; outputs] if array !== nothing]
        message *= "; in Julia's order of dimensions: " * join(sizes, ", ")
    elseif status == SUBQUAD_ERR_NONFINITE
        message = something(describe_nonfinite(inputs), message)
    elseif status == SUBQUAD_ERR_VALUE && startswith(message, "starts[")
        message *= "; counted from 1, each of these positions is one more"
    elseif status == SUBQUAD_ERR_VALUE && startswith(message, "key_ranges[")
        message *= "; counted from 1, the number in brackets and the start are one more"
    elseif status == SUBQUAD_ERR_VALUE && startswith(message, "h[")
        message = something(describe_above_diagonal(inputs[1]...), message)
    end
    throw(SubquadError(status, message))
end

"""Name, Julia index and value of the first number that the library refuses as not finite, `nothing` when there is none."""
function describe_nonfinite(inputs)
    for (name, array) in inputs
        array === nothing && continue
        # A query that sees no key has lse = -inf, so that value is good there.
        refused(x) = !isfinite(x) && !(startswith(name, "lse") && x == -Inf)
        index = findfirst(refused, array)
        index === nothing || return "$name[$(join(Tuple(index), ", "))] = $(array[index]) is not finite"
    end
    return nothing
end

"""The same for the first entry above the diagonal of a matrix that should have none."""
function describe_above_diagonal(name, h)
    index = findfirst(I -> I[1] < I[2] && h[I] != 0, CartesianIndices(h))
    index === nothing && return nothing
    return "$name[$(join(Tuple(index), ", "))] = $(h[index]) is above the diagonal of a matrix that should be lower-triangular"
end
