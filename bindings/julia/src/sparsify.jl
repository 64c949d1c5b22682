# Sparsifiers: few columns of a matrix, with weights, that stand for all of them in a softmax.

"""
    Sparsifier

What [`sparsify`](@ref) and [`sparsify_pair`](@ref) return: a matrix `y`, n × m, with `softmax(scale * y * y')` close to
`softmax(scale * x * x')`. Its fields:

- `indices`: the columns of `x` that were chosen, distinct, increasing, counted from 1, a `Vector{Int64}`; `weights`: a `Vector{Float64}`.
  `nothing`, both, for `method=:gram`, unless it returned `x` itself.
- `y`: `y[:,j] = sqrt(weights[j]) * x[:,indices[j]]`, a `Matrix`; a `SparseMatrixCSC` where `x` is sparse and its columns were chosen. Of a
  pair, that of the queries above that of the keys.
- `epsilon`: the certificate, the least e with `(1-e) * x * x' <= y * y' <= (1+e) * x * x'` on the range of `x`; NaN where there is none.
- `certificate`: how it was found, `:exact`, or `:estimate`, which is a lower estimate, or `:none`.
- `radius`: the largest squared norm of a row of `x`, for a pair the product of the largest norms of a row of `q` and of `k`.
- `method`: `:leverage`, `:deterministic` or `:gram`.
- `report`: a [`Report`](@ref), with `:rank`, `:condition`, `:width`, `:epsilon_bound` (what theory promises), `:seconds_select`, ..

[`ratio_bound`](@ref), [`attention`](@ref) and [`softmax_error`](@ref) use it. It is read-only and keeps copies of everything: use it from
any number of threads at once. `close(s)` releases the library's copy of `y`, which otherwise the garbage collector does.

```jldoctest
julia> s = sparsify([3.0 0 1; 0 2 0]; columns=3)
Sparsifier{Float64} by leverage: 3 columns of 2 rows, epsilon = 0.0 (exact)

julia> s.indices == [1, 2, 3], s.weights == ones(3), s.y == [3 0 1; 0 2 0]
(true, true, true)
```
"""
struct Sparsifier{T,Y<:AbstractMatrix{T}}
    handle::Handle{subquad_sparsifier}
    indices::Union{Nothing,Vector{Int64}}
    weights::Union{Nothing,Vector{Float64}}
    y::Y
    epsilon::Float64
    certificate::Symbol
    radius::Float64
    method::Symbol
    query_rows::Int64    # of y, where it is a pair's; else -1
    report::Report
end

function Base.show(io::IO, s::Sparsifier{T}) where {T}
    print(io, "Sparsifier{$T} by $(s.method): $(size(s.y, 2)) columns of $(size(s.y, 1)) rows, ")
    print(io, s.certificate == :none ? "no certificate" : "epsilon = $(s.epsilon) ($(s.certificate))")
end

"""Release the library's memory of a sparsifier. Throws ERR_BUSY while a call uses it; a second time it does nothing."""
Base.close(s::Sparsifier) = close(s.handle)

Base.isopen(s::Sparsifier) = isopen(s.handle)

"""
    sparsify(x; columns, keywords...) -> s
    sparsify(x; eps, keywords...) -> s
    sparsify(x; method=:gram, keywords...) -> s

Choose columns of `x`, n × d with d far above n, and weights for them, that stand for all of `x` in `softmax(scale * x * x')`: a
[`Sparsifier`](@ref). With its certificate e, every entry of the softmax is within a factor `exp(±2e * abs(scale) * r)` of the true one, `r`
the largest squared norm of a row of `x`: see [`ratio_bound`](@ref).

`x` is a matrix as it is written, `Float32` or `Float64`, its rows what attends and its columns what is chosen: of queries `q` as
[`attention`](@ref) takes them, one column per query, it is `q'`, which costs nothing. It may be

- dense: any matrix that lies in memory, with any strides; row-major (a transpose) and column-major are equally good;
- sparse: a `SparseMatrixCSC` with indices of type `Int32` or `Int64`, or its `transpose` or adjoint, which are not copied either;
- [`column_blocks`](@ref), for what does not fit in memory.

# Keywords

- `method` (`sparsify_method`):
  - `:leverage`, the default: columns are sampled by their leverage scores, in time proportional to the nonzeros plus n³;
  - `:deterministic`: chosen by barriers, one per step, never worse than `e = 2sqrt(c) / (c + 1)` after c rank(x) steps;
  - `:gram`: e = 0 to roundoff, but the rank(x) columns are not those of `x`. It takes neither `columns` nor `eps`, and is the better
    choice where real columns, sparsity and one's time do not matter.
- `columns` (`sparsify_columns`): the most columns; for `:deterministic` more than the rank. As many as `x` has return `x` itself.
- `eps` (`sparsify_eps`): the error e instead: at most that, for `:leverage` with probability `1 - delta`.
- `delta=0.01` (`sparsify_delta`), `seed=0`: of what is random. The same seed gives the same columns, for any number of threads.
- `certify=:auto` (`sparsify_certify`): `:exact`, `:estimate` (cheap, not for `column_blocks`), `false` or `:none`; `:auto` is exact where
  that costs less than the selection did.
- `check_finite`, `context`, `threads`, `progress` as in [`attention`](@ref).

Errors are [`SubquadError`](@ref)s: ERR_CONFLICT where not just one of `columns` and `eps` is given, ERR_VALUE, ERR_NONFINITE, ..

Source: arXiv 2304.04397, with the barriers of arXiv 0808.0163; docs/math/sparsify.md has the mathematics.

```jldoctest
julia> x = fill_uniform!(zeros(8, 3000), 1; low=-1);

julia> s = sparsify(x; method=:deterministic, columns=64);

julia> length(s.indices) <= 64, s.epsilon <= 2sqrt(64/8) / (64/8 + 1)
(true, true)

julia> s.y ≈ x[:, s.indices] .* sqrt.(s.weights')
true
```
"""
sparsify(x; keywords...) = make_sparsifier(subquad_sparsify, Named["x" => x]; keywords...)

"""
    sparsify_pair(q, k; keywords...) -> s

[`sparsify`](@ref) for two matrices with the same number of columns, for `softmax(scale * q * k')`: it chooses the columns of `[q; k]`, and
`s.y` is `[y_q; y_k]`. Each may be dense, sparse or [`column_blocks`](@ref), both of one element type. They are matrices as they are written:
of queries and keys as [`attention`](@ref) takes them, give `q'` and `k'`. The keywords are those of [`sparsify`](@ref).

Every entry of the softmax is within `exp(±2e * abs(scale) * r)` of the true one, `r` the product of the largest norms of a row of `q` and of
a row of `k`.

```jldoctest
julia> q, k = (fill_uniform!(zeros(n, 2000), n; low=-1) for n in (5, 3));

julia> s = sparsify_pair(q, k; method=:gram);

julia> s.y[1:5, :] * s.y[6:8, :]' ≈ q * k'
true
```
"""
sparsify_pair(q, k; keywords...) = make_sparsifier(subquad_sparsify_pair, Named["q" => q, "k" => k]; keywords...)

function make_sparsifier(f, sources; context=nothing, threads=nothing, progress=nothing, options...)
    settings = Settings(context, threads, progress, options, true, SPARSIFY_NAMES)
    made = Ref{Handle{subquad_sparsifier}}()
    report = with_call(settings) do context, options, report
        with_matrices(sources) do matrices...
            handle = Ref(Ptr{subquad_sparsifier}(C_NULL))
            check_matrices(f(context, options, matrices..., handle, report), sources, Named[], settings.message_names)
            made[] = Handle(handle[], "sparsifier")
        end
    end
    return read_sparsifier(made[], sources, report)
end

function read_sparsifier(handle, sources, report)
    view, method, query_rows = Ref(SubquadArray(C_NULL, 0, 0, (0, 0, 0, 0), (0, 0, 0, 0))), Ref{Int32}(), Ref{Int64}()
    epsilon, radius, kind = Ref{Float64}(), Ref{Float64}(), Ref{Int32}()
    indices, weights, y = GC.@preserve handle begin
        check(subquad_sparsifier_describe(handle.pointer, view, method, query_rows))
        check(subquad_sparsifier_certificate(handle.pointer, epsilon, kind, radius))
        n, m, _, _ = view[].shape
        indices, weights = read_chosen(handle.pointer, m)
        indices, weights, chosen_columns(handle.pointer, sources, indices, weights, n, m)
    end
    certificate, method = name_of("SUBQUAD_CERTIFICATE_", kind[]), name_of("SUBQUAD_SPARSIFIER_", method[])
    made = (handle, indices, weights, y, epsilon[], certificate, radius[], method, query_rows[], report)
    return Sparsifier{eltype(y),typeof(y)}(made...)
end

"""Indices, from 1, and weights of m columns; `nothing`, both, where there are none."""
function read_chosen(pointer, m)
    outputs = Named["indices" => Vector{Int64}(undef, m), "weights" => Vector{Float64}(undef, m)]
    status = GC.@preserve outputs subquad_sparsifier_get(pointer, c_arguments(outputs)..., C_NULL)
    status == SUBQUAD_ERR_UNSET && return nothing, nothing
    check(status)
    return outputs[1][2] .+ 1, outputs[2][2]
end

"""y, n × m: sparse where all of `sources` are and columns of theirs were chosen."""
function chosen_columns(pointer, sources, indices, weights, n, m)
    if indices !== nothing && all(source -> source[2] isa Sparse, sources)
        return reduce(vcat, [scaled_columns(x, indices, sqrt.(weights)) for (_, x) in sources])
    end
    outputs = Named["y" => Matrix{eltype(sources[1][2])}(undef, n, m)]
    check(GC.@preserve outputs subquad_sparsifier_get(pointer, C_NULL, C_NULL, c_arguments(outputs, matrix_view)...))
    return outputs[1][2]
end

scaled_columns(x::Compressed, indices, factors) = scaled!(x[:, indices], factors)
scaled_columns(x, indices, factors) = scaled!(copy(transpose(parent(x)[indices, :])), factors)

"""A sparse matrix with each column times its factor."""
function scaled!(x, factors)
    values = nonzeros(x)
    for j in axes(x, 2), place in nzrange(x, j)
        values[place] = factors[j] * values[place]
    end
    return x
end

"""The symbol of the constant with this value."""
function name_of(prefix, value)
    name = first(name for (name, other) in CONSTANTS if startswith(name, prefix) && other == value)
    return Symbol(lowercase(name[length(prefix)+1:end]))
end
