# Leverage scores: exact ones against the oracle, sketched ones within the factor that the report states.

"""Whether scores are those of the oracle, within roundoff."""
function scores_hold(T, scores, w)
    return eltype(scores) == Float64 && within(scores, true_scores(w), fill(score_budget(T, w), size(w.x, 2)))
end

@testset "exact, $(n) × $(d), $T" for T in (Float32, Float64), (n, d) in (
    (0, 5), (4, 0), (1, 1), (1, 6), (3, 3), (5, 2), (2, 17), (4, 31), (8, 64), (13, 257), (31, 67),
)
    x = uniform(T, 7, n, d)
    w = whitened(x)
    scores, report = leverage_scores(x; method=:exact, return_report=true)
    @test scores_hold(T, scores, w)
    @test report[:rank] == min(n, d) && report[:scores] == "exact" && report[:score_factor] == 1
end

@testset "exact, as $given of $T" for given in GIVEN, T in (Float32, Float64)
    x = thinned(T, 3, 6, 50, 0.4)
    @test scores_hold(T, leverage_scores(given(x); method=:exact), whitened(x))
end

@testset "exact, what is hard, $T" for T in (Float32, Float64)
    for x in (one_large(T, 5, 40), near_duplicates(T, 5, 40), ill_conditioned(T, 5, 40))
        @test scores_hold(T, leverage_scores(x; method=:exact), whitened(x))
    end
    # Whole numbers, so that the rank is no matter of rounding: row 3 is the sum of the others, row 4 is zero, columns 5 and 9 too.
    x = floor.(uniform(T, 2, 4, 30; spread=9))
    x[3, :] .= x[1, :] .+ x[2, :]
    x[4, :] .= 0
    x[:, [5, 9]] .= 0
    for given in (identity, sparse, as_blocks(4))
        scores, report = leverage_scores(given(x); method=:exact, return_report=true)
        @test scores_hold(T, scores, whitened(x, 1:2)) && report[:rank] == 2
        @test scores[5] == scores[9] == 0
    end
    @test leverage_scores(zeros(T, 3, 8)) == zeros(8)
end

@testset "sketched, as $given of $T" for given in (identity, sparse, as_blocks(100)), T in (Float32, Float64)
    x = thinned(T, 5, 8, 3000, 0.5)
    x[:, 17] .*= 300
    w = whitened(x)
    for seed in 1:10
        # chance: 60 calls in all, each of which may fail with probability 1e-9.
        scores, report = leverage_scores(given(x); method=:sketch, delta=1e-9, seed=seed, return_report=true)
        factor = report[:score_factor] * (1 + score_budget(T, w))
        @test report[:scores] == "sketch" && all(true_scores(w) ./ factor .<= scores .<= true_scores(w) .* factor)
    end
    call(; keywords...) = leverage_scores(given(x); method=:sketch, keywords...)
    @test call(seed=3) == call(seed=3, threads=1) == call(seed=3, threads=2) != call(seed=4)
end

@testset "what no method means" begin
    x = uniform(Float64, 1, 5, 100)
    scores, report = leverage_scores(x; return_report=true)
    @test report[:scores] in ("exact", "sketch") && length(scores) == 100
    @test leverage_scores(x; sparsify_scores=:exact) == leverage_scores(x; method="exact")
    @test leverage_scores(x; method=:exact, context=Context(threads=2), progress=identity) == leverage_scores(x; method=:exact, threads=1)
end

@testset "refused" begin
    x = uniform(Float64, 1, 5, 40)
    bad = copy(x)
    bad[2, 7] = NaN
    @test refused("ERR_VALUE", ["method", "fast", "exact", "sketch"], () -> leverage_scores(x; method=:fast))
    @test refused("ERR_VALUE", ["delta"], () -> leverage_scores(x; method=:sketch, delta=0))
    @test refused("ERR_TYPE", ["seed = 1.5"], () -> leverage_scores(x; seed=1.5))
    @test refused("ERR_UNKNOWN", ["sede", "seed"], () -> leverage_scores(x; sede=1))
    @test refused("ERR_CONFLICT", ["delta", "sparsify_delta"], () -> leverage_scores(x; delta=0.1, sparsify_delta=0.1))
    for given in GIVEN
        @test refused("ERR_NONFINITE", ["x[2, 7] = NaN"], () -> leverage_scores(given(bad)))
    end
    @test refused("ERR_SHAPE", ["x"], () -> leverage_scores(x[:, 1]))
    @test refused("ERR_SHAPE", ["x"], () -> leverage_scores(zeros(2, 3, 4)))
    @test refused("ERR_DTYPE", ["x", "int64"], () -> leverage_scores(ones(Int, 2, 9)))
    @test refused("ERR_DTYPE", ["x", "Float16"], () -> leverage_scores(sparse(ones(Float16, 2, 9))))
    @test refused("ERR_DTYPE", ["x", "UInt16"], () -> leverage_scores(sparse_with(x, UInt16)))
    @test refused("ERR_STRIDE", ["x", "SubArray"], () -> leverage_scores(view(sparse(x), :, 3:9)))
    @test refused("ERR_TYPE", ["x", "String"], () -> leverage_scores("x"))
end
