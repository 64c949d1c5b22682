# Matrices whose columns are sparsified, as C sees them: dense, sparse or in blocks, none of them copied.

"""
Call `f` with a C handle for each of the matrices `sources`, in their order; `nothing` is a NULL. The arrays are kept alive meanwhile.
"""
function with_matrices(f, sources::Vector{Named}, handles...)
    isempty(sources) && return f(handles...)
    name, x = sources[1]
    return with_matrix(handle -> with_matrices(f, sources[2:end], handles..., handle), name, x)
end

with_matrix(f, name, ::Nothing) = f(Ptr{subquad_matrix}(C_NULL))

# The axes are those of the matrix as it is written. What has another number of them C refuses by that.
dense_view(name, x) = ndims(x) == 2 ? matrix_view(name, x) : c_view(name, x)

function with_matrix(f, name, x::AbstractArray)
    view = Ref(dense_view(name, x))
    return GC.@preserve x on_matrix(f, name, handle -> subquad_matrix_from_dense(view, handle))
end

const Compressed = SparseArrays.AbstractSparseMatrixCSC
const Sparse = Union{Compressed,Adjoint{<:Real,<:Compressed},Transpose{<:Any,<:Compressed}}

function with_matrix(f, name, x::Sparse)
    view = Ref(sparse_view(name, x))
    return GC.@preserve x on_matrix(f, name, handle -> subquad_matrix_from_sparse(view, handle))
end

"""The sparse matrix `name` for C. The columns of its parent are the rows of a transpose."""
sparse_view(name, x::Compressed) = compressed_view(name, x, size(x), SUBQUAD_CSC)
sparse_view(name, x) = compressed_view(name, parent(x), size(x), SUBQUAD_CSR)

function compressed_view(name, x, (rows, columns), layout)
    offsets, indices, values = SparseArrays.getcolptr(x), rowvals(x), nonzeros(x)
    codes = dtype(eltype(values)), dtype(eltype(indices))
    if nothing in codes
        given = "elements of type $(eltype(values)) and indices of type $(eltype(indices))"
        throw(SubquadError(SUBQUAD_ERR_DTYPE, "$name has $given, not Float32 or Float64 and Int32 or Int64"))
    end
    count, outer = nnz(x), layout == SUBQUAD_CSC ? columns : rows
    # C looks at what the offsets say of the entries there are, but cannot know how long these vectors are.
    if length(offsets) != outer + 1 || min(length(indices), length(values)) < count
        lengths = "$(length(offsets)) offsets, $(length(indices)) indices and $(length(values)) values"
        throw(SubquadError(SUBQUAD_ERR_VALUE, "$name has $lengths, too few for $outer columns of $count nonzeros"))
    end
    return SubquadSparse(pointer(offsets), pointer(indices), pointer(values), rows, columns, count, layout, codes..., 1)
end

function with_matrix(f, name, x::ColumnBlocks{T}) where {T}
    reader = Reader(name, x, nothing)
    try
        return GC.@preserve reader on_matrix(f, name, function (handle)
            user = pointer_from_objref(reader)
            return subquad_matrix_from_blocks(x.size..., dtype(T), x.block_columns, BLOCKS_CALLBACK[], user, handle)
        end)
    catch
        reader.caught === nothing && rethrow()
    end
    throw(reader.caught)
end

with_matrix(f, name, other) = throw(SubquadError(SUBQUAD_ERR_TYPE, "$name must be a matrix or column_blocks, not a $(typeof(other))"))

"""Call `f` with the matrix that `create(handle)` makes, and release it."""
function on_matrix(f, name, create)
    handle = Ref(Ptr{subquad_matrix}(C_NULL))
    # C knows no other name than x here.
    check(create(handle), Dict(name => "x"))
    try
        return f(handle[])
    finally
        subquad_matrix_destroy(handle[])
    end
end

"""`check` after a call on matrices. C names their entries in the same order, counted from 0."""
function check_matrices(status, sources, outputs, short_names=Dict{Symbol,Symbol}())
    status == SUBQUAD_ERR_NONFINITE || return check(status, sources, outputs, short_names)
    message = unsafe_string(subquad_last_error())
    found = match(r"^(\w+)\[(\d+), (\d+)\] is (\S+)$", message)
    if found !== nothing
        row, column, value = parse(Int, found[2]) + 1, parse(Int, found[3]) + 1, parse(Float64, found[4])
        message = "$(found[1])[$row, $column] = $value is not finite"
    end
    throw(SubquadError(status, message))
end
