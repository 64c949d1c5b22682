# Leverage scores and certificates by their definition, from an orthonormal basis of the rows in BigFloat, and what rounding may cost: the
# named budgets of the tests of sparsifiers.

using SparseArrays

"""A matrix and what its scores and certificates are made of: `v`, rank × d, has orthonormal rows that span those of `x`."""
struct Whitened
    x::Matrix{BigFloat}
    v::Matrix{BigFloat}
    condition::Float64    # of x on its range, rows scaled to norm 1
end

"""`rows` are rows of `x` that span all of them, and independent."""
function whitened(x, rows=1:min(size(x)...))
    norms = [(size = norm(row); iszero(size) ? one(size) : size) for row in eachrow(x)]
    scaled = big.(Matrix(x)) ./ norms
    v = Matrix(qr(Matrix(scaled[rows, :]')).Q)'
    values = isempty(rows) ? [1.0] : svdvals(Float64.(scaled))
    return Whitened(x, v, values[1] / values[max(length(rows), 1)])
end

matrix_rank(w) = size(w.v, 1)
true_scores(w) = vec(sum(abs2, w.v; dims=1))
whitened_product(w, indices, weights) = w.v[:, indices] * (weights .* w.v[:, indices]')

"""Largest |eigenvalue - 1| of the whitened y y'."""
function true_epsilon(w, indices, weights)
    matrix_rank(w) == 0 && return 0.0
    return maximum(abs, eigvals(Symmetric(Float64.(whitened_product(w, indices, weights) - I))))
end

"""
roundoff of the whitened columns, all together. A QR factor of x' errs by n reflections of vectors of d entries, each an inner product and an
update, and n more for a solve with it: n (2d + 7) u of each row's norm, which counts against the least singular value of the scaled rows.
"""
factor_roundoff(T, w) = size(w.x, 1) * (2 * size(w.x, 2) + 7) * eps(T) / 2
whitening_roundoff(T, w) = sqrt(size(w.x, 1)) * factor_roundoff(T, w) * w.condition

"""roundoff of a score, at most 1: twice and squared, and of the sum of squares."""
score_budget(T, w) = (p = whitening_roundoff(T, w); 2p + p^2 + (matrix_rank(w) + 2) * eps(T) / 2)

"""roundoff of a certificate e of `width` columns: that of the whitened columns, twice, and of products and eigenvalues of norm 1 + e."""
function epsilon_budget(T, w, e, width)
    return (1 + e) * ((1 + whitening_roundoff(T, w))^2 - 1 + (width + matrix_rank(w) + 4) * matrix_rank(w) * eps(T) / 2)
end

"""Whether `s` is what it says it is: columns of `x` with weights, whose certificate, if exact, is right."""
function consistent(s, x, w=whitened(x))
    T = eltype(x)
    issorted(s.indices; lt=<=) && checkbounds(Bool, axes(x, 2), s.indices) && all(>(0), s.weights) || return false
    length(s.weights) == length(s.indices) && s.report[:width] == length(s.indices) && s.report[:rank] == matrix_rank(w) || return false
    # roundoff of a root, a product, and of both in double first.
    expected = Matrix(x)[:, s.indices] .* sqrt.(s.weights')
    eltype(s.y) == T && within(Matrix(s.y), expected, 2 * eps(T) .* abs.(expected)) || return false
    e = true_epsilon(w, s.indices, s.weights)
    budget = epsilon_budget(T, w, e, length(s.indices))
    return s.certificate == :exact ? within(s.epsilon, e, budget) : s.certificate == :estimate && s.epsilon <= e + budget
end

# The same matrix, lying in memory in other ways, or given in others.
as_blocks(width) = x -> column_blocks(range -> x[:, range], size(x)..., eltype(x); block_columns=width)
sparse_with(x, index_type) = SparseMatrixCSC{eltype(x),index_type}(sparse(x))
with_short_indices(x) = sparse_with(x, Int32)
narrow_blocks(x) = as_blocks(7)(x)
blocks_of_any_width(x) = as_blocks(nothing)(x)
by_rows(x) = transpose(sparse(permutedims(x)))
by_rows_with_short_indices(x) = adjoint(sparse_with(permutedims(x), Int32))
const GIVEN = (
    identity, LAYOUTS..., sparse, with_short_indices, by_rows, by_rows_with_short_indices, narrow_blocks, blocks_of_any_width,
)

"""A matrix of uniform numbers with about this share of them not zero."""
function thinned(T, seed, n, d, share)
    return uniform(T, seed, n, d) .* (fill_uniform!(Matrix{T}(undef, n, d), seed; stream=1) .< share)
end

# Matrices that are hard to sparsify: a column as large as all others together, near-duplicates, a condition of 1e10 (1e3 in single).
one_large(T, n, d) = (x = uniform(T, 3, n, d); x[:, d÷2] .*= 1000; x)
near_duplicates(T, n, d) = repeat(uniform(T, 4, n, d ÷ 2); inner=(1, 2)) .* (1 .+ 16 * eps(T) .* (0:d-1)')
function ill_conditioned(T, n, d)
    x = uniform(T, 5, n, d)
    x[end, :] .= x[1, :] .+ T(T == Float32 ? 1e-3 : 1e-10) .* x[end, :]
    return x
end
