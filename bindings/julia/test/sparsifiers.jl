# What a sparsifier is used for: pairs, attention, the true error, and its life.

"""Whether attention from `s` is that of its columns: queries y_q, keys y_k, one per column."""
function attends(s, y_q, y_k, v; scale=1, keywords...)
    o, lse = attention(s, v; scale=scale, return_lse=true, keywords...)
    expected = oracle(eltype(v), Matrix(y_q'), Matrix(y_k'), v; scale=scale, keywords...)
    size(o) == (size(v, 1), size(y_q, 1)) && eltype(o) == eltype(v) || return false
    return within(o, expected.o, expected.o_budget) && within(lse, expected.lse, expected.lse_budget)
end

@testset "attention, $T" for T in (Float32, Float64)
    x = uniform(T, 3, 9, 500; spread=0.2)
    v = uniform(T, 4, 3, 9)
    for s in (sparsify(x; columns=40), sparsify(sparse(x); columns=40), sparsify(x; method=:gram), sparsify(x; columns=500))
        @test attends(s, s.y, s.y, v) && attends(s, s.y, s.y, v; scale=-2.5) && attends(s, s.y, s.y, v; causal=true)
        # Values with any strides, results too.
        o, lse = spread_apart(zeros(T, 3, 9)), view(zeros(T, 18), 18:-2:2)
        @test attention!(o, s, axes_swapped(v); lse=lse) === o
        @test (o, lse) == attention(s, v; return_lse=true)
        @test attention(s, v; threads=1) == attention(s, v; threads=2) == attention(s, v; context=Context(threads=3))
        o, report = attention(s, v; return_report=true, causal=true)
        @test report[:pairs] == 45
    end
    s = sparsify(x; columns=500)
    @test within(attention(s, v), attention(x', x', v; scale=1), 4 .* oracle(T, Matrix(x'), Matrix(x'), v; scale=1).o_budget)
end

@testset "pairs, $T" for T in (Float32, Float64)
    q, k = thinned(T, 1, 4, 300, 0.5), thinned(T, 2, 6, 300, 0.5)
    both = vcat(q, k)
    w, v = whitened(both), uniform(T, 4, 2, 6)
    kinds = (identity, sparse, by_rows, as_blocks(64), from_the_end)
    ways = ((identity, identity), (sparse, by_rows), (identity, sparse), (as_blocks(64), as_blocks(50)), (by_rows, as_blocks(9)))
    for (given_q, given_k) in ways
        for keywords in ((columns=60,), (method=:deterministic, columns=30))
            s = sparsify_pair(given_q(q), given_k(k); certify=:exact, keywords...)
            @test s.query_rows == 4 && size(s.y, 1) == 10 && consistent(s, both, w)
            @test s.y isa (all(x -> x isa Subquad.Sparse, (given_q(q), given_k(k))) ? SparseMatrixCSC{T} : Matrix{T})
            @test attends(s, s.y[1:4, :], s.y[5:10, :], v) && attends(s, s.y[1:4, :], s.y[5:10, :], v; causal=true, causal_offset=2)
            largest(x) = Float64(maximum(norm.(eachrow(big.(x)))))
            exponent = 2 * s.epsilon * 0.1 * largest(q) * largest(k)
            @test within(s.radius, largest(q) * largest(k), 400 * eps(T) * s.radius)
            @test within(ratio_bound(s; scale=-0.1), exp(exponent), 400 * eps() * (1 + exponent) * exp(exponent))
            found = softmax_error(s, given_q(q), given_k(k); scale=0.1)
            @test found.ratio <= ratio_bound(s; scale=0.1) * (1 + weight_roundoff(T, 300, 6, 1))
        end
        s = sparsify_pair(given_q(q), given_k(k); method=:gram)
        @test size(s.y) == (10, 10) && s.y isa Matrix{T} && s.indices === nothing
    end
    error(call) = refused("ERR_SHAPE", ["q 4×300", "k 6×299"], call)
    @test error(() -> sparsify_pair(q, k[:, 1:299]; columns=60)) && error(() -> sparsify_pair(sparse(q), sparse(k[:, 1:299]); columns=60))
    @test refused("ERR_DTYPE", ["k"], () -> sparsify_pair(q, T == Float32 ? Float64.(k) : Float32.(k); columns=60))
    @test refused("ERR_DTYPE", ["k is int64"], () -> sparsify_pair(q, ones(Int, 6, 300); columns=60))
    bad = copy(k)
    bad[5, 200] = -Inf
    for given in kinds
        @test refused("ERR_NONFINITE", ["k[5, 200] = -Inf"], () -> sparsify_pair(q, given(bad); columns=60))
        @test refused("ERR_NONFINITE", ["q[5, 200] = -Inf"], () -> sparsify_pair(given(bad), k; columns=60))
    end
end

@testset "softmax_error, $T" for T in (Float32, Float64)
    x, z = uniform(T, 5, 7, 400; spread=0.3), uniform(T, 6, 4, 400; spread=0.3)
    softmax(logits) = exp.(logits) ./ sum(exp.(logits); dims=2)
    function true_error(q, k, y_q, y_k, scale)
        P, S = (softmax(scale .* (big.(a) * big.(b)')) for (a, b) in ((q, k), (y_q, y_k)))
        return maximum(abs, S - P), exp(maximum(abs, log.(S) - log.(P)))
    end
    # roundoff of both weights.
    slack(q, k, scale) = 2 * weight_roundoff(T, 400, size(k, 1), abs(scale) * Float64(maximum(abs.(big.(q)) * abs.(big.(k))')) * 2)
    for given in (identity, sparse, by_rows, as_blocks(33)), scale in (1, -0.5)
        s = sparsify(given(x); columns=80)
        found, expected = softmax_error(s, given(x); scale=scale), true_error(x, x, s.y, s.y, scale)
        @test within([found...], [expected...], slack(x, x, scale) .* [1, expected[2]])
        s = sparsify_pair(given(x), given(z); columns=80)
        found, expected = softmax_error(s, x, given(z); scale=scale), true_error(x, z, s.y[1:7, :], s.y[8:end, :], scale)
        @test within([found...], [expected...], slack(x, z, scale) .* [1, expected[2]])
    end
    s = sparsify(x; columns=400)
    found = softmax_error(s, x)
    @test within([found...], [0, 1], fill(slack(x, x, 1), 2))
end

@testset "refused" begin
    x = uniform(Float64, 5, 7, 400)
    s, pair = sparsify(x; columns=80), sparsify_pair(x, x[1:3, :]; columns=80)
    v = ones(2, 7)
    @test refused("ERR_SHAPE", ["v 2×6"], () -> attention(s, ones(2, 6)))
    @test refused("ERR_SHAPE", ["v 2×7"], () -> attention(pair, v))
    @test refused("ERR_DTYPE", ["v"], () -> attention(s, Float32.(v)))
    @test refused("ERR_NONFINITE", ["v[2, 3] = NaN"], () -> attention(s, [1 1 1 1 1 1 1; 1 1 NaN 1 1 1 1]))
    @test refused("ERR_SHAPE", ["o 2×5"], () -> attention!(zeros(2, 5), s, v))
    @test refused("ERR_VALUE", ["scale"], () -> attention(s, v; scale=NaN))
    @test refused("ERR_CONFLICT", ["causal_offset"], () -> attention(pair, ones(2, 3); causal=true))
    @test refused("ERR_VALUE", ["scale"], () -> ratio_bound(s; scale=Inf))
    @test refused("ERR_TYPE", ["scale"], () -> ratio_bound(s; scale="1"))
    @test refused("ERR_SHAPE", ["x 6×400"], () -> softmax_error(s, x[1:6, :]))
    @test refused("ERR_DTYPE", ["x"], () -> softmax_error(s, Float32.(x)))
    @test refused("ERR_CONFLICT", ["k"], () -> softmax_error(s, x, x))
    @test refused("ERR_CONFLICT", ["k"], () -> softmax_error(pair, x))
    @test_throws MethodError attention(s, 3)
end

@testset "its life" begin
    x = uniform(Float64, 5, 7, 400)
    s = sparsify(x; columns=80)
    @test isopen(s) && sprint(show, s) == "Sparsifier{Float64} by leverage: 80 columns of 7 rows, epsilon = $(s.epsilon) ($(s.certificate))"
    results = map(deepcopy, (s.indices, s.weights, s.y))
    # It holds nothing of x.
    x .= NaN
    expected = attention(s, ones(2, 7))
    @test attention(deepcopy(s), ones(2, 7)) == expected && (s.indices, s.weights, s.y) == results
    # A call that uses it keeps it open.
    @test Subquad.borrowed(_ -> refused("ERR_BUSY", ["sparsifier"], () -> close(s)), s.handle)
    tasks = [@async attention(s, ones(2, 7); threads=1) for _ in 1:4]
    @test all(task -> fetch(task) == expected, tasks)
    close(s)
    close(s)
    @test !isopen(s) && length(s.indices) == 80
    for call in (() -> attention(s, ones(2, 7)), () -> ratio_bound(s), () -> softmax_error(s, ones(7, 400)))
        @test refused("ERR_NULL", ["sparsifier is closed"], call)
    end
    # Those that nobody holds are released by the garbage collector.
    foreach(seed -> sparsify(ones(3, 50); columns=9, seed=seed), 1:50)
    GC.gc()
    @test sparsify(ones(3, 50); columns=9) isa Sparsifier
end
