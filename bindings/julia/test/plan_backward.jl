# Gradients of attention to a tolerance.

@testset "exact heads have exact gradients, $T" for T in (Float32, Float64)
    for (q, k, v) in (problem(T, 5, 5; d=3, d_v=2), problem(T, 3, 3; d=2, d_v=2, heads=(4, 2), shared=(2, 2)))
        p = plan(q, k; tol=0.1, causal=true)
        o, lse = apply(p, v; return_lse=true)
        d_o = uniform(T, 77, size(o)...)
        found = attention_backward(p, v, o, lse, d_o)
        expected = attention_backward(q, k, v, o, lse, d_o; causal=true)
        @test keys(found) == (:dq, :dk, :dv)
        # Both err, each by at most the budget.
        for (x, y, budget) in zip(found, expected, gradient_budgets(T, q, k, v, nothing, d_o; causal=true))
            @test size(x) == size(y) && eltype(x) == T && within(x, y, 2 .* budget)
        end
        @test attention_backward(q, k, v, o, lse, d_o; causal=true, tol=0.1) == found
    end
end

@testset "approximate ones say how far dq is off" begin
    q, k, v = textlike(Float32, 2048)
    p = plan(q, k, v; tol=0.05, causal=true)
    o, lse = apply(p, v; return_lse=true)
    d_o = uniform(Float32, 77, size(o)...)
    found = attention_backward(p, v, o, lse, d_o; return_report=true)
    wide(x) = Float64.(x)
    exact_o, exact_lse = attention(wide.((q, k, v))...; causal=true, return_lse=true)
    exact = attention_backward(wide.((q, k, v))..., exact_o, exact_lse, wide(d_o); causal=true)
    said, approximate = found.report[:error_backward], p.report[:parts] .!= "exact"
    @test any(approximate) && all(iszero, said[.!approximate]) && all(0 .< said[approximate] .< Inf)
    # dq is off by less than it is large.
    @test all(relative_errors(found.dq, exact.dq) .< 1)
    # dv is that of the very weights that made o: <dv, v> = <d_o, o>. method: what values lose in low precision, 3 tol of each head.
    products = [norm(wide(o[:, :, h])) * norm(wide(d_o[:, :, h])) for h in axes(o, 3)]
    @test abs(dot(wide(found.dv), wide(v)) - dot(wide(d_o), wide(o))) <= 3 * 0.05 * sum(products)
    @test all(threads -> attention_backward(p, v, o, lse, d_o; threads=threads) == (dq=found.dq, dk=found.dk, dv=found.dv), 1:3)
end

@testset "strided, refused" begin
    q, k, v = problem(Float64, 6, 6; d=4, d_v=4)
    p = plan(q, k; tol=0.1)
    o, lse = apply(p, v; return_lse=true)
    turned(x) = transpose(permutedims(x))
    @test attention_backward(p, turned(v), turned(o), view([lse lse]', 2, :), turned(o)) == attention_backward(p, v, o, lse, o)
    @test refused("ERR_SHAPE", ["d_o 4×5", "the plan's q 4×6"], () -> attention_backward(p, v, o, lse, o[:, 1:5]))
    @test refused("ERR_NONFINITE", ["lse[3] = NaN"], () -> attention_backward(p, v, o, [0, 0, NaN, 0, 0, 0], o))
    @test refused("ERR_DTYPE", ["d_o"], () -> attention_backward(p, v, o, lse, Float32.(o)))
end
