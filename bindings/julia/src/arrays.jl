# The C struct subquad_array.

"""A view of an array as C takes it: row-major, so shape and strides are those of the Julia array in reverse."""
struct SubquadArray
    data::Ptr{Cvoid}
    dtype::Int32
    ndim::Int32
    shape::NTuple{4,Int64}
    strides::NTuple{4,Int64}
end

# The layout is part of the C contract; a Julia that laid the struct out otherwise must not get as far as a call.
if !isbitstype(SubquadArray) || sizeof(SubquadArray) != 80 || map(i -> fieldoffset(SubquadArray, i), 1:5) != [0, 8, 12, 16, 48]
    error("SubquadArray is not laid out as C's subquad_array")
end
