# Attention over slices of the keys, joined.

"""Attention over each slice and the slices' join; `heads` and the rest are keywords of `attention`."""
function sliced(q, k, v, slices; keywords...)
    parts = [
        attention(q, selectdim(k, 2, s), selectdim(v, 2, s); key_offset=first(s) - 1, return_lse=true, keywords...) for s in slices
    ]
    return first.(parts), last.(parts)
end

const SLICES = ((1:17,), (1:5, 6:17), (9:17, 1:3, 4:3, 4:8))

@testset "$T, causal=$causal, $slices" for T in (Float32, Float64), causal in (false, true), slices in SLICES
    q, k, v = problem(T, 11, 17; heads=(2, 2))
    keywords = (causal=causal, causal_offset=4)
    o_parts, lse_parts = sliced(q, k, v, slices; keywords...)
    o, lse = attention_merge(o_parts, lse_parts)
    expected = oracle(T, q, k, v; keywords...)
    # A part's log-sum-exp errs, relatively to what it weighs, as its weights do: once for the parts, once for the join.
    budget = 2 .* expected.o_budget .+ 2 .* maximum(expected.lse_budget) .* maximum(abs, v)
    @test within(o, expected.o, budget)
    @test within(lse, expected.lse, 2 .* expected.lse_budget)
    into, into_lse = copy(o_parts[1]), copy(lse_parts[1])
    @test attention_merge!(into, [[into]; o_parts[2:end]], [[into_lse]; lse_parts[2:end]]; lse=into_lse) === into
    @test into == o && into_lse == lse
end

@testset "queries that no part sees" begin
    q, k, v = problem(Float64, 4, 4)
    o_parts, lse_parts = sliced(q, k, v, (1:2, 3:4); causal=true, causal_offset=-2)
    o, lse = attention_merge(o_parts, lse_parts)
    @test all(iszero, o[:, 1:2]) && all(==(-Inf), lse[1:2]) && all(isfinite, lse[3:4])
end

@testset "refused" begin
    o, lse = zeros(3, 4), zeros(4)
    for (name, word, call) in (
        ("ERR_VALUE", "o_parts", () -> attention_merge(typeof(o)[], typeof(lse)[])),
        ("ERR_SHAPE", "lse_parts", () -> attention_merge([o, o], [lse])),
        ("ERR_SHAPE", "o_parts", () -> attention_merge([o, zeros(3, 5)], [lse, lse])),
        ("ERR_DTYPE", "o_parts", () -> attention_merge(Any[o, zeros(Float32, 3, 4)], [lse, lse])),
        ("ERR_SHAPE", "o_parts[2] has shape", () -> attention_merge([o, zeros(3, 5)], [lse, lse])),
        ("ERR_SHAPE", "lse_parts[1] has shape", () -> attention_merge!(o, [o, o], [zeros(5), lse])),
        ("ERR_NONFINITE", "lse_parts[2][3] = NaN", () -> attention_merge([o, o], [lse, [0, 0, NaN, 0]])),
        ("ERR_TYPE", "o_parts[1] must be an array, not a String", () -> attention_merge(["a"], [lse])),
        ("ERR_TYPE", "lse_parts[2] must be an array, not a Nothing", () -> attention_merge([o, o], [lse, nothing])),
        ("ERR_ALIAS", "o", () -> attention_merge!(view(o, :, 4:-1:1), [o], [lse])),
    )
        error = try call() catch exception exception end
        @test error isa SubquadError && error.name == name && occursin(word, error.message)
    end
end
