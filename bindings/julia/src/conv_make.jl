# Conv bases from queries and keys.

"""
    conv_basis_recover(q, k; bases, window, delta, eps=0, keywords...) -> basis
    conv_basis_recover(q, k; return_report=true, keywords...) -> basis, report

Recover the [`ConvBasis`](@ref) of the causal logits `scale * dot(q[:,i], k[:,j])`, at most `bases` of them per head, from few of their
entries: short probes of `window` entries find by binary search the columns at which a basis starts, and only those columns are computed
whole.

Where the logits are within `eps` of a matrix with as many bases or fewer, no two of whose columns from different bases agree in their
first `window` entries to less than `delta` in sum, the starts are exact and attention errs by at most `2tanh(eps)` times
the largest value: the report's `:error_bound`. `eps` is at most `delta / 5window`. Where that does not hold the result may be far off; then
[`conv_basis_fit`](@ref) is the function to use.

`q` is d × n [× heads [× batch]], `k` the same with as many heads or a divisor of them. The report has `:bases` (found, for each head),
`:probes`, `:columns` and `:error_bound`.

Keywords: `bases`, `window`, `delta`, which must be given; `eps`, `scale`, `check_finite`; `context`, `threads`, `progress` and
`return_report` as in [`attention`](@ref).

```jldoctest
julia> using LinearAlgebra

julia> q, k = ones(4, 9), [ones(4, 5) 2ones(4, 4)];

julia> H, report = conv_basis_recover(q, k; bases=3, window=1, delta=0.5, return_report=true);

julia> Subquad.starts(H), report[:bases]
([1, 6], 2)

julia> H ≈ LowerTriangular(q'k / 2)
true
```
"""
function conv_basis_recover(q::AbstractArray{T,N}, k::AbstractArray; keywords...) where {T,N}
    return from_queries(subquad_conv_basis_recover, ConvBasis{T,N}, q, k; keywords...)
end

"""
    conv_basis_fit(q, k; bases, keywords...) -> basis
    conv_basis_fit(q, k; tol, keywords...) -> basis
    conv_basis_fit(q, k; return_report=true, keywords...) -> basis, report

Fit a [`ConvBasis`](@ref) to the causal logits of any `q` and `k`, and measure how well it does. Neighbouring keys that are alike make a
segment; its kernel is the mean of its logits at each lag. `bases` says how many; with `tol` in its place their number is doubled until
the error is at most `tol`, or until a doubling costs more than exact attention: compare the report's `:error_mean` with what was asked.

The error is that of the attention weights, the sum of `|P~[i,j] - P[i,j]|` over j, between 0 and 2, on rows sampled by `seed`. No row of
[`apply`](@ref) errs by more than that times the largest value. It is an estimate: rows that were not sampled may be worse. The report
has `:bases`, `:error_mean` and `:error_max` (for each head) and `:sampled_rows`.

Keywords: `bases` or `tol`; `scale`, `seed=0`, `check_finite`; `context`, `threads`, `progress` and `return_report` as in
[`attention`](@ref).

```jldoctest
julia> q = ones(4, 8); k = repeat(fill_uniform!(zeros(4, 2), 1); inner=(1, 4));

julia> H, report = conv_basis_fit(q, k; bases=2, return_report=true);

julia> Subquad.starts(H), report[:error_max] < 1e-12
([1, 5], true)
```
"""
function conv_basis_fit(q::AbstractArray{T,N}, k::AbstractArray; keywords...) where {T,N}
    return from_queries(subquad_conv_basis_fit, ConvBasis{T,N}, q, k; keywords...)
end

function from_queries(f, B, q, k; context=nothing, threads=nothing, progress=nothing, return_report=false, options...)
    inputs = Named["q" => q, "k" => k]
    basis, report = make_basis(B, inputs, Settings(context, threads, progress, options, return_report)) do context, options, report, handle
        GC.@preserve inputs f(context, options, c_arguments(inputs)..., handle, report)
    end
    return unwrapped(basis, report)
end
