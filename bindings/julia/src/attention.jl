# Attention, forward.

"""
    attention(q, k, v; keywords...) -> o
    attention(q, k, v; return_lse=true, return_report=true, keywords...) -> o, lse, report

Softmax attention. With `s[i,j] = scale * dot(q[:,i], k[:,j])`, masked and with the lag bias added,

    o[:,i] = sum_j exp(s[i,j]) v[:,j] / sum_j exp(s[i,j]),    lse[i] = log(sum_j exp(s[i,j]))

`q` is d × n_q [× heads [× batch]], `k` d × n_k [× heads_kv [× batch]], `v` d_v × n_k [× ..], all `Float32` or all `Float64`, with any
strides. `o` is d_v × n_q [× heads [× batch]], `lse` n_q [× heads [× batch]]. The number of heads is a multiple of heads_kv: query
heads share key/value heads in groups that lie together. A query that sees no key has `o = 0` and `lse = -Inf`.

# Keywords

- `causal=false`: query i sees only keys j with `j <= i + causal_offset`.
- `causal_offset`: 0 where n_q = n_k; must be given for causal attention or a lag bias where n_q ≠ n_k.
- `scale`: `1/sqrt(d)` unless given.
- `lag_bias`: a matrix with one column per query head, or with one column for all, added to the logits after the scale: the pair
  (i, j) gains `lag_bias[lag - lag_min + 1, head]`, `lag = i + causal_offset - j - key_offset`. It must cover every visible pair.
- `lag_min=0`: lag of the first entry of `lag_bias`.
- `key_ranges`: positions of the keys to be seen, counted from 1 and both ends included: `3:7` for all, or a vector with a range for each
  element of the batch, or a matrix with a column (first, last) for each. The rest is padding.
- `key_offset=0`: how many keys of a longer sequence come before `k`; key j then stands at position `j + key_offset`.
- `tol` or `budget`: approximate attention, to a tolerance or within a budget, which [`plan`](@ref) explains; so are `estimate`, `parts`,
  `strict_causal` and `seed`, which may come with them. Method `:auto` is what this is called. The report says for each head what was
  computed and its estimated error. To use the same `q` and `k` with more values, keep the [`plan`](@ref).
- `method`: `:exact`, which is also what neither method nor `tol` nor `budget` means; `:auto`; or `:conv_basis`, which replaces the logits
  by a [`ConvBasis`](@ref) and takes time close to linear in n. It needs `causal=true` and n_q = n_k, and takes no `key_ranges`. With
  `bases`, `window` (`conv_window`), `delta` (`conv_delta`) and `eps=0` (`conv_eps`) the basis is recovered as by
  [`conv_basis_recover`](@ref); with `bases` and `seed=0` it is fitted as by [`conv_basis_fit`](@ref). `strict_causal=false` is what it is
  to [`apply`](@ref).
- `check_finite=true`: refuse a NaN or an infinity, with its index. Off, they reach the output.
- `threads`: how many threads; the result has the same bits for any number. Unless given, `SUBQUAD_NUM_THREADS` or all processors.
- `context`: a [`Context`](@ref) to run on in place of one from the pool.
- `progress`: called as `progress(fraction)` every 20 ms or so, at least every 50, on this thread; what it throws ends the call and is
  thrown again.
- `return_lse=false`, `return_report=false`: also return `lse`, a [`Report`](@ref).

Ctrl-C ends a call on Julia's first thread within a fifth of a second with an `InterruptException`.

```jldoctest
julia> q = fill_uniform!(zeros(Float32, 16, 6), 1); k = fill_uniform!(zeros(Float32, 16, 9), 2);

julia> v = fill_uniform!(zeros(Float32, 3, 9), 3);

julia> size(attention(q, k, v))
(3, 6)

julia> o, lse = attention(q, k, v; causal=true, causal_offset=3, return_lse=true);

julia> attention(q[:, 1:1], k[:, 1:4], v[:, 1:4]) ≈ o[:, 1:1]
true

julia> attention(q, k, v; lag_bias=reshape(Float32.(0:-1:-8), 9, 1), causal=true, causal_offset=3) == o
false
```
"""
function attention(q::AbstractArray, k::AbstractArray, v::AbstractArray; return_lse=false, return_report=false, keywords...)
    refuse_lse(keywords)
    o = Array{eltype(q)}(undef, size(v, 1), size(q)[2:end]...)
    lse = return_lse ? Array{eltype(q)}(undef, size(q)[2:end]) : nothing
    result = attention!(o, q, k, v; lse=lse, return_report=return_report, keywords...)
    report = return_report ? last(result) : nothing
    return unwrapped(o, lse, report)
end

"""A call that makes its own `lse` returns that one, so it has no use for the caller's."""
function refuse_lse(keywords)
    haskey(keywords, :lse) || return nothing
    throw(SubquadError(SUBQUAD_ERR_CONFLICT, "lse is given to a call that makes its own; calls that end in ! write to one"))
end

"""Results as they are returned: without those that are `nothing`, and bare when one is left."""
function unwrapped(results...)
    kept = Tuple(result for result in results if result !== nothing)
    return length(kept) == 1 ? first(kept) : kept
end

"""
    attention!(o, q, k, v; lse=nothing, keywords...) -> o
    attention!(o, q, k, v; return_report=true, keywords...) -> o, report

[`attention`](@ref) with its results written to `o` and, where it is given, `lse`. They may have any strides that do not make two
elements share memory, and must not overlap an input. After an error other than a refusal their contents are unspecified.

```jldoctest
julia> q = fill_uniform!(zeros(4, 5), 1); o = zeros(4, 5);

julia> attention!(o, q, q, q) == attention(q, q, q)
true
```
"""
function attention!(
    o::AbstractArray, q::AbstractArray, k::AbstractArray, v::AbstractArray;
    lse=nothing, lag_bias=nothing, key_ranges=nothing, threads=nothing, context=nothing, progress=nothing, return_report=false,
    options...,
)
    inputs = Named["q" => q, "k" => k, "v" => v, "lag_bias" => lag_bias, "key_ranges" => range_table(key_ranges)]
    outputs = Named["o" => o, "lse" => lse]
    report = call_attention(inputs, outputs, Settings(context, threads, progress, with_method(options), return_report))
    return unwrapped(o, report)
end

function call_attention(inputs, outputs, settings)
    return with_call(settings) do context, options, report
        GC.@preserve inputs outputs begin
            status = subquad_attention(context, options, c_arguments(inputs)..., c_arguments(outputs)..., report)
            check(status, inputs, outputs, settings.message_names)
        end
    end
end
