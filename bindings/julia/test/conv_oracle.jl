# Conv bases by their definition, as dense matrices, and what rounding and method may cost: the named budgets of their tests.

"""conv(b, s): adds b[i-j+1] at every i >= j >= s. The sum over bases, in BigFloat, from increments."""
function dense(starts, kernels)
    n = size(kernels, 1)
    H = zeros(BigFloat, n, n)
    for (r, s) in enumerate(starts), j in s:n, i in j:n
        H[i, j] += kernels[i-j+1, r]
    end
    return H
end

"""The same from cumulative kernels: each column has the kernel of the last start before it."""
function dense_cumulative(starts, kernels)
    n = size(kernels, 1)
    last_start(j) = count(<=(j), starts)
    return [i >= j && last_start(j) > 0 ? big(kernels[i-j+1, last_start(j)]) : big(0.0) for i in 1:n, j in 1:n]
end

"""Weights of causal attention with logits H, and their log-sum-exp."""
function causal_weights(H)
    n = size(H, 1)
    P, lse = zeros(eltype(H), n, n), zeros(eltype(H), n)
    for i in 1:n
        row = view(H, i, 1:i)
        lse[i] = maximum(row) + log(sum(exp.(row .- maximum(row))))
        P[i, 1:i] .= exp.(row .- lse[i])
    end
    return P, lse
end

"""
method: what `apply` promises, relative to the largest value of a channel, for logits in -80 .. 80 (Float32) or -600 .. 600 (Float64).
"""
promised(::Type{Float32}) = 1e-4
promised(::Type{Float64}) = 1e-9

"""method, for `apply` on values with one column per position."""
apply_budget(T, v) = fill(promised(T), 1, size(v, 2)) .* reduce(max, abs.(v); dims=2, init=zero(T))

"""
method, for `apply_transposed`: relative to the sum over blocks of the largest |x|, which the sum of all |x| bounds from above.
"""
transposed_budget(T, x) = fill(promised(T), 1, size(x, 2)) .* sum(abs.(x); dims=2)

"""
roundoff of the log-sum-exp: of a sum of n weights, each wrong by the roundoff of its logit and of exp, and of the result itself. Rows share
the scale of a transform, so it is the largest of all logits whose roundoff counts.
"""
function lse_budget(T, H, lse)
    largest_logit = largest(abs.(H))
    return [Float64(2i + 16 + 2 * largest_logit + 2 * abs(lse[i])) * eps(T) for i in eachindex(lse)]
end

"""
roundoff of a product with H or its transpose, for each column of `x`: |kernel|_2 |x|_2, summed over the kernels, times n u, which bounds
direct sums as well as the sums over the blocks of a transform, and times 24 u log2(2n), for three transforms with 8 u a level.
"""
function product_budget(T, starts, kernels, x)
    n = size(kernels, 1)
    total = zeros(1, size(x, 2))
    for r in eachindex(starts)
        B = norm(Float64.(view(kernels, 1:n-starts[r]+1, r)))
        total .+= B .* [norm(Float64.(view(x, :, c))) for c in axes(x, 2)]'
    end
    return (n + 24 * log2(2n + 2)) * eps(T) / 2 .* total
end

"""Starts, even over the columns from `first`."""
even_starts(n, k, first=1) = [first + (n + 1 - first) * (r - 1) ÷ k for r in 1:k]

"""A basis with random cumulative kernels in [-spread, spread]; its starts and kernels too."""
function random_basis(T, n, k; first=1, spread=1, seed=11)
    starts, kernels = even_starts(n, k, first), uniform(T, seed, n, k; spread=spread)
    return ConvBasis(starts, kernels; cumulative=true), starts, kernels
end

# The same matrix, lying in memory in other ways.
spread_apart(x) = view(repeat(x; inner=(3, 2)), 1:3:3size(x, 1), 1:2:2size(x, 2))
from_the_end(x) = view(reverse(reverse(x; dims=1); dims=2), size(x, 1):-1:1, size(x, 2):-1:1)
axes_swapped(x) = PermutedDimsArray(permutedims(x), (2, 1))
const LAYOUTS = (spread_apart, from_the_end, axes_swapped, x -> transpose(permutedims(x)), x -> adjoint(permutedims(x)))

const BASIS_SIZES = ((0, 0), (1, 0), (1, 1), (2, 1), (3, 2), (16, 4), (17, 17), (31, 3), (64, 1), (67, 8), (127, 2), (129, 5), (257, 16))
