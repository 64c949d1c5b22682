# Matrices that do not fit in memory: a function gives their columns, block by block.

"""What [`column_blocks`](@ref) makes: a matrix of type `T` that is known by the function for its columns."""
struct ColumnBlocks{T}
    columns_of::Any
    size::Tuple{Int64,Int64}
    block_columns::Int64
end

"""
    column_blocks(f, rows, columns, T; block_columns=nothing)

A matrix of `rows` × `columns` numbers of type `T`, `Float32` or `Float64`, that is never in memory as a whole: `f(range)` gives the columns
of a range of their numbers, such as `1:4096`, as a matrix of `rows` × `length(range)`. [`sparsify`](@ref), [`sparsify_pair`](@ref),
[`leverage_scores`](@ref) and [`softmax_error`](@ref) take it in place of an array.

`f` runs on the thread of the call, is asked for all columns in order, twice (`method=:deterministic` then asks again for some, in any
order), and must give the same columns every time. What it gives is copied and converted to `T`. What it throws ends the call and is
thrown again, Ctrl-C too. `block_columns` is the most that it is asked for at once; unless given, what fills about 8 MiB.

```jldoctest
julia> x = fill_uniform!(zeros(3, 500), 1; low=-1);

julia> blocks = column_blocks(range -> x[:, range], 3, 500, Float64; block_columns=64);

julia> leverage_scores(blocks; method=:exact) ≈ leverage_scores(x; method=:exact)
true
```
"""
function column_blocks(f, rows, columns, T; block_columns=nothing)
    if !(T in (Float32, Float64))
        throw(SubquadError(SUBQUAD_ERR_DTYPE, "column_blocks has elements of type $T, not Float32 or Float64"))
    end
    if !applicable(f, 1:1)
        throw(SubquadError(SUBQUAD_ERR_TYPE, "f must be a function of a range of columns, such as 1:4096, not a $(typeof(f))"))
    end
    sizes = number(Int64, Integer, :rows, rows), number(Int64, Integer, :columns, columns)
    minimum(sizes) < 0 && throw(SubquadError(SUBQUAD_ERR_SHAPE, "rows = $rows or columns = $columns is negative"))
    return ColumnBlocks{T}(f, sizes, number(Int64, Integer, :block_columns, something(block_columns, 0)))
end

Base.size(blocks::ColumnBlocks) = blocks.size
Base.size(blocks::ColumnBlocks, dimension) = blocks.size[dimension]
Base.eltype(::ColumnBlocks{T}) where {T} = T

"""What the callback of one matrix needs, and what it caught."""
mutable struct Reader
    name::String
    blocks::ColumnBlocks
    caught::Any
end

const BLOCKS_CALLBACK = Ref{Ptr{Cvoid}}(C_NULL)

"""
The library calls this on the calling thread for the columns first + 1 .. first + count. No exception may leave it: C frames lie below.
"""
function on_columns(user::Ptr{Cvoid}, first::Int64, count::Int64, block::Ptr{Cvoid})::Int32
    reader = unsafe_pointer_to_objref(user)::Reader
    try
        reenable_sigint() do
            GC.safepoint()
            write_columns(reader.name, reader.blocks, first+1:first+count, block)
        end
        return Int32(0)
    catch exception
        reader.caught = exception
        return Int32(1)
    end
end

function write_columns(name, blocks::ColumnBlocks{T}, range, block) where {T}
    found, wanted = blocks.columns_of(range), (blocks.size[1], length(range))
    if !(found isa AbstractMatrix && size(found) == wanted)
        given = found isa AbstractArray ? "an array of size $(join(size(found), "×"))" : "a $(typeof(found))"
        problem = "the function of $name gave $given for the columns $range, not a matrix of size $(join(wanted, "×"))"
        throw(SubquadError(SUBQUAD_ERR_SHAPE, problem))
    end
    copyto!(unsafe_wrap(Array, Ptr{T}(block), wanted), found)
    return nothing
end
