# Conv bases: how one is made from starts and kernels, a dense matrix or another basis, and released.

"""
    ConvBasis(starts, kernels; cumulative=false, keywords...)
    ConvBasis(kernel::AbstractVector; keywords...)
    ConvBasis(h::AbstractMatrix; keywords...)
    ConvBasis(bases::AbstractArray{<:ConvBasis}; keywords...)

A lower-triangular n × n matrix H whose columns, as functions of the lag i - j, change at few places; the logits of causal attention, say.
It is an `AbstractMatrix` of `Float32` or `Float64`. Products with it cost little more than n log n operations a column: `H * x`, `H' * x`,
`x * H`, `mul!` with three and with five arguments, on vectors and matrices with any strides. [`apply`](@ref) is softmax attention with
these logits.

`starts[r]` is the column, counted from 1, at which basis r starts: strictly increasing. Column r of `kernels`, which is n × k, is its
kernel b_r, read as far as entry n + 1 - starts[r]: basis r adds `kernels[i - j + 1, r]` to `H[i,j]` wherever `i >= j >= starts[r]`. With
`cumulative=true` the columns are the sums b_1 + .. + b_r, which is also how they are kept: `H[i,j]` is then the entry itself.

A vector is the first column of a Toeplitz matrix (a lag bias, a stationary kernel): `starts = [1]`. A matrix must be zero above its
diagonal; any such matrix has a basis, with k <= n.

Further dimensions of `starts`, `kernels` and `h` count heads and the batch, as in [`attention`](@ref): H is then an array, n × n × heads
[× batch], the type `ConvBasis{T,3}` or `ConvBasis{T,4}`. A head with fewer bases than others has starts n + 1 at its end.
[`Subquad.heads`](@ref) makes an array of matrices of it, and `ConvBasis(bases)` one array of those.

A basis is read-only and keeps copies of everything: use it from any number of threads at once. `Subquad.starts(H)`, `Subquad.kernels(H)`,
`Matrix(H)` and `H[i,j]` read it; the first entry that is asked for makes a copy of the kernels that stays. `close(H)` releases the memory,
which otherwise the garbage collector does.

Keywords: `cumulative`, `check_finite`, and `context`, `threads`, `progress` as in [`attention`](@ref).

```jldoctest
julia> H = ConvBasis([1, 3], [1.0 10; 2 20; 3 0; 4 0]);

julia> H == [1 0 0 0; 2 1 0 0; 3 2 11 0; 4 3 22 11]
true

julia> H * ones(4) == Matrix(H) * ones(4)
true

julia> Subquad.starts(ConvBasis(Matrix(H))) == Subquad.starts(H)
true
```
"""
mutable struct ConvBasis{T,N} <: AbstractArray{T,N}
    handle::Handle{subquad_conv_basis}
    shape::NTuple{4,Int}                                      # of all kernels: n, bases, heads, batch
    table::Union{Nothing,Tuple{Array{Int64,3},Array{T,4}}}    # starts and cumulative kernels, once an entry has been asked for
    table_lock::ReentrantLock
    """Take over a basis of the library, which is of type T."""
    function ConvBasis{T,N}(pointer::Ptr{subquad_conv_basis}) where {T,N}
        handle = Handle(pointer, "basis")
        kernels = Ref(SubquadArray(C_NULL, 0, 0, (0, 0, 0, 0), (0, 0, 0, 0)))
        check(subquad_conv_basis_describe(pointer, kernels))
        return new(handle, reverse(kernels[].shape), nothing, ReentrantLock())
    end
end

"""Release the memory of a basis. Throws ERR_BUSY while a call uses it; a second time it does nothing."""
Base.close(basis::ConvBasis) = close(basis.handle)

Base.isopen(basis::ConvBasis) = isopen(basis.handle)

"""Run `call(context, options, report, handle)`, which makes a basis, and return that, as a `B`, and the report."""
function make_basis(call, B, inputs, settings)
    made = Ref{B}()
    report = with_call(settings) do context, options, report
        handle = Ref(Ptr{subquad_conv_basis}(C_NULL))
        check(call(context, options, report, handle), inputs, Named[], settings.message_names)
        made[] = B(handle[])
    end
    return made[], report
end

function ConvBasis(starts::AbstractArray, kernels::AbstractArray{T,N}; keywords...) where {T,N}
    return from_kernels(ConvBasis{T,N}, starts, kernels, c_view; keywords...)
end

ConvBasis(kernel::AbstractVector{T}; keywords...) where {T} = from_kernels(ConvBasis{T,2}, [1], kernel, column_view; keywords...)

function from_kernels(B, starts, kernels, kernels_view; context=nothing, threads=nothing, progress=nothing, options...)
    if !(eltype(starts) <: Integer || isempty(starts))
        throw(SubquadError(SUBQUAD_ERR_DTYPE, "starts has elements of type $(eltype(starts)), not Int64 or another type of integers"))
    end
    positions = Int64[number(Int64, Integer, :starts, start) - 1 for start in starts]
    inputs = Named["starts" => positions, "kernels" => kernels]
    basis, _ = make_basis(B, inputs, Settings(context, threads, progress, options, false)) do context, options, _, handle
        views = Ref(c_view("starts", positions)), Ref(kernels_view("kernels", kernels))
        GC.@preserve inputs subquad_conv_basis_create(context, options, views..., handle)
    end
    return basis
end

function ConvBasis(h::AbstractArray{T,N}; context=nothing, threads=nothing, progress=nothing, options...) where {T,N}
    inputs = Named["h" => h]
    settings = Settings(context, threads, progress, options, false)
    basis, _ = make_basis(ConvBasis{T,N}, inputs, settings) do context, options, _, handle
        GC.@preserve inputs subquad_conv_basis_from_dense(context, options, c_arguments(inputs, matrix_view)..., handle)
    end
    return basis
end

"""
    exp_transform(basis; context=nothing, threads=nothing, progress=nothing)

The basis of the matrix with entries `exp(H[i,j])` on and below the diagonal, zero above: the weights of causal attention, before they are
normalised. Large logits overflow here; [`apply`](@ref) has no such limit. (It is not named `exp`, which for a matrix is the power series.)

```jldoctest
julia> exp_transform(ConvBasis(zeros(3))) == [1 0 0; 1 1 0; 1 1 1]
true
```
"""
function exp_transform(basis::ConvBasis; context=nothing, threads=nothing, progress=nothing)
    made, _ = make_basis(typeof(basis), Named[], Settings(context, threads, progress, (), false)) do context, _, _, handle
        borrowed(pointer -> subquad_conv_basis_exp(context, pointer, handle), basis.handle)
    end
    return made
end
