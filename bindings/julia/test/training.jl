# Gradients through conv bases, and the training problem, against finite differences of the definition.

"""
method budgets of the gradients by method conv_basis: the promise for `apply`, and for its transpose, on each of the d_v products with
columns v k (for dq) or d_o q (for dk) and the one with rowsum(d_o o), whose own error comes third; and roundoff of the logits.
"""
function conv_gradient_budgets(T, q, k, v, d_o, scale)
    slack = 3 * promised(T) + 4 * weight_roundoff(T, size(q, 1), size(q, 2), abs(scale) * maximum(abs.(q)' * abs.(k)))
    most(x) = maximum(abs.(Float64.(x)); dims=2)
    weighted = abs.(d_o)' * most(v)                             # rows: sum_c |d_o| max|v|
    dq = abs(scale) * slack .* most(k) * weighted'
    dk = abs(scale) * slack .* (abs.(q) * weighted) .+ zeros(1, size(k, 2))
    return dq, dk, slack .* sum(abs.(d_o); dims=2) .+ zeros(1, size(v, 2))
end

exact_gradients(q, k, v, d_o; keywords...) = (
    differences(x -> loss(x, k, v, nothing, d_o; causal=true, keywords...), q),
    differences(x -> loss(q, x, v, nothing, d_o; causal=true, keywords...), k),
    differences(x -> loss(q, k, x, nothing, d_o; causal=true, keywords...), v),
)

all_within(result, expected, budgets) = all(map(within, (result.dq, result.dk, result.dv), expected, budgets))

@testset "gradients through a basis, $T" for T in (Float32, Float64)
    for (n, starts) in ((1, [1]), (7, [1]), (12, [1, 5, 8]), (12, [4, 9]))
        # Queries are constant, keys constant on pieces: an exact conv basis.
        q = repeat(uniform(T, 1, 3, 1), 1, n)
        pieces = [zeros(T, 3) uniform(T, 2, 3, length(starts))]
        k = hcat([pieces[:, 1+count(<=(j), starts)] for j in 1:n]...)
        v, d_o = uniform(T, 3, 2, n), uniform(T, 4, 2, n)
        H = conv_basis_fit(q, k; bases=n, scale=0.7)
        expected = exact_gradients(q, k, v, d_o; scale=big(0.7))
        budgets = conv_gradient_budgets(T, q, k, v, d_o, 0.7)
        result = attention_backward(H, q, k, v, d_o; scale=0.7, backward=:conv_basis, return_report=true)
        @test result.report[:method] == "conv_basis" && size(result.dq) == size(q)
        @test all_within(result, expected, budgets)
        for other in (attention_backward(H, q, k, v, d_o; scale=0.7, backward=:exact), attention_backward(H, q, k, v, d_o; scale=0.7))
            @test keys(other) == (:dq, :dk, :dv) && all_within(other, expected, budgets)
        end
    end
end

@testset "gradients of a basis that is not that of q and k" begin
    # With the weights held apart from q and k, dv is the transpose, and dq, dk are what the formulas say.
    H, _, _ = random_basis(Float64, 30, 3; first=2)
    q, k, v = problem(Float64, 30, 30; d=4, d_v=2)
    d_o = uniform(Float64, 7, 2, 30)
    P, _ = causal_weights(Matrix(H))
    dS = P .* (d_o' * v .- vec(sum(d_o .* (v * P'); dims=1)))
    result = attention_backward(H, q, k, v, d_o; backward=:conv_basis)
    @test all_within(result, (0.5 .* k * dS', 0.5 .* q * dS, d_o * P), conv_gradient_budgets(Float64, q, k, v, d_o, 0.5))
    same(x) = view(reverse(x; dims=2), :, size(x, 2):-1:1)
    @test attention_backward(H, same(q), permutedims(k)', same(v), same(d_o); backward=:conv_basis, threads=1) == result
    @test attention_backward(H, q, k, v, d_o; backward=:conv_basis, threads=2) == result
end

@testset "attention_backward by method conv_basis" begin
    q = repeat(uniform(Float64, 1, 3, 1, 4), 1, 9, 1)
    k = repeat(uniform(Float64, 2, 3, 3, 2); inner=(1, 3, 1))
    v, d_o = uniform(Float64, 3, 2, 9, 2), uniform(Float64, 4, 2, 9, 4)
    keywords = (causal=true, method=:conv_basis, bases=3)
    o, lse = attention(q, k, v; return_lse=true, keywords...)
    expected = attention_backward(q, k, v, attention(q, k, v; causal=true, return_lse=true)..., d_o; causal=true)
    for backward in (:conv_basis, :exact, nothing)
        result = attention_backward(q, k, v, o, lse, d_o; backward=backward, keywords...)
        @test keys(result) == (:dq, :dk, :dv) && map(size, values(result)) == (size(q), size(k), size(v))
        # Two query heads share a key head: their budgets add up.
        flat(x) = reshape(x, size(x, 1), :)
        budgets = 2 .* maximum.(conv_gradient_budgets(Float64, flat(q), flat(k), flat(v), flat(d_o), 1 / sqrt(3)))
        @test all(maximum(abs, result[name] - expected[name]) <= budget for (name, budget) in zip((:dq, :dk, :dv), budgets))
    end
    biased = attention_backward(q, k, v, o, lse, d_o; lag_bias=zeros(9, 1), keywords...)
    @test keys(biased) == (:dq, :dk, :dv)
end

# ---- The training problem

"""Loss of the definition, in BigFloat."""
function defined_loss(a1, a2, a3, x, y, e; scale=1)
    a1, a2, a3, x, y, e = map(array -> big.(array), (a1, a2, a3, x, y, e))
    P, _ = causal_weights(tril(scale .* ((x * a1)' * a2)))
    return sum(abs2, y * a3 * P' - e) / 2
end

"""
roundoff of the loss and of its gradient in x, or with `method` what method conv_basis promises: the weights' error, of logits with two
inner products, once above and once below the division; the residual's; and that of the gradient's products, relative to sums of absolute
terms.
"""
function loss_budgets(T, a1, a2, a3, x, y, e, method)
    d, n = size(a1)
    Q, K, V = abs.(x) * abs.(a1), abs.(a2), abs.(y) * abs.(a3)
    P, _ = causal_weights(tril((Float64.(x) * a1)' * a2))
    slack = expm1(4 * (d + 6) * eps(T) * maximum(Q' * K)) + (2n + 2d + 16) * eps(T) + 2method
    O, r = V * P', abs.(y * a3 * P' - e)
    residual = 2 * slack .* maximum(V; dims=2) .+ eps(T) .* (abs.(e) .+ O)
    total = sum(r .* residual .+ residual .^ 2) + length(e) * eps(T) * sum(abs2, r)
    D = r .* (4 * slack + (n + size(y, 1) + d + 16) * eps(T)) .+ residual
    dS = max.(P, method > 0) .* (D' * V .+ vec(sum(D .* maximum(V; dims=2); dims=1)))
    return total, K * dS' * abs.(a1)'
end

function loss_agrees(T, a1, a2, a3, x, y, e, method; keywords...)
    value, grad_x = attention_loss(a1, a2, a3, x, y, e; keywords...)
    value_budget, grad_budget = loss_budgets(T, a1, a2, a3, x, y, e, method)
    return abs(value - defined_loss(a1, a2, a3, x, y, e)) <= value_budget && size(grad_x) == size(x) && eltype(grad_x) == T &&
           within(grad_x, differences(x -> defined_loss(a1, a2, a3, x, y, e), x), grad_budget)
end

@testset "loss and gradient, n = $n, $T" for n in (0, 1, 2, 11), T in (Float32, Float64)
    a1, a2, a3 = (uniform(T, seed, 3, n) for seed in 1:3)
    x, y, e = uniform(T, 4, 3, 3), uniform(T, 5, 2, 3), uniform(T, 6, 2, n)
    n == 0 ? (@test attention_loss(a1, a2, a3, x, y, e) == (0, zeros(3, 3))) : @test loss_agrees(T, a1, a2, a3, x, y, e, 0.0)
    # Structure: what stands for queries is constant, and for keys constant on pieces.
    n == 11 || continue
    a1 = repeat(a1[:, 1:1], 1, n)
    a2 = a2[:, [1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3]]
    @test loss_agrees(T, a1, a2, a3, x, y, e, promised(T); method=:conv_basis, bases=3, backward=:conv_basis)
    @test loss_agrees(T, a1, a2, a3, x, y, e, promised(T); method=:conv_basis, bases=3, backward=:exact)
    # The columns before the first start must have logit 0, or the first start is 1.
    columns = unique((x * a1)' * a2; dims=2)
    delta = minimum([abs(s - t) for (i, s) in enumerate([0; columns[1, :]]) for t in [0; columns[1, :]][1:i-1]])
    @test loss_agrees(T, a1, a2, a3, x, y, e, promised(T); method=:conv_basis, bases=3, window=1, delta=delta)
end

@testset "the training problem's keywords" begin
    arrays = ((uniform(Float64, seed, 3, 8) for seed in 1:3)..., uniform(Float64, 4, 3, 3), ones(2, 3), ones(2, 8))
    loss, grad_x = attention_loss(arrays...)
    @test attention_loss(arrays...; return_gradient=false) == loss && attention_loss(arrays...; scale=1, threads=1) == (loss, grad_x)
    @test attention_loss(arrays...; return_gradient=false, return_report=true)[2] isa Report
    @test attention_loss(arrays[1:3]..., permutedims(arrays[4])', arrays[5:6]...) == (loss, grad_x)
    @test attention_loss(arrays...; scale=0.5)[1] != loss
    @test refused("ERR_SHAPE", ["x 2×3"], () -> attention_loss(arrays[1:3]..., ones(2, 3), arrays[5:6]...))
    @test refused("ERR_NONFINITE", ["y[1, 2] = Inf"], () -> attention_loss(arrays[1:4]..., [1 Inf 1; 1 1 1], arrays[6]))
    @test refused("ERR_CONFLICT", ["bases"], () -> attention_loss(arrays...; method=:conv_basis))
    @test refused("ERR_DTYPE", ["a2"], () -> attention_loss(arrays[1], Float32.(arrays[2]), arrays[3:6]...))
end

@testset "gradients refused" begin
    H = ConvBasis(ones(4))
    q = ones(3, 4)
    @test refused("ERR_SHAPE", ["q 3×5"], () -> attention_backward(H, ones(3, 5), q, q, q))
    @test refused("ERR_SHAPE", ["d_o 2×4"], () -> attention_backward(H, q, q, q, ones(2, 4)))
    @test refused("ERR_NONFINITE", ["d_o[1, 2] = NaN"], () -> attention_backward(H, q, q, q, [1 NaN 1 1; 1 1 1 1; 1 1 1 1]))
    @test refused("ERR_VALUE", ["backward", "fast", "conv_basis"], () -> attention_backward(H, q, q, q, q; backward=:fast))
end
