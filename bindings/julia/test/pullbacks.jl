# Pullbacks: beside the gradients they are made of, and against finite differences or dense products where they are new.

same(found, expected) = keys(found) == keys(expected) && all(map(==, values(found), values(expected)))

@testset "attention, $T" for T in (Float32, Float64)
    q, k, v = problem(T, 6, 6; d=4, d_v=3, heads=(4,), shared=(2,))
    d_o = uniform(T, 9, 3, 6, 4)
    o, lse = attention(q, k, v; causal=true, return_lse=true)
    value, back = Subquad.pullback(attention, q, k, v; causal=true, threads=2)
    @test value == o && same(back(d_o), attention_backward(q, k, v, o, lse, d_o; causal=true))
    @test same(back(2 .* d_o), attention_backward(q, k, v, o, lse, 2 .* d_o; causal=true))
    bias = uniform(T, 8, 6, 1)
    value, back = Subquad.pullback(attention, q, k, v; causal=true, lag_bias=bias)
    @test keys(back(d_o)) == (:dq, :dk, :dv, :d_lag_bias)
    for method in (:EXACT, "exact", Subquad.SUBQUAD_METHOD_EXACT)
        same_value, same_back = Subquad.pullback(attention, q, k, v; causal=true, lag_bias=bias, method=method)
        @test same_value == value && same(same_back(d_o), back(d_o))
    end
    budgets = gradient_budgets(T, q, k, v, bias, d_o; causal=true)
    expected = differences(x -> loss(q, k, v, x, d_o; causal=true), bias)
    @test within(back(d_o).d_lag_bias, expected, budgets[4])
end

@testset "attention to a tolerance: one plan for both ways" begin
    q, k, v = textlike(Float32, 2048)
    p = plan(q, k, v; tol=0.05, causal=true)
    @test any(p.report[:parts] .!= "exact")
    o, lse = apply(p, v; return_lse=true)
    expected = attention_backward(p, v, o, lse, o)
    asked = (tol=0.05, causal=true)
    for (value, back) in (
        Subquad.pullback(attention, q, k, v; threads=1, asked...), Subquad.pullback(apply, p, v),
        Subquad.pullback(attention, q, k, v; method=Subquad.SUBQUAD_METHOD_AUTO, asked...),
    )
        @test value == o && same(back(o), expected)
    end
end

@testset "attention by conv bases" begin
    q, v = repeat(uniform(Float64, 1, 3, 1), 1, 9), uniform(Float64, 3, 2, 9)
    keywords = (causal=true, method=:conv_basis, bases=2)
    o, lse = attention(q, q, v; return_lse=true, keywords...)
    for backward in (:conv_basis, :exact, nothing)
        value, back = Subquad.pullback(attention, q, q, v; backward=backward, keywords...)
        expected = attention_backward(q, q, v, o, lse, o; backward=backward, keywords...)
        @test value == o && same(back(o), expected)
        @test same(attention_backward(q, q, v, nothing, nothing, o; backward=backward, keywords...), expected)
    end
end

@testset "apply and its transpose, values shared by heads" begin
    H = ConvBasis(cat([1 1; 3 5], [1 2; 4 9]; dims=3), uniform(Float64, 6, 8, 2, 2, 2))
    v, d_o = uniform(Float64, 3, 3, 8, 1, 2), uniform(Float64, 4, 3, 8, 2, 2)
    o, back = Subquad.pullback(apply, H, v; strict_causal=true)
    gradient = back(d_o).dv
    @test o == apply(H, v; strict_causal=true) && size(gradient) == size(v)
    each = apply_transposed(H, d_o)
    @test gradient[:, :, 1, :] == each[:, :, 1, :] + each[:, :, 2, :]
    y, back = Subquad.pullback(apply_transposed, H, d_o; threads=1)
    @test y == each && back(d_o).dx == apply(H, d_o)
end

@testset "products" begin
    H, _, _ = random_basis(Float64, 20, 3)
    x, d = uniform(Float64, 3, 20, 2), uniform(Float64, 4, 20, 2)
    for A in (H, H', transpose(H)), (x, d) in ((x, d), (x[:, 1], d[:, 1]))
        y, back = Subquad.pullback(*, A, x)
        @test y == A * x && back(d).dx == A' * d
    end
    rows, d_rows = permutedims(x), permutedims(d)
    for A in (H, H')
        y, back = Subquad.pullback(*, rows, A)
        @test y == rows * A && back(d_rows).dx == d_rows * A'
    end
    for (f, transposed) in ((multiply, multiply_transposed), (multiply_transposed, multiply))
        y, back = Subquad.pullback(f, H, rows)
        @test y == f(H, rows) && back(d_rows).dx == transposed(H, d_rows)
    end
    # With a dimension for one head that the value is without.
    for f in (apply_transposed, multiply, multiply_transposed)
        y, back = Subquad.pullback(f, H, reshape(rows, 2, 20, 1))
        @test back(y).dx == reshape(Subquad.pullback(f, H, rows)[2](y).dx, 2, 20, 1)
    end
    two, both = ConvBasis([H, H]), cat(rows, d_rows; dims=3)
    y, back = Subquad.pullback(multiply, two, both; strict_causal=true)
    @test y == multiply(two, both; strict_causal=true) && back(both).dx == multiply_transposed(two, both)
end

"""The derivative of `f` at x along dx, by differences in BigFloat, which leave about 2^-100 of it."""
function along(f, x, dx)
    step = big(2.0)^-50
    return (f(big.(x) .+ step .* dx) - f(big.(x) .- step .* dx)) / 2step
end

@testset "merging" begin
    o_parts, lse_parts = [uniform(Float64, seed, 3, 5) for seed in 1:3], [uniform(Float64, seed, 5) for seed in 4:6]
    lse_parts[2][4] = -Inf
    foreach(part -> part[5] = -Inf, lse_parts)                 # a query that no part sees
    d_o, d_lse = uniform(Float64, 7, 3, 5), uniform(Float64, 8, 5)
    function total(o_parts, lse_parts)
        most = reduce((x, y) -> max.(x, y), lse_parts)[1:4]
        weights = [exp.(part[1:4] .- most) for part in lse_parts]
        o = sum(part[:, 1:4] .* w' for (part, w) in zip(o_parts, weights)) ./ sum(weights)'
        sum(d_o[:, 1:4] .* o) + sum(d_lse[1:4] .* (log.(sum(weights)) .+ most))
    end
    (o, lse), back = Subquad.pullback(attention_merge, o_parts, lse_parts)
    @test (o, lse) == attention_merge(o_parts, lse_parts)
    gradients = back((d_o, d_lse))
    # roundoff: of a share, 16 eps, and of a sum over 3 channels of terms below 2; 5 positions at most add up, below.
    budget = 5 * 3 * 2 * 32 * eps()
    for part in 1:3, seed in 11:14
        direction = uniform(Float64, seed, 3, 5)
        moved(x) = [p == part ? x : big.(o_parts[p]) for p in 1:3]
        @test abs(along(x -> total(moved(x), lse_parts), o_parts[part], direction) - sum(gradients.d_o_parts[part] .* direction)) <= budget
        turned = uniform(Float64, seed, 5)
        moved_lse(x) = [p == part ? x : big.(lse_parts[p]) for p in 1:3]
        expected = along(x -> total(o_parts, moved_lse(x)), lse_parts[part], turned)
        @test abs(expected - sum(gradients.d_lse_parts[part] .* turned)) <= budget
    end
    @test all(part -> all(iszero, part[:, 5]), gradients.d_o_parts) && all(part -> iszero(part[5]), gradients.d_lse_parts)
    only_o, only_lse = back((d_o, nothing)), back((nothing, d_lse))
    for name in (:d_o_parts, :d_lse_parts), part in 1:3
        @test within(only_o[name][part] + only_lse[name][part], gradients[name][part], fill(budget, length(gradients[name][part])))
    end
end

@testset "sparsifiers" begin
    x, q = uniform(Float64, 1, 5, 300), uniform(Float64, 2, 4, 300)
    v, d_o = uniform(Float64, 3, 2, 5), uniform(Float64, 4, 2, 5)
    s = sparsify(x; columns=60)
    o, back = Subquad.pullback(attention, s, v; scale=0.02, causal=true)
    y = Matrix(s.y)'
    exact, lse = attention(y, y, v; scale=0.02, causal=true, return_lse=true)
    dq, dk, dv = attention_backward(y, y, v, exact, lse, d_o; scale=0.02, causal=true)
    found = back(d_o)
    slack = 2 * maximum(maximum, gradient_budgets(Float64, y, y, v, nothing, d_o; scale=big(0.02), causal=true)[1:3])
    @test o == attention(s, v; scale=0.02, causal=true) && within(found.dv, dv, fill(slack, size(dv)))
    @test within(found.dy, permutedims(dq + dk), fill(2 * slack, size(y')))
    pair = sparsify_pair(q, x; method=:gram)
    o, back = Subquad.pullback(attention, pair, v; scale=0.02)
    found = back(d_o[:, 1:4])
    @test size(o) == (2, 4) && size(found.dy) == size(pair.y) && size(found.dv) == size(v)
    # Of the keys' part: along a direction that gives every key the same more, no weight changes.
    @test abs(sum(found.dy[5:9, :])) <= 45 * slack * maximum(abs, pair.y)
end

@testset "the training problem" begin
    a1, a2, a3 = (uniform(Float64, seed, 3, 7) for seed in 1:3)
    arguments = (a1, a2, a3, uniform(Float64, 4, 3, 3), uniform(Float64, 5, 2, 3), uniform(Float64, 6, 2, 7))
    loss, back = Subquad.pullback(attention_loss, arguments...)
    expected = attention_loss(arguments...)
    @test loss == expected[1] && back(1).grad_x == expected[2] && back(-2).grad_x == -2 .* expected[2]
end

@testset "refused" begin
    q, k, v = problem(Float64, 5, 5)
    o, back = Subquad.pullback(attention, q, k, v)
    @test refused("ERR_SHAPE", ["d_o"], () -> back(o[:, 1:4]))
    @test refused("ERR_DTYPE", ["d_o"], () -> back(Float32.(o)))
    @test refused("ERR_CONFLICT", ["return_lse"], () -> Subquad.pullback(attention, q, k, v; return_lse=true))
    @test refused("ERR_CONFLICT", ["return_report"], () -> Subquad.pullback(apply, plan(q, k; tol=0.1), v; return_report=false))
    @test refused("ERR_TYPE", ["pullback of sum", "Float64"], () -> Subquad.pullback(sum, q))
    _, back = Subquad.pullback(attention_merge, [o, o], [zeros(5), zeros(5)])
    @test refused("ERR_TYPE", ["(d_o, d_lse)"], () -> back(o))
    @test refused("ERR_SHAPE", ["d_o", "3×4", "3×5"], () -> back((o[:, 1:4], nothing)))
    @test refused("ERR_DTYPE", ["d_lse", "Int"], () -> back((o, [1, 2, 3, 4, 5])))
    H = ConvBasis(uniform(Float64, 1, 4))
    x = uniform(Float64, 2, 2, 4)
    for f in (apply, apply_transposed, multiply, multiply_transposed), d in (ones(4, 4), ones(2, 4, 1), ones(8))
        _, back = Subquad.pullback(f, H, x)
        @test refused("ERR_SHAPE", ["d has size $(join(size(d), "×"))", "2×4"], () -> back(d))
    end
    for (arguments, size) in (((H, ones(4)), "4"), ((H', ones(4, 2)), "4×2"), ((x, H), "2×4"))
        _, back = Subquad.pullback(*, arguments...)
        @test refused("ERR_SHAPE", ["d has size 4×3", size], () -> back(ones(4, 3)))
    end
    @test refused("ERR_DTYPE", ["d has", "Float32"], () -> Subquad.pullback(*, H, ones(4))[2](ones(Float32, 4)))
    @test refused("ERR_TYPE", ["pullback of *", "ConvBasis"], () -> Subquad.pullback(*, H, H'))
    _, back = Subquad.pullback(attention_loss, q, q, q, zeros(5, 5), zeros(1, 5), zeros(1, 5))
    @test refused("ERR_TYPE", ["d = \"1\""], () -> back("1"))
end
