# The C structs subquad_array and subquad_sparse.

"""A view of an array as C takes it: row-major, so shape and strides are those of the Julia array in reverse."""
struct SubquadArray
    data::Ptr{Cvoid}
    dtype::Int32
    ndim::Int32
    shape::NTuple{4,Int64}
    strides::NTuple{4,Int64}
end

"""A view of a sparse matrix as C takes it, compressed by columns or by rows."""
struct SubquadSparse
    offsets::Ptr{Cvoid}
    indices::Ptr{Cvoid}
    values::Ptr{Cvoid}
    rows::Int64
    columns::Int64
    nonzeros::Int64
    layout::Int32
    dtype::Int32
    index_dtype::Int32
    index_base::Int32
end

# The layout is part of the C contract; a Julia that laid a struct out otherwise must not get as far as a call.
for (T, bytes, offsets) in ((SubquadArray, 80, [0, 8, 12, 16, 48]), (SubquadSparse, 64, [0:8:48; 52:4:60]))
    if !isbitstype(T) || sizeof(T) != bytes || map(i -> fieldoffset(T, i), 1:fieldcount(T)) != offsets
        error("$T is not laid out as the C struct")
    end
end
