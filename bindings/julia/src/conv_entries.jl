# What a conv basis holds: starts, kernels, entries.

"""
    Subquad.starts(basis)

First columns of the bases, counted from 1: a vector of length k, with further dimensions for heads and batch. Where a head has fewer
bases than others, n + 1 stands for those that it lacks.

```jldoctest
julia> Subquad.starts(ConvBasis([1.0 0 0; 2 5 0; 3 6 5])) == [1, 2]
true
```
"""
function starts(basis::ConvBasis{T,N}) where {T,N}
    found = Array{Int64}(undef, basis.shape[2:end])
    read_basis!(basis, found, nothing)
    return reshape(found, size(found)[1:N-1])
end

"""
    Subquad.kernels(basis; cumulative=false)

Kernels of the bases, the columns of an n × k array, with further dimensions for heads and batch; zero where an entry has no
meaning. They are kept in cumulative form: without `cumulative` they are differences, rounded once.

```jldoctest
julia> H = ConvBasis([1.0 0 0; 2 5 0; 3 6 5]);

julia> Subquad.kernels(H) == [1 4; 2 4; 3 0], Subquad.kernels(H; cumulative=true) == [1 5; 2 6; 3 0]
(true, true)
```
"""
function kernels(basis::ConvBasis{T,N}; cumulative=false) where {T,N}
    found = Array{T}(undef, basis.shape)
    read_basis!(basis, nothing, found; cumulative=cumulative)
    return reshape(found, size(found)[1:N])
end

"""Fill those of the two arrays that are not `nothing`."""
function read_basis!(basis, starts, kernels; options...)
    outputs = Named["starts" => starts, "kernels" => kernels]
    disable_sigint() do
        borrowed(basis.handle) do pointer
            with_options(options, CONV_NAMES) do options
                status = GC.@preserve outputs subquad_conv_basis_get(pointer, options, c_arguments(outputs)...)
                check(status, Named[], outputs)
            end
        end
    end
    starts === nothing || (starts .+= 1)
    return nothing
end

function Base.size(basis::ConvBasis{T,N}) where {T,N}
    n, _, heads, batch = basis.shape
    return (n, n, heads, batch)[1:N]
end

function Base.getindex(basis::ConvBasis{T,N}, index::Vararg{Int,N}) where {T,N}
    @boundscheck checkbounds(basis, index...)
    i, j, head, batch = (index..., 1, 1)
    isopen(basis) || throw(SubquadError(SUBQUAD_ERR_NULL, "basis is closed"))
    i >= j || return zero(T)
    starts, kernels = entries(basis)
    r = searchsortedlast(view(starts, :, head, batch), j)
    return r == 0 ? zero(T) : kernels[i-j+1, r, head, batch]
end

"""Starts and cumulative kernels, which stay in memory from the first time on."""
function entries(basis::ConvBasis{T}) where {T}
    return lock(basis.table_lock) do
        if basis.table === nothing
            table = Array{Int64}(undef, basis.shape[2:end]), Array{T}(undef, basis.shape)
            read_basis!(basis, table...; cumulative=true)
            basis.table = table
        end
        basis.table::Tuple{Array{Int64,3},Array{T,4}}
    end
end

# A closed basis has no entries to show.
function Base.show(io::IO, text::MIME"text/plain", basis::ConvBasis)
    isopen(basis) || return print(io, summary(basis), ", closed")
    return invoke(show, Tuple{IO,MIME"text/plain",AbstractArray}, io, text, basis)
end

function Base.show(io::IO, basis::ConvBasis)
    isopen(basis) || return print(io, summary(basis), ", closed")
    return invoke(show, Tuple{IO,AbstractArray}, io, basis)
end

# What is zero by structure is shown as in a LowerTriangular.
function Base.replace_in_print_matrix(::ConvBasis{<:Any,2}, i::Integer, j::Integer, text::AbstractString)
    return i >= j ? text : Base.replace_with_centered_mark(text)
end

# A copy of the pointer would outlive what it points to; and what is read-only may be shared.
Base.deepcopy_internal(basis::ConvBasis, ::IdDict) = basis

function Base.Array{S,N}(basis::ConvBasis{T,N}) where {S,T,N}
    h = Array{T}(undef, size(basis))
    outputs = Named["h" => h]
    with_call(Settings(nothing, nothing, nothing, (), false)) do context, _, _
        borrowed(basis.handle) do pointer
            status = GC.@preserve outputs subquad_conv_basis_to_dense(context, pointer, c_arguments(outputs, matrix_view)...)
            check(status, Named[], outputs)
        end
    end
    return convert(Array{S,N}, h)
end
