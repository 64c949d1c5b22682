# Julia arrays as C sees them.

dtype(::Type{Float32}) = SUBQUAD_FLOAT32
dtype(::Type{Float64}) = SUBQUAD_FLOAT64
dtype(::Type{Int32}) = SUBQUAD_INT32
dtype(::Type{Int64}) = SUBQUAD_INT64
dtype(::Type) = nothing

"""First address and strides of an array that lies in this process's memory, `nothing` for any other."""
function memory(array)
    try
        Base.require_one_based_indexing(array)
        address = isempty(array) ? Ptr{eltype(array)}(C_NULL) : pointer(array)
        return address isa Ptr ? (address, strides(array)) : nothing
    catch exception
        # What an array without strides throws depends on its type.
        exception isa Union{MethodError,ArgumentError,ErrorException} || rethrow()
        return nothing
    end
end

"""The array `name` for C. Nothing is copied: the caller keeps the array alive."""
function c_view(name, array::AbstractArray)
    code = dtype(eltype(array))
    code === nothing && throw(SubquadError(SUBQUAD_ERR_DTYPE, "$name has elements of type $(eltype(array)), not Float32 or Float64"))
    found = memory(array)
    if found === nothing
        problem = "$name, a $(typeof(array)), has no strides or does not count from 1: pass a copy, or a view that has them"
        throw(SubquadError(SUBQUAD_ERR_STRIDE, problem))
    end
    address, steps = found
    n = ndims(array)
    # Beyond four dimensions C refuses the array by their number.
    reversed(numbers) = ntuple(i -> i <= n ? Int64(numbers[n+1-i]) : Int64(0), 4)
    return SubquadArray(address, code, n, reversed(size(array)), reversed(steps))
end

c_view(name, other) = throw(SubquadError(SUBQUAD_ERR_TYPE, "$name must be an array, not a $(typeof(other))"))

"""A matrix `name` for C as it is written, rows first, with heads and batch before them; a vector is a matrix of one column."""
function matrix_view(name, array::AbstractArray)
    whole = c_view(name, array)
    n = whole.ndim
    # What has no rows and columns, or more than heads and batch besides, C refuses by the number of its dimensions.
    1 <= n <= 4 || return whole
    swapped(numbers) = n == 1 ? (numbers[1], Int64(1), Int64(0), Int64(0)) : ntuple(i -> numbers[i == n ? n - 1 : i == n - 1 ? n : i], 4)
    return SubquadArray(whole.data, whole.dtype, max(n, 2), swapped(whole.shape), swapped(whole.strides))
end

"""A vector `name` for C as a matrix that has it for its only column, columns first."""
function column_view(name, vector::AbstractVector)
    whole = c_view(name, vector)
    return SubquadArray(whole.data, whole.dtype, 2, (1, whole.shape[1], 0, 0), (1, whole.strides[1], 0, 0))
end

# An array of a call and its name; one that is not given is `nothing`. Lists of them are written `Named[..]`: the arrays in a plain list
# of pairs would be promoted to one type, which copies them.
const Named = Pair{String,Any}

"""Arguments of a call, each as `view` shows it to C; `nothing` is a NULL."""
function c_arguments(arrays::Vector{Named}, view=c_view)
    return [array === nothing ? C_NULL : Ref(view(name, array)) for (name, array) in arrays]
end

"""Key positions from 1, first and last included, as C has them: columns (start, end), from 0, the end excluded."""
range_table(::Nothing) = nothing
range_table(range::AbstractUnitRange{<:Integer}) = range_table([range])
range_table(ranges::AbstractVector{<:AbstractUnitRange{<:Integer}}) = range_table(Integer[f(range) for f in (first, last), range in ranges])
function range_table(columns::AbstractArray{<:Integer})
    table = Int64[number(Int64, Integer, :key_ranges, position) for position in columns]
    isempty(table) || (selectdim(table, 1, 1) .-= 1)
    return table
end
function range_table(ranges)
    throw(SubquadError(SUBQUAD_ERR_TYPE, "key_ranges must be a range such as 1:8, or a vector of them, not a $(typeof(ranges))"))
end
