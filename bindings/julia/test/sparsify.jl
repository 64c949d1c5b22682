# Sparsifiers by every method, of every kind of matrix, against the oracle.

"""Whether no entry of the true softmax is off by more than the bound, which is that of the certificate; both measured."""
function bound_holds(s, x; scale=1)
    radius = maximum(Float64.(sum(abs2, big.(Matrix(x)); dims=2)))
    bound = ratio_bound(s; scale=scale)
    # roundoff of a sum of squares.
    within(s.radius, radius, (size(x, 2) + 2) * eps(eltype(x)) * radius) || return false
    # roundoff of a sum of squares and of an exponential of their product with e.
    exponent = 2 * s.epsilon * abs(scale) * radius
    within(bound, exp(exponent), expm1((size(x, 2) + 8) * eps() * exponent + 4 * eps()) * exp(exponent)) || return false
    # roundoff of two logits, and of the weights.
    slack = 2 * weight_roundoff(eltype(x), size(x, 2), size(x, 1), abs(scale) * radius * (1 + s.epsilon))
    return s.certificate != :exact || softmax_error(s, x; scale=scale).ratio <= bound * (1 + slack)
end

@testset "leverage, $T, seed $seed" for T in (Float32, Float64), seed in 1:5
    x = uniform(T, 7, 6, 800)
    w = whitened(x)
    for columns in (1, 6, 7, 50, 799)
        s = sparsify(x; columns=columns, seed=seed, certify=:exact)
        @test s isa Sparsifier{T} && s.method == :leverage && s.certificate == :exact && s.query_rows == -1
        @test length(s.indices) == columns && consistent(s, x, w) && all(>=(1), s.weights)
        @test columns >= 6 || s.epsilon >= 1 - epsilon_budget(T, w, 1, columns)
        @test bound_holds(s, x; scale=0.1)
    end
    # chance: 20 calls of this kind, each of which may fail with probability 1e-6.
    s = sparsify(x; eps=0.7, delta=1e-6, seed=seed, certify=:exact)
    @test s.epsilon <= 0.7 && s.report[:epsilon_bound] <= 0.7 && consistent(s, x, w)
    @test sparsify(x; eps=0.7, delta=1e-6, seed=seed, certify=:exact).indices == s.indices
end

"""2 sqrt(c) / (c + 1), the promise after c rank steps."""
barrier_bound(steps, rank) = 2sqrt(steps / rank) / (steps / rank + 1)

@testset "deterministic, $T" for T in (Float32, Float64)
    for make in ((T, n, d) -> uniform(T, 6, n, d), one_large, near_duplicates, ill_conditioned), (n, d) in ((1, 20), (4, 60), (9, 300))
        n == 1 && make === ill_conditioned && continue
        x = make(T, n, d)
        w = whitened(x)
        for columns in (n + 1, 2n + 1, 4n)
            s = sparsify(x; method=:deterministic, columns=columns, certify=:exact)
            @test s.method == :deterministic && consistent(s, x, w) && length(s.indices) <= columns
            @test s.epsilon <= barrier_bound(columns, n) + epsilon_budget(T, w, 1, columns)
            @test s.report[:epsilon_bound] >= s.epsilon - epsilon_budget(T, w, 1, columns)
        end
        s = sparsify(x; method=:deterministic, eps=0.6, certify=:exact)
        @test s.epsilon <= 0.6 + epsilon_budget(T, w, 1, length(s.indices)) && consistent(s, x, w)
    end
end

"""Whether y y' is x x', to the roundoff of a QR factor."""
function same_product(y, x)
    T, w = eltype(x), whitened(x)
    largest = maximum(sum(abs2, Float64.(w.x); dims=2))
    budget = largest * ((1 + factor_roundoff(T, w) + eps(T))^2 - 1)
    return within(big.(y) * big.(y)', w.x * w.x', fill(budget, size(x, 1), size(x, 1)))
end

@testset "gram, $T" for T in (Float32, Float64)
    for x in (uniform(T, 2, 5, 200), one_large(T, 5, 40), near_duplicates(T, 5, 40), ill_conditioned(T, 5, 40))
        for given in (identity, sparse, as_blocks(9))
            s = sparsify(given(x); method=:gram, certify=:exact)
            @test s.method == :gram && s.indices === s.weights === nothing && size(s.y) == (5, 5) && s.y isa Matrix{T}
            @test same_product(s.y, x)
            w = whitened(x)
            @test s.certificate == :exact && s.epsilon <= epsilon_budget(T, w, 0, 5) + score_budget(T, w)
        end
    end
end

@testset "as $given of $T" for given in GIVEN, T in (Float32, Float64)
    x = thinned(T, 8, 7, 90, 0.4)
    w = whitened(x)
    for keywords in ((columns=40,), (method=:deterministic, columns=20), (eps=0.95,))
        s = sparsify(given(x); certify=:exact, keywords...)
        @test consistent(s, x, w)
        @test s.y isa (given(x) isa Subquad.Sparse ? SparseMatrixCSC{T} : Matrix{T})
        # The same decisions, however the columns are read.
        dense = sparsify(x; certify=:exact, keywords...)
        @test s.indices == dense.indices && within(s.weights, dense.weights, score_budget(T, w) .* 90 .* dense.weights)
    end
end

@testset "x itself, $T" for T in (Float32, Float64)
    for (n, d) in ((3, 1), (3, 3), (5, 2), (2, 9), (0, 4), (4, 0), (0, 0)), given in (identity, sparse, as_blocks(2))
        x = uniform(T, 4, n, d)
        for keywords in ((columns=max(d, 1),), (columns=d + 10,), (method=:deterministic, columns=d + 10))
            s = sparsify(given(x); keywords..., certify=:exact)
            @test s.indices == 1:d && s.weights == ones(d) && s.y == x && s.epsilon == 0 && ratio_bound(s) == 1
        end
        n > 0 && d > 0 && @test size(sparsify(given(x); method=:gram).y) == (n, min(n, d))
    end
end

@testset "rank-deficient, zero columns, $T" for T in (Float32, Float64)
    # Whole numbers, so that the rank is no matter of rounding.
    x = floor.(uniform(T, 2, 5, 60; spread=9))
    x[4, :] .= x[1, :] .- x[2, :]
    x[5, :] .= 0
    x[:, 3:7:60] .= 0
    w = whitened(x, 1:3)
    for given in (identity, sparse, as_blocks(11)), keywords in ((columns=30,), (method=:deterministic, columns=4), (eps=0.9,))
        s = sparsify(given(x); certify=:exact, keywords...)
        @test s.report[:rank] == 3 && consistent(s, x, w)
        @test length(s.indices) == 60 || isempty(intersect(s.indices, 3:7:60))
    end
    @test size(sparsify(x; method=:gram).y) == (5, 3)
    @test refused("ERR_VALUE", ["columns", "3", "rank"], () -> sparsify(x; method=:deterministic, columns=3))
    nothing_at_all = sparsify(zeros(T, 3, 20); columns=5)
    @test isempty(nothing_at_all.indices) && size(nothing_at_all.y) == (3, 0) && nothing_at_all.epsilon == 0
end

@testset "certificates" begin
    # Sparse, so that scores are sketched, and an exact certificate would cost something.
    x = thinned(Float64, 7, 20, 3000, 0.1)
    for seed in 1:3
        s = sparsify(sparse(x); columns=100, seed=seed, certify=:estimate)
        @test s.certificate == :estimate && consistent(s, x)
    end
    for certify in (false, :none, "none")
        s = sparsify(x; columns=60, certify=certify)
        @test s.certificate == :none && isnan(s.epsilon) && !haskey(s.report, :epsilon)
        @test refused("ERR_UNSET", ["certificate"], () -> ratio_bound(s))
        @test occursin("no certificate", string(s))
    end
    @test sparsify(x; columns=60).certificate in (:exact, :estimate)
    @test sparsify(as_blocks(500)(x); columns=60).certificate == :exact
    @test refused("ERR_UNSUPPORTED", ["certify"], () -> sparsify(as_blocks(500)(x); columns=60, certify=:estimate))
end

@testset "the same columns for any number of threads, $method" for method in (:leverage, :deterministic)
    x = uniform(Float32, 9, 12, 5000)
    for given in (identity, sparse, as_blocks(300))
        one, two = (sparsify(given(x); method=method, columns=100, threads=threads) for threads in (1, 2))
        @test one.indices == two.indices && one.weights == two.weights
        context = Context(threads=3)
        @test sparsify(given(x); method=method, columns=100, context=context).indices == one.indices
        close(context)
    end
end

@testset "no copy" begin
    x = uniform(Float64, 1, 4, 100_000)
    for given in (x, axes_swapped(x), sparse(x), by_rows(x))
        sparsify(given; columns=9)
        @test (@allocated sparsify(given; columns=9)) < sizeof(x) ÷ 20
    end
end

@testset "refused" begin
    x = uniform(Float64, 1, 5, 40)
    bad = copy(x)
    bad[2, 7] = Inf
    @test refused("ERR_CONFLICT", ["columns", "eps"], () -> sparsify(x))
    @test !occursin("sparsify_", refusal(() -> sparsify(x)).message)
    @test refused("ERR_CONFLICT", ["columns", "eps"], () -> sparsify(x; columns=9, eps=0.5))
    @test refused("ERR_CONFLICT", ["columns", "gram"], () -> sparsify(x; method=:gram, columns=9))
    @test refused("ERR_VALUE", [r"^columns is 0"], () -> sparsify(x; columns=0))
    @test refused("ERR_VALUE", [r"^sparsify_columns is 0"], () -> sparsify(x; sparsify_columns=0))
    @test refused("ERR_CONFLICT", ["columns", "sparsify_columns"], () -> sparsify(x; columns=9, sparsify_columns=9))
    @test refused("ERR_VALUE", ["columns", "5", "rank"], () -> sparsify(x; method=:deterministic, columns=5))
    for (name, value) in ((:columns, 0), (:columns, -3), (:eps, 0), (:eps, 1.5), (:eps, NaN), (:delta, 0), (:delta, 2), (:seed, -1))
        keywords = merge(name == :eps ? (;) : (columns=9,), NamedTuple{(name,)}((value,)))
        error = refusal(() -> sparsify(x; keywords...))
        @test error.name == "ERR_VALUE" && occursin(Regex("\\b$name\\b"), error.message) && !occursin("sparsify_", error.message)
    end
    @test refused("ERR_TYPE", ["columns = 1.5"], () -> sparsify(x; columns=1.5))
    @test refused("ERR_VALUE", ["method", "best", "leverage", "deterministic", "gram"], () -> sparsify(x; columns=9, method=:best))
    @test refused("ERR_VALUE", ["certify", "maybe", "exact"], () -> sparsify(x; columns=9, certify=:maybe))
    @test refused("ERR_UNKNOWN", ["colums", "columns"], () -> sparsify(x; colums=9))
    for given in GIVEN
        @test refused("ERR_NONFINITE", ["x[2, 7] = Inf"], () -> sparsify(given(bad); columns=9))
    end
    @test refused("ERR_SHAPE", ["x"], () -> sparsify(x[:, 1]; columns=9))
    @test refused("ERR_DTYPE", ["x", "int64"], () -> sparsify(sparse(ones(Int, 2, 9)); columns=3))
    @test refused("ERR_TYPE", ["x"], () -> sparsify(range -> x[:, range]; columns=3))
    @test refused("ERR_OVERFLOW", ["x"], () -> sparsify(1e200 .* x; columns=9))
end
