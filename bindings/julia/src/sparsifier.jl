# What a sparsifier is used for.

"""
    ratio_bound(s; scale=1)

`exp(2e * abs(scale) * r)` with e the certificate of `s`: every entry of the sparsifier's softmax is within this factor of the true one, up or
down. r is `s.radius`. It holds where `s.certificate` is `:exact`; an estimate of e makes it one too. Throws ERR_UNSET where there is no
certificate.

```jldoctest
julia> x = fill_uniform!(zeros(4, 900), 1; low=-0.1, high=0.1);

julia> s = sparsify(x; columns=60);

julia> ratio_bound(s) ≈ exp(2 * s.epsilon * maximum(sum(abs2, x; dims=2)))
true
```
"""
function ratio_bound(s::Sparsifier; scale=1)
    bound = Ref{Float64}()
    factor = number(Float64, Real, :scale, scale)
    disable_sigint() do
        borrowed(pointer -> check(subquad_sparsifier_ratio_bound(pointer, factor, bound)), s.handle)
    end
    return bound[]
end

"""
    attention(s::Sparsifier, v; keywords...) -> o
    attention(s::Sparsifier, v; return_lse=true, return_report=true, keywords...) -> o, lse, report
    attention!(o, s::Sparsifier, v; lse=nothing, keywords...) -> o

Attention from a [`Sparsifier`](@ref), without an n × n array:

    o = v * softmax(scale * y * y')',    of a pair    o = v * softmax(scale * y_q * y_k')'

`v` is d_v × n, one column per row of `x` (of a pair: of `k`), as everywhere in attention; `o` is d_v × n (of a pair, n rows of `q`). Time
proportional to n² (m + d_v) for the m columns of `y`.

Keywords: `scale=1`, `causal=false`, `causal_offset`; `check_finite`, `context`, `threads`, `progress`, `return_lse`, `return_report` as for
queries and keys.

```jldoctest
julia> x = fill_uniform!(zeros(6, 400), 1; low=-1); v = fill_uniform!(zeros(2, 6), 2);

julia> s = sparsify(x; method=:gram);

julia> attention(s, v; scale=0.1) ≈ attention(x', x', v; scale=0.1)
true
```
"""
function attention(s::Sparsifier{T}, v::AbstractArray; return_lse=false, return_report=false, keywords...) where {T}
    refuse_lse(keywords)
    n = query_count(s)
    o = Array{T}(undef, size(v, 1), n)
    lse = return_lse ? Array{T}(undef, n) : nothing
    result = attention!(o, s, v; lse=lse, return_report=return_report, keywords...)
    return unwrapped(o, lse, return_report ? last(result) : nothing)
end

query_count(s) = s.query_rows < 0 ? size(s.y, 1) : s.query_rows

function attention!(
    o::AbstractArray, s::Sparsifier, v::AbstractArray;
    lse=nothing, context=nothing, threads=nothing, progress=nothing, return_report=false, options...,
)
    settings = Settings(context, threads, progress, options, return_report)
    inputs, outputs, shown = Named["v" => v], Named["o" => o, "lse" => lse], Named["sparsifier" => s.y]
    return unwrapped(o, call_on_handle(subquad_sparsifier_attention, s.handle, shown, inputs, outputs, c_view, settings))
end

"""
    softmax_error(s, x; scale=1, keywords...) -> (error=.., ratio=..)
    softmax_error(s, q, k; scale=1, keywords...) -> (error=.., ratio=..)

What the sparsifier `s` of `x`, or of the pair `q` and `k`, really costs the softmax: with `P = softmax(scale * x * x')`, of a pair
`softmax(scale * q * k')`, and P~ that of `s`,

    error = maximum(abs, P~ - P),    ratio = maximum(exp.(abs.(log.(P~) - log.(P))))

The ratio is at most [`ratio_bound`](@ref) where the certificate is exact. For small n: time n² d, memory n². Keywords: `scale`;
`check_finite`, `context`, `threads`, `progress` as in [`attention`](@ref).

```jldoctest
julia> x = fill_uniform!(zeros(6, 4000), 1; low=-0.05, high=0.05);

julia> s = sparsify(x; columns=100);

julia> 1 < softmax_error(s, x).ratio <= ratio_bound(s)
true
```
"""
function softmax_error(s::Sparsifier, x, k=nothing; context=nothing, threads=nothing, progress=nothing, options...)
    sources = k === nothing ? Named["x" => x, "k" => k] : Named["q" => x, "k" => k]
    return call_softmax_error(s, sources, Settings(context, threads, progress, options, false))
end

function call_softmax_error(s, sources, settings)
    error, ratio = Ref{Float64}(), Ref{Float64}()
    with_call(settings) do context, options, _
        borrowed(s.handle) do pointer
            with_matrices(sources) do matrices...
                status = subquad_sparsifier_softmax_error(context, options, pointer, matrices..., error, ratio)
                check_matrices(status, sources, Named["sparsifier" => s.y])
            end
        end
    end
    return (error=error[], ratio=ratio[])
end
