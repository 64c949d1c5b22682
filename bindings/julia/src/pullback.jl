# Pullbacks: each differentiable function with what takes a gradient with respect to its result back to its arguments.

"""
    Subquad.pullback(f, arguments...; keywords...) -> value, back

`value` is `f(arguments...; keywords...)`, and `back(d)` takes the gradient `d` of a number with respect to `value` to its gradients with
respect to the arguments, a named tuple: what automatic differentiation asks of a rule.

| function and arguments | `back` gives |
|---|---|
| `attention, q, k, v` | `dq`, `dk`, `dv`; `d_lag_bias` where exact attention has a `lag_bias` |
| `attention, sparsifier, v` | `dv`, and `dy` for the sparsifier's `y` |
| `apply, plan, v` | `dq`, `dk` (of the pairs that the plan computes, see [`attention_backward`](@ref)), `dv` |
| `apply, basis, v`; `apply_transposed, basis, x` | `dv`; `dx` |
| `multiply, basis, x`; `multiply_transposed, basis, x`; `*, basis, x` | `dx`; the basis may be transposed in a product |
| `attention_merge, o_parts, lse_parts` | `d_o_parts`, `d_lse_parts`; `d` is a pair `(d_o, d_lse)`, either may be `nothing` |
| `attention_loss, a1, a2, a3, x, y, e` | `grad_x`; `d` is a number |

A basis, a plan and a sparsifier are constants here, but for what the table says; [`attention_backward`](@ref) has gradients through a basis
to queries and keys. With `tol` or `budget` one plan serves both ways, with `method=:conv_basis` the basis is found again, and
`backward` says how. Keywords are those of the function, `return_lse` and `return_report` excepted (ERR_CONFLICT). `d` must have the size
and the element type of `value`.

Source: docs/math/exact.md, docs/math/conv_basis.md.

```jldoctest
julia> q, k, v = (fill_uniform!(zeros(4, 6), seed) for seed in 1:3);

julia> o, back = Subquad.pullback(attention, q, k, v; causal=true);

julia> o == attention(q, k, v; causal=true)
true

julia> dq, dk, dv = back(one.(o)); h = 1e-6;

julia> isapprox(sum(attention(q .+ h .* dq, k, v; causal=true)) - sum(o), h * sum(abs2, dq); rtol=1e-3)
true

julia> L = ConvBasis([1.0, 2, 3]);

julia> y, back = Subquad.pullback(*, L, ones(3)); back([1.0, 0, 0]).dx == [1, 0, 0]
true
```
"""
function pullback(::typeof(attention), q::AbstractArray, k::AbstractArray, v::AbstractArray; backward=nothing, keywords...)
    options = with_method(only_value(keywords))
    if method_of(options) == SUBQUAD_METHOD_AUTO
        p = plan(q, k, v; options...)
        return pullback(apply, p, v; running(options)...)
    end
    o, lse = attention(q, k, v; options..., return_lse=true)
    return o, d_o -> attention_backward(q, k, v, o, lse, d_o; options..., backward=backward)
end

function pullback(::typeof(attention), s::Sparsifier, v::AbstractArray; scale=1, keywords...)
    o, lse = attention(s, v; scale=scale, only_value(keywords)..., return_lse=true)
    function back(d_o)
        y = Matrix(s.y)
        pair = s.query_rows >= 0
        queries, keys = pair ? (y[1:s.query_rows, :], y[s.query_rows+1:end, :]) : (y, y)
        dq, dk, dv = attention_backward(queries', keys', v, o, lse, d_o; scale=scale, keywords...)
        return (dy=permutedims(pair ? [dq dk] : dq + dk), dv=dv)
    end
    return o, back
end

function pullback(::typeof(apply), p::Plan, v::AbstractArray; keywords...)
    o, lse = apply(p, v; only_value(keywords)..., return_lse=true)
    return o, d_o -> attention_backward(p, v, o, lse, d_o; keywords...)
end

function pullback(::typeof(apply), basis::ConvBasis, v::AbstractArray; keywords...)
    o = apply(basis, v; only_value(keywords)...)
    function back(d_o)
        check_gradient("d", d_o, o)
        return (dv=shared(apply_transposed(basis, d_o; running(keywords)...), v),)
    end
    return o, back
end

# Each of these linear functions beside its transpose, which takes fewer keywords.
for (f, transposed) in ((:apply_transposed, :apply), (:multiply, :multiply_transposed), (:multiply_transposed, :multiply))
    @eval function pullback(::typeof($f), basis::ConvBasis, x::AbstractArray; keywords...)
        y = $f(basis, x; only_value(keywords)...)
        function back(d_y)
            check_gradient("d", d_y, y)
            return (dx=reshape($transposed(basis, d_y; running(keywords)...), size(x)),)
        end
        return y, back
    end
end

const Operator = Union{OneHead,Adjoint{<:Any,<:OneHead},Transpose{<:Any,<:OneHead}}

pullback(::typeof(*), a::Operator, x::AbstractVecOrMat) = product_pullback(a * x, d_y -> a' * d_y)
pullback(::typeof(*), x::AbstractMatrix, a::Operator) = product_pullback(x * a, d_y -> d_y * a')
pullback(::typeof(*), a::Operator, b::Operator) = no_pullback(*, a, b)

function product_pullback(y, transposed)
    function back(d_y)
        check_gradient("d", d_y, y)
        return (dx=transposed(d_y),)
    end
    return y, back
end

function pullback(::typeof(attention_merge), o_parts::AbstractVector, lse_parts::AbstractVector; keywords...)
    o, lse = attention_merge(o_parts, lse_parts; keywords...)
    function back(d)
        d isa Tuple && length(d) == 2 || throw(SubquadError(SUBQUAD_ERR_TYPE, "d must be a pair (d_o, d_lse), not a $(typeof(d))"))
        return merge_gradients(o_parts, lse_parts, o, lse, d...)
    end
    return (o, lse), back
end

"""
With w_p = exp(lse_p - lse), the share of part p, o = sum_p w_p o_p: so d_o_p = w_p d_o, and d_lse_p = w_p (<d_o, o_p - o> + d_lse).
"""
function merge_gradients(o_parts, lse_parts, o, lse, d_o, d_lse)
    for (name, d, value) in (("d_o", d_o, o), ("d_lse", d_lse, lse))
        d === nothing || check_gradient(name, d, value)
    end
    channels(x) = reshape(x, 1, size(x)...)
    # A query that no part sees has no share anywhere; -Inf - -Inf would be NaN.
    shares = [ifelse.(lse .== -Inf, zero(eltype(lse)), exp.(part .- lse)) for part in lse_parts]
    d_o_parts = [d_o === nothing ? zero(o) : channels(share) .* d_o for share in shares]
    d_lse_parts = map(o_parts, shares) do part, share
        along = d_o === nothing ? zero(lse) : dropdims(sum(d_o .* (part .- o); dims=1); dims=1)
        share .* (d_lse === nothing ? along : along .+ d_lse)
    end
    return (d_o_parts=d_o_parts, d_lse_parts=d_lse_parts)
end

function check_gradient(name, d, value)
    d isa AbstractArray || throw(SubquadError(SUBQUAD_ERR_TYPE, "$name must be an array, not a $(typeof(d))"))
    if size(d) != size(value)
        throw(SubquadError(SUBQUAD_ERR_SHAPE, "$name has size $(join(size(d), "×")), what it is the gradient of $(join(size(value), "×"))"))
    end
    eltype(d) == eltype(value) && return nothing
    throw(SubquadError(SUBQUAD_ERR_DTYPE, "$name has elements of type $(eltype(d)), what it is the gradient of $(eltype(value))"))
end

function pullback(::typeof(attention_loss), a1, a2, a3, x, y, e; keywords...)
    loss, grad_x = attention_loss(a1, a2, a3, x, y, e; only_value(keywords)...)
    return loss, d -> (grad_x=eltype(grad_x)(number(Float64, Real, :d, d)) .* grad_x,)
end

pullback(f, arguments...; keywords...) = no_pullback(f, arguments...)

function no_pullback(f, arguments...)
    types = join(typeof.(arguments), ", ")
    throw(SubquadError(SUBQUAD_ERR_TYPE, "there is no pullback of $f for arguments of types $types; ?Subquad.pullback lists them"))
end

"""Keywords of a call that returns its value alone."""
function only_value(keywords)
    for name in (:return_lse, :return_report, :return_gradient, :lse)
        haskey(keywords, name) && throw(SubquadError(SUBQUAD_ERR_CONFLICT, "$name does not go with a pullback, whose value is one result"))
    end
    return keywords
end

"""Those keywords that say how to run and to check, which any call takes."""
running(keywords) = (name => keywords[name] for name in (:check_finite, :context, :threads, :progress) if haskey(keywords, name))

"""Gradients for each head, added up where heads share those of `x`."""
function shared(gradient, x)
    size(gradient) == size(x) && return gradient
    channels, n, heads, batch = (size(x)..., 1, 1)
    groups = reshape(gradient, channels, n, :, heads, batch)
    return reshape(dropdims(sum(groups; dims=3); dims=3), size(x))
end
