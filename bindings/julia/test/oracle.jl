# Attention by its definition, in BigFloat, and what rounding may cost: the named budgets of the tests here.

using LinearAlgebra

setprecision(BigFloat, 160)

"""What one head's problem is: `logits` with -Inf where a query does not see a key, and the sum of the logits' absolute terms."""
struct Head
    q::Matrix{BigFloat}
    k::Matrix{BigFloat}
    v::Matrix{BigFloat}
    scale::BigFloat
    logits::Matrix{BigFloat}
    terms::Matrix{Float64}
    lag_index::Matrix{Int}   # row of the lag bias that a pair reads
end

four(x) = reshape(Array(x), ntuple(i -> size(x, i), 4))

"""The heads of a call as a matrix, query heads × batch. Keywords mean what they mean to `attention`."""
function heads(
    q, k, v; causal=false, causal_offset=0, scale=1 / sqrt(big(size(q, 1))), lag_bias=nothing, lag_min=0, key_ranges=nothing, key_offset=0
)
    q, k, v = four(q), four(k), four(v)
    n_q, n_k, group = size(q, 2), size(k, 2), size(k, 3) == 0 ? 1 : size(q, 3) ÷ size(k, 3)
    lags = [(i + causal_offset) - (j + key_offset) for i in 1:n_q, j in 1:n_k]
    return map(Iterators.product(axes(q, 3), axes(q, 4))) do (h, b)
        shared = cld(h, group)
        Q, K, V = big.(q[:, :, h, b]), big.(k[:, :, shared, b]), big.(v[:, :, shared, b])
        range = key_ranges isa Vector ? key_ranges[min(b, end)] : key_ranges
        logits, terms = scale * (Q' * K), Float64.(abs(scale) * (abs.(Q)' * abs.(K)))
        for i in 1:n_q, j in 1:n_k
            if (causal && lags[i, j] < 0) || !(range === nothing || j + key_offset in range)
                logits[i, j] = -Inf
            elseif lag_bias !== nothing
                bias = lag_bias[lags[i, j]-lag_min+1, min(h, size(lag_bias, 2))]
                logits[i, j] += bias
                terms[i, j] += abs(bias)
            end
        end
        Head(Q, K, V, scale, logits, terms, lags .- lag_min .+ 1)
    end
end

"""Weights of a head, rows that sum to 1 or to nothing, and its log-sum-exp."""
function weights(head)
    s = head.logits
    log_sum_exp(row) = isempty(row) || maximum(row) == -Inf ? big(-Inf) : maximum(row) + log(sum(exp.(row .- maximum(row))))
    lse = [log_sum_exp(row) for row in eachrow(s)]
    return [lse[i] == -Inf ? big(0.0) : exp(s[i, j] - lse[i]) for i in axes(s, 1), j in axes(s, 2)], lse
end

"""
roundoff of one row's weights, relative to them. A logit is d products and sums, times the scale, plus the bias, less the maximum, in
base 2: each step errs by half an eps of the terms' sum `terms`, and a whole one is allowed. The logit's error is the
weight's relative error; so are the exponential's own few ulp, the sum over n keys and as many rescalings of it (2n), and the division.
"""
weight_roundoff(T, d, n, terms) = expm1(2 * (d + 6) * eps(T) * terms) + (2n + 16) * eps(T)

largest(row) = isempty(row) ? 0.0 : maximum(row)

row_roundoff(T, head) = [weight_roundoff(T, size(head.q, 1), size(head.k, 2), largest(row)) for row in eachrow(head.terms)]

"""
`o` and `lse` with their budgets `roundoff`, all as 4-d arrays. An output spends the weights' budget twice, above and below the
division.
"""
function oracle(T, q, k, v; keywords...)
    problem = heads(q, k, v; keywords...)
    sizes = (size(v, 1), size(q, 2), size(problem)...)
    o, lse = zeros(BigFloat, sizes), zeros(BigFloat, Base.tail(sizes))
    o_budget, lse_budget = zeros(sizes), zeros(Base.tail(sizes))
    for I in CartesianIndices(problem)
        head = problem[I]
        P, L = weights(head)
        slack = row_roundoff(T, head)
        # Weights below the smallest normal number may be flushed to zero.
        flushed = size(head.k, 2) * floatmin(T) * largest(Float64.(abs.(head.v)))
        o[:, :, I], lse[:, I] = head.v * P', L
        o_budget[:, :, I] = 2 * Float64.(abs.(head.v) * P') .* slack' .+ flushed
        lse_budget[:, I] = slack .+ 2 * eps(T) .* abs.(Float64.(replace(L, -Inf => 0)))
    end
    return (o=o, lse=lse, o_budget=o_budget, lse_budget=lse_budget)
end

"""Whether each entry is within its budget; -Inf must be met exactly, and a NaN is never within."""
function within(result, expected, budget)
    length(result) == length(expected) || return false
    return all(zip(result, expected, budget)) do (x, y, allowed)
        isinf(y) ? x == y : abs(x - y) <= allowed
    end
end

"""Compare `attention` with the oracle, both results, and whether they have the sizes and type they should."""
function agrees(q, k, v; keywords...)
    T = eltype(q)
    o, lse = attention(q, k, v; return_lse=true, keywords...)
    expected = oracle(T, q, k, v; keywords...)
    shapes = size(o) == (size(v, 1), size(q)[2:end]...) && size(lse) == size(q)[2:end] && eltype(o) == eltype(lse) == T
    return shapes && within(o, expected.o, expected.o_budget) && within(lse, expected.lse, expected.lse_budget)
end

"""An array of uniform numbers in [-spread, spread]."""
uniform(T, seed, sizes...; spread=1) = fill_uniform!(Array{T}(undef, sizes), seed; low=-spread, high=spread)

"""Queries, keys, values."""
function problem(T, n_q, n_k; d=5, d_v=3, heads=(), shared=heads, seed=1, spread=1)
    q = uniform(T, seed, d, n_q, heads...; spread=spread)
    return q, uniform(T, seed + 1, d, n_k, shared...; spread=spread), uniform(T, seed + 2, d_v, n_k, shared...)
end
