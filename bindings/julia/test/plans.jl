# Adaptive attention: exact where that is cheaper, within the tolerance elsewhere, and what plans say of themselves.

"""Whether both ways of asking for a tolerance give what the oracle says, for problems so small that every head is exact."""
function exact_agrees(q, k, v; keywords...)
    expected = oracle(eltype(q), q, k, v; keywords...)
    agree((o, lse)) = within(o, expected.o, expected.o_budget) && within(lse, expected.lse, expected.lse_budget)
    p = plan(q, k, v; tol=0.1, keywords...)
    o, lse = apply(p, v; return_lse=true)
    shapes = size(o) == (size(v, 1), size(q)[2:end]...) && size(lse) == size(q)[2:end] && eltype(o) == eltype(lse) == eltype(q)
    heads = prod(size(q)[3:end])
    each(key) = vcat(p.report[key])
    whole = heads == 0 || all(==("exact"), each(:parts)) && all(!isempty, each(:fallback)) && all(iszero, each(:error))
    return shapes && whole && agree((o, lse)) && agree(attention(q, k, v; budget=0.5, return_lse=true, keywords...))
end

@testset "small heads are exact, n = $n, $T" for n in (0, 1, 2, 31), T in (Float32, Float64)
    q, k, v = problem(T, n, n)
    @test exact_agrees(q, k, v) && exact_agrees(q, k, v; causal=true)
end

@testset "every keyword reaches the library" begin
    q, k, v = problem(Float64, 6, 6; heads=(4, 2), shared=(2, 2))
    @test exact_agrees(q, k, v; causal=true, scale=0.3)
    @test exact_agrees(q[:, 1:3, :, :], k, v; causal=true, causal_offset=3)
    @test exact_agrees(q, k, v; lag_bias=uniform(Float64, 9, 11, 4), lag_min=-5)
    @test exact_agrees(q, k, v; key_ranges=[2:4, 1:6])
    @test exact_agrees(q, k, v; causal=true, causal_offset=0, key_offset=-2, key_ranges=1:3)
end

@testset "without heads" begin
    p = plan(zeros(3, 5, 0), zeros(3, 5, 0); tol=0.1)
    @test startswith(repr(MIME("text/plain"), p), "Plan{Float64} of 0 heads, 5 queries and 5 keys")
end

@testset "tol = 0 is exact" begin
    q, k, v = textlike(Float32, 2048; heads=2)
    o, report = attention(q, k, v; tol=0, causal=true, return_report=true)
    @test o == attention(q, k, v; causal=true)
    @test all(==("exact"), report[:parts]) && all(reason -> occursin("tol", reason), report[:fallback])
end

@testset "heads are within the tolerance, causal = $causal, $T" for T in (Float32, Float64), causal in (true, false)
    q, k, v = textlike(T, 2048)
    exact = attention(Float64.(q), Float64.(k), Float64.(v); causal=causal)
    for tol in (0.1, 0.05)
        o, report = attention(q, k, v; tol=tol, causal=causal, return_report=true)
        errors = relative_errors(o, exact)
        # method: 1.25 tol for 95 % of heads, 3 tol for all.
        @test count(errors .> 1.25 * tol) <= unlucky(6, 0.05) && maximum(errors) <= 3 * tol
        approximate = report[:parts] .!= "exact"
        @test any(approximate) && all(report[:error] .<= tol)
        @test all(report[:error_low] .<= report[:error] .<= report[:error_high])
        # method: intervals of 95 %.
        outside = .!(report[:error_low] .<= errors .<= report[:error_high])
        @test count(outside .& approximate) <= unlucky(count(approximate), 0.05)
        @test sum(report[:pairs_exact] .+ report[:pairs_low]) < report[:pairs]
        @test all((report[:fallback] .== "") .== approximate)
    end
end

@testset "biases, ranges and offsets, with sizes that are no multiple of anything" begin
    q, k, v = textlike(Float32, 2111; heads=2, shared=1)
    decay = reshape(Float32.(-0.01 .* (0:2110)), 2111, 1)
    for keywords in (
        (lag_bias=decay, causal=true), (causal=true, strict_causal=true, lag_bias=decay), (causal=true, key_ranges=5:2003),
        (scale=0.1, key_ranges=[17:2100]), (causal=true, causal_offset=-7, key_offset=-20),
    )
        o, report = attention(q, k, v; tol=0.1, return_report=true, keywords...)
        exact = attention(q, k, v; (name => value for (name, value) in pairs(keywords) if name != :strict_causal)...)
        @test maximum(relative_errors(o, exact)) <= 3 * 0.1 && any(report[:parts] .!= "exact")
    end
end

@testset "a budget" begin
    q, k, v = textlike(Float32, 2048)
    exact = attention(q, k, v; causal=true)
    within(budget) = attention(q, k, v; budget=budget, causal=true, return_report=true)
    computed(report) = report[:pairs_exact] .+ report[:pairs_low]
    fewest = computed(within(1e-9)[2])  # where nothing keeps the budget
    for (budget, keys) in ((0.3, 0.3 * 2049 / 2), (400, 400))
        o, report = within(budget)
        @test all(computed(report) .<= max.(keys * 2048, fewest))
        # A budget that is kept leaves something worth having.
        @test all(relative_errors(o, exact)[computed(report) .<= keys * 2048] .< 1)
    end
end

@testset "parts and estimates" begin
    q, k, v = textlike(Float32, 2048; heads=3, shared=1)
    same = [
        plan(q, k; tol=0.1, causal=true, parts=parts).report[:parts] for
        parts in ((:heavy, :selection), ["selection", "heavy"], Set([:heavy, :selection]), 3)
    ]
    @test all(==(same[1]), same)
    known = ("exact", "window", "heavy", "selection")
    @test all(part -> part in known, reduce(vcat, split.(same[1], '+')))
    alone = plan(q, k; tol=0.1, causal=true, parts=:centroids).report[:parts]
    @test all(part -> part in ("exact", "window", "centroids"), reduce(vcat, split.(alone, '+')))
    for estimate in (:screened, "sampled")
        @test plan(q, k; tol=0.1, estimate=estimate).report[:estimate] == string(estimate)
    end
end

@testset "the same plan again, for any number of threads" begin
    q, k, v = textlike(Float32, 2048; heads=4)
    first_plan = plan(q, k, v; tol=0.1, causal=true, seed=5, threads=1)
    @test first_plan.report[:seed] == 5
    o, lse = apply(first_plan, v; return_lse=true, threads=1)
    for threads in (2, 3)
        p = plan(q, k, v; tol=0.1, causal=true, seed=5, threads=threads)
        @test lasting(p.report) == lasting(first_plan.report)
        @test apply(p, v; return_lse=true, threads=threads) == (o, lse)
        @test attention(q, k, v; tol=0.1, causal=true, seed=5, threads=threads, return_lse=true) == (o, lse)
    end
end

@testset "later tokens" begin
    q, k, v = textlike(Float32, 2048; heads=3, shared=1)
    # Under one plan, later values.
    p = plan(q, k, v; tol=0.1, causal=true, parts=(:heavy, :selection, :centroids, :screening))
    later = copy(v)
    later[:, 1500:end, :] .*= -100
    @test any(p.report[:parts] .!= "exact")
    @test apply(p, v)[:, 1:1499, :] == apply(p, later)[:, 1:1499, :]
    # With strict_causal, plans of sequences that go on too.
    strict(n) = attention(q[:, 1:n, :], k[:, 1:n, :], v[:, 1:n, :]; tol=0.1, causal=true, strict_causal=true)
    whole = strict(2048)
    @test all(n -> strict(n) == whole[:, 1:n, :], (1, 700, 1500))
    @test maximum(relative_errors(whole, attention(q, k, v; causal=true))) <= 3 * 0.1
end

@testset "reports" begin
    q, k, v = textlike(Float32, 2048; heads=4)
    batch(x) = cat(x, reverse(x; dims=3); dims=4)
    p = plan(batch(q), batch(k), batch(v); tol=0.1, causal=true)
    for key in (
        :parts, :pairs_exact, :pairs_low, :pairs_screened, :error, :error_low, :error_high, :fallback, :window, :heavy_columns,
        :selected_keys, :conv_bases, :head_seconds_plan,
    )
        @test length(p.report[key]) == 8
    end
    @test p.report[:pairs] == 8 * (2048 * 2049) ÷ 2 && p.report[:estimate] in ("screened", "sampled") && p.report[:sampled_rows] > 0
    @test occursin("\"error_high\"", p.report.json)
    again(report) = Subquad.borrowed(handle -> Subquad.check(Subquad.subquad_plan_report(handle, report)), p.handle)
    @test lasting(Subquad.with_report(again)) == lasting(p.report)
    o, report = apply(p, batch(v); return_report=true)
    @test report[:error] == p.report[:error] && length(report[:head_seconds_apply]) == length(report[:missed_mass]) == 8
    # As text: a line for each head, in the order of the report.
    lines = split(repr(MIME("text/plain"), p), '\n')
    @test startswith(lines[1], "Plan{Float32} of 4×2 heads, 2048 queries and 2048 keys") && length(lines) == 10
    @test startswith(lines[8], "  2, 2  ") && occursin(p.report[:parts][6], lines[8])
    short = sprint((io, p) -> show(IOContext(io, :limit => true, :displaysize => (10, 80)), MIME("text/plain"), p), p)
    @test length(split(short, '\n')) == 6 && occursin("⋮", short)
    @test repr(p) == lines[1]
end
