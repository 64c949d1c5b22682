# Bad calls: which code, and whether the message names argument and value. The table in tests/conformance has the rest.

q, k, v = problem(Float64, 5, 5)

@testset "the exception" begin
    error = refusal(() -> attention(q, k[1:4, :], v))
    @test error.code === Subquad.SUBQUAD_ERR_SHAPE && error.name == "ERR_SHAPE"
    @test sprint(showerror, error) == "SubquadError: $(error.message) (ERR_SHAPE, 20)"
    # Julia's sizes follow C's shapes.
    @test occursin("q 5×5", error.message) && occursin("k 4×5", error.message) && occursin("v 3×5", error.message)
end

@testset "$bad in $name, where Julia looks for it" for bad in (NaN, Inf, -Inf), name in ("q", "k", "v")
    arrays = (q=copy(q), k=copy(k), v=copy(v))
    getfield(arrays, Symbol(name))[2, 4] = bad
    @test refused("ERR_NONFINITE", ["$name[2, 4] = $bad"], () -> attention(arrays...))
    @test attention(arrays...; check_finite=false) isa Matrix
end

@testset "not finite elsewhere" begin
    bias = reshape([0, 0, NaN, 0, 0], 5, 1)
    @test refused("ERR_NONFINITE", ["lag_bias[3, 1] = NaN"], () -> attention(q, k, v; lag_bias=bias, causal=true))
    o, lse = attention(q, k, v; causal=true, causal_offset=-1, return_lse=true)
    backward(lse) = attention_backward(q, k, v, o, lse, o; causal=true, causal_offset=-1)
    @test refused("ERR_NONFINITE", ["lse[3] = NaN"], () -> backward([-Inf, 0, NaN, 0, 0]))
    @test backward(lse) isa NamedTuple
    @test refused("ERR_NONFINITE", ["lse_parts[2][1] = Inf"], () -> attention_merge([o, o], [lse, fill(Inf, 5)]))
end

@testset "options" begin
    @test refused("ERR_CONFLICT", ["causal_offset"], () -> attention(q, k[:, 1:3], v[:, 1:3]; causal=true))
    @test refused("ERR_TYPE", ["causal_offset = 1.5"], () -> attention(q, k, v; causal_offset=1.5))
    @test refused("ERR_VALUE", ["lag_min = $(big(2)^70)"], () -> attention(q, k, v; lag_min=big(2)^70))
    @test refused("ERR_VALUE", ["causal", "2"], () -> attention(q, k, v; causal=2))
    @test refused("ERR_VALUE", ["scale"], () -> attention(q, k, v; scale=NaN))
    @test refused("ERR_TYPE", ["scale = \"big\""], () -> attention(q, k, v; scale="big"))
    @test refused("ERR_VALUE", ["method", "fast", "exact"], () -> attention(q, k, v; method=:fast))
    @test refused("ERR_UNKNOWN", ["sclae", "scale"], () -> attention(q, k, v; sclae=1))
    @test attention(q, k, v; method=:exact) == attention(q, k, v; method="exact", tol=nothing) == attention(q, k, v)
    @test refused("ERR_TYPE", ["key_ranges"], () -> attention(q, k, v; key_ranges=(1, 5)))
    @test refused("ERR_TYPE", ["lag_bias", "Int"], () -> attention(q, k, v; lag_bias=3))
    @test refused("ERR_TYPE", ["o_parts[1]", "Float64"], () -> attention_merge([1.0], [2.0]))
    @test refused("ERR_SHAPE", ["key_ranges"], () -> attention(q, k, v; key_ranges=1:2:5))
    @test refused("ERR_SHAPE", ["key_ranges"], () -> attention(q, k, v; key_ranges=[1:2, 3:4]))
    @test refused("ERR_VALUE", ["lag_bias"], () -> attention(q, k, v; lag_bias=zeros(3, 1), causal=true))
    @test refused("ERR_SHAPE", ["lag_bias"], () -> attention(q, k, v; lag_bias=zeros(9)))
    @test refused("ERR_VALUE", ["threads", "-1"], () -> attention(q, k, v; threads=-1))
    @test refused("ERR_TYPE", ["threads = 1.5"], () -> attention(q, k, v; threads=1.5))
    @test refused("ERR_TYPE", ["context"], () -> attention(q, k, v; context=3))
    @test refused("ERR_VALUE", ["key_ranges = $(big(2)^70)"], () -> attention(q, k, v; key_ranges=1:big(2)^70))
    @test refused("ERR_VALUE", ["key_ranges[0] is (4, 2)", "counted from 1"], () -> attention(q, k, v; key_ranges=reshape([5, 2], 2, 1)))
    @test refused("ERR_TYPE", ["causal = :yes"], () -> attention(q, k, v; causal=:yes))
    @test refused("ERR_TYPE", ["scale = \"1\""], () -> attention(q, k, v; scale="1"))
    @test refused("ERR_VALUE", ["method", "fast", "conv_basis"], () -> attention(q, k, v; method=:fast))
    for progress in (3, () -> nothing)
        @test refused("ERR_TYPE", ["progress", string(typeof(progress))], () -> attention(q, k, v; progress=progress))
    end
end

@testset "an lse for a call that makes its own" begin
    o, lse = attention(q, k, v; return_lse=true)
    H, s = ConvBasis(ones(5)), sparsify(q; method=:gram)
    for call in (
        () -> attention(q, k, v; lse=lse, return_lse=true), () -> attention(q, k, v; lse=nothing), () -> apply(H, v; lse=lse),
        () -> apply(plan(q, k; tol=0.1), v; lse=lse), () -> attention(s, v; lse=lse), () -> attention_merge([o], [lse]; lse=lse),
        () -> Subquad.pullback(attention_merge, [o], [lse]; lse=lse),
    )
        @test refused("ERR_CONFLICT", ["lse"], call)
    end
end

@testset "lag_bias of the backward call: $(typeof(bias))" for bias in ((1.0, 2.0), "abc")
    o, lse = attention(q, k, v; return_lse=true)
    @test refused("ERR_TYPE", ["lag_bias", string(typeof(bias))], () -> attention_backward(q, k, v, o, lse, o; lag_bias=bias))
end

@testset "overlap" begin
    @test refused("ERR_ALIAS", ["o"], () -> attention!(view(q, 1:3, :), q, k, v))
    @test refused("ERR_SHAPE", ["o"], () -> attention!(zeros(3, 4), q, k, v))
    @test refused("ERR_SHAPE", ["lse"], () -> attention!(zeros(3, 5), q, k, v; lse=zeros(4)))
end

@testset "fill_uniform!" begin
    @test refused("ERR_VALUE", ["seed = -1"], () -> fill_uniform!(zeros(3), -1))
    @test refused("ERR_TYPE", ["stream = 0.5"], () -> fill_uniform!(zeros(3), 1; stream=0.5))
    @test refused("ERR_VALUE", ["low"], () -> fill_uniform!(zeros(3), 1; low=2, high=1))
    @test refused("ERR_DTYPE", ["x"], () -> fill_uniform!(zeros(Int, 3), 1))
end

using REPL    # since Julia 1.11 docstrings are looked up with it

@testset "every option is documented" begin
    text = string((@doc attention), (@doc attention_backward), (@doc ConvBasis), (@doc sparsify), (@doc leverage_scores), (@doc plan))
    for name in keys(Subquad.CONSTANTS)
        startswith(name, "SUBQUAD_OPTION_") && @test occursin(Regex("`$(lowercase(name[16:end]))\\b"), text)
    end
end
