# A basis of many heads and an array of bases of one head each, which are matrices of LinearAlgebra: from one to the other.

"""
    Subquad.heads(basis) -> bases

The heads of a [`ConvBasis`](@ref) with further dimensions as an array, heads [× batch], of bases of one head: matrices, each with memory of
its own. `ConvBasis(bases)` joins them again. For a basis of one head it is an array of no dimensions.

```jldoctest
julia> H = ConvBasis([1 1; 3 4], reshape(collect(1.0:12), 3, 2, 2));     # the second head has one basis

julia> bases = Subquad.heads(H); length(bases), size(bases[2])
(2, (3, 3))

julia> bases[2] * ones(3) == H[:, :, 2] * ones(3)
true

julia> ConvBasis(bases) == H
true
```
"""
function heads(basis::ConvBasis)
    n, first_columns, columns = size(basis, 1), starts(basis), kernels(basis; cumulative=true)
    return map(CartesianIndices(size(basis)[3:end])) do head
        own = filter(<=(n), first_columns[:, head])
        ConvBasis(own, columns[:, eachindex(own), head]; cumulative=true)
    end
end

# The constructor that ConvBasis documents for kernels takes an array of numbers; one of bases is this.
ConvBasis(bases::AbstractArray{<:ConvBasis}; keywords...) = join_heads(bases; keywords...)
ConvBasis(bases::AbstractVector{<:ConvBasis}; keywords...) = join_heads(bases; keywords...)

function join_heads(bases; keywords...)
    check_heads(bases)
    n, T = size(first(bases), 1), eltype(first(bases))
    found = map(basis -> (starts(basis), kernels(basis; cumulative=true)), bases)
    most = maximum(own -> length(own[1]), found)
    first_columns, columns = fill(n + 1, most, size(bases)...), zeros(T, n, most, size(bases)...)
    for head in CartesianIndices(bases)
        own, values = found[head]
        first_columns[eachindex(own), head] = own
        columns[:, eachindex(own), head] = values
    end
    return ConvBasis(first_columns, columns; keywords..., cumulative=true)
end

function check_heads(bases)
    isempty(bases) && throw(SubquadError(SUBQUAD_ERR_VALUE, "bases is empty; at least one basis is needed"))
    if ndims(bases) > 2
        throw(SubquadError(SUBQUAD_ERR_SHAPE, "bases has $(ndims(bases)) dimensions, more than heads and batch"))
    end
    n, T = size(first(bases), 1), eltype(first(bases))
    for (place, basis) in pairs(bases)
        name = "bases[$(join(Tuple(place), ", "))]"
        if size(basis) != (n, n)
            given = join(size(basis), "×")
            throw(SubquadError(SUBQUAD_ERR_SHAPE, "$name is $given; each must be a matrix, as large as the first: $n×$n"))
        elseif eltype(basis) != T
            throw(SubquadError(SUBQUAD_ERR_DTYPE, "$name has elements of type $(eltype(basis)), the first of bases $T"))
        end
    end
end
