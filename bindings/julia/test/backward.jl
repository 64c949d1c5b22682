# Gradients against finite differences of the oracle.

function gradients_agree(T, q, k, v; bias=nothing, keywords...)
    options = bias === nothing ? keywords : (; keywords..., lag_bias=bias)
    o, lse = attention(q, k, v; return_lse=true, options...)
    d_o = uniform(T, 77, size(o)...)
    result = attention_backward(q, k, v, o, lse, d_o; options...)
    budget = gradient_budgets(T, q, k, v, bias, d_o; keywords...)
    good = within(result.dq, differences(x -> loss(x, k, v, bias, d_o; keywords...), q), budget[1]) &&
           within(result.dk, differences(x -> loss(q, x, v, bias, d_o; keywords...), k), budget[2]) &&
           within(result.dv, differences(x -> loss(q, k, x, bias, d_o; keywords...), v), budget[3])
    bias === nothing && return good && keys(result) == (:dq, :dk, :dv)
    return good && within(result.d_lag_bias, differences(x -> loss(q, k, v, x, d_o; keywords...), bias), budget[4])
end

@testset "$T" for T in (Float32, Float64)
    @test gradients_agree(T, problem(T, 5, 5; d=3, d_v=2)...)
    @test gradients_agree(T, problem(T, 5, 5; d=3, d_v=2)...; causal=true)
    @test gradients_agree(T, problem(T, 1, 1; d=2, d_v=1)...)
    @test gradients_agree(T, problem(T, 3, 7; d=2, d_v=2)...; causal=true, causal_offset=4, scale=0.7)
    @test gradients_agree(T, problem(T, 4, 4; d=2, d_v=2)...; causal=true, causal_offset=-2)
    @test gradients_agree(T, problem(T, 3, 3; d=2, d_v=2, heads=(4, 2), shared=(2, 2))...; causal=true)
    @test gradients_agree(T, problem(T, 3, 4; d=2, d_v=2, heads=(1, 2))...; key_ranges=[2:3, 1:4], causal_offset=0, key_offset=-1)
    @test gradients_agree(T, problem(T, 3, 3; d=2, d_v=2, heads=(2,))...; bias=uniform(T, 8, 5, 2), lag_min=-2)
    @test gradients_agree(T, problem(T, 3, 3; d=2, d_v=2, heads=(2, 2))...; bias=uniform(T, 8, 3, 1), causal=true)
end

@testset "nothing to do" begin
    for (n_q, n_k) in ((0, 4), (4, 0), (0, 0))
        q, k, v = problem(Float64, n_q, n_k)
        o, lse = attention(q, k, v; return_lse=true)
        dq, dk, dv = attention_backward(q, k, v, o, lse, o)
        @test all(iszero, dq) && all(iszero, dk) && all(iszero, dv) && size(dk) == size(k)
    end
end

@testset "views, reports" begin
    q, k, v = problem(Float64, 6, 6; d=4, d_v=4)
    bias = uniform(Float64, 8, 6, 1)
    o, lse = attention(q, k, v; causal=true, lag_bias=bias, return_lse=true)
    result = attention_backward(q, k, v, o, lse, o; causal=true, lag_bias=bias, return_report=true)
    @test keys(result) == (:dq, :dk, :dv, :d_lag_bias, :report)
    @test result.report[:pairs] == 21 && size(result.d_lag_bias) == (6, 1)
    for method in (:EXACT, "exact", Subquad.SUBQUAD_METHOD_EXACT)
        same = attention_backward(q, k, v, o, lse, o; causal=true, lag_bias=bias, method=method)
        @test keys(same) == (:dq, :dk, :dv, :d_lag_bias) && same.d_lag_bias == result.d_lag_bias
    end
    @test refused("ERR_NULL", ["lse"], () -> attention_backward(q, k, v, o, nothing, o; causal=true))
    backwards(x) = view(reverse(x; dims=2), :, size(x, 2):-1:1)
    other = attention_backward(
        backwards.((q, k, v, o))..., view(reverse(lse), 6:-1:1), transpose(permutedims(o)); causal=true, lag_bias=bias
    )
    budget = gradient_budgets(Float64, q, k, v, bias, o; causal=true)
    # Both err, each by at most the budget.
    @test within(other.dq, result.dq, 2 .* budget[1]) && within(other.dk, result.dk, 2 .* budget[2])
    @test within(other.dv, result.dv, 2 .* budget[3]) && within(other.d_lag_bias, result.d_lag_bias, 2 .* budget[4])
end
