# Gradients through a conv basis, and the training problem of one attention layer.

"""
    attention_backward(basis, q, k, v, d_o; keywords...) -> (dq=.., dk=.., dv=..)

Gradients of `apply(basis, v)` with respect to the `q` and `k` that [`conv_basis_recover`](@ref) or [`conv_basis_fit`](@ref) made `basis`
of, and to `v`, with the weights of the basis in place of the exact ones. Give the same `scale`. Time close to linear in n, but
proportional to d d_v: exact gradients are faster up to some ten thousands of positions.

Keywords: `backward` (`:exact` or `:conv_basis`; unless given, the faster of the two), `scale`, `check_finite`; `context`, `threads`,
`progress` and `return_report` as in [`attention`](@ref). The report's `:method` says what ran.
"""
function attention_backward(
    basis::ConvBasis, q::AbstractArray, k::AbstractArray, v::AbstractArray, d_o::AbstractArray; keywords...
)
    inputs = Named["q" => q, "k" => k, "v" => v, "d_o" => d_o]
    results = map(array -> Array{eltype(array)}(undef, size(array)), (dq=q, dk=k, dv=v))
    outputs = Named[string(name) => array for (name, array) in pairs(results)]
    report = on_basis(subquad_conv_basis_backward, basis, inputs, outputs; keywords...)
    return report === nothing ? results : (; results..., report=report)
end

"""
    attention_loss(a1, a2, a3, x, y, e; keywords...) -> loss, grad_x
    attention_loss(a1, a2, a3, x, y, e; return_gradient=false, return_report=true, keywords...) -> loss, report

Loss of one layer of causal attention with queries `x * a1`, keys `a2` and values `y * a3`, against what it should give, `e`; and the
gradient of the loss with respect to `x`:

    loss = 0.5 * sum(abs2, attention(x * a1, a2, y * a3; causal=true, scale=1) - e)

`a1`, `a2`, `a3` are d × n, one column per position; `x` is d × d, `y` d_v × d, `e` d_v × n. (Papers write rows for positions: all matrices
are transposed there.)

Keywords: `method`, `:exact` or `:conv_basis`; for the latter `bases`, and with `window`, `delta` and `eps` the logits are recovered as by
[`conv_basis_recover`](@ref), without them fitted as by [`conv_basis_fit`](@ref), and `backward` says how the gradient is computed;
`scale=1`, `seed=0`, `check_finite`; `context`, `threads`, `progress` and `return_report` as in [`attention`](@ref).

```jldoctest
julia> a1, a2, a3 = (fill_uniform!(zeros(3, 7), seed) for seed in 1:3);

julia> x, y, e = ones(3, 3), ones(2, 3), zeros(2, 7);

julia> loss, grad_x = attention_loss(a1, a2, a3, x, y, e);

julia> loss ≈ sum(abs2, attention(x * a1, a2, y * a3; causal=true, scale=1)) / 2
true

julia> attention_loss(a1, a2, a3, x - 0.01grad_x, y, e; return_gradient=false) < loss
true
```
"""
function attention_loss(
    a1::AbstractMatrix, a2::AbstractMatrix, a3::AbstractMatrix, x::AbstractMatrix, y::AbstractMatrix, e::AbstractMatrix;
    return_gradient=true, context=nothing, threads=nothing, progress=nothing, return_report=false, options...,
)
    inputs = Named["a1" => a1, "a2" => a2, "a3" => a3, "x" => x, "y" => y, "e" => e]
    grad_x = return_gradient ? Array{eltype(x)}(undef, size(x)) : nothing
    loss, report = call_loss(inputs, Named["grad_x" => grad_x], Settings(context, threads, progress, options, return_report))
    return unwrapped(loss, grad_x, report)
end

function call_loss(inputs, outputs, settings)
    loss = Ref(0.0)
    report = with_call(settings) do context, options, report
        GC.@preserve inputs outputs begin
            status = subquad_attention_loss(context, options, c_arguments(inputs)..., loss, c_arguments(outputs)..., report)
            check(status, inputs, outputs, settings.message_names)
        end
    end
    return loss[], report
end
