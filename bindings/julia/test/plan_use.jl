# Plans in use: arrays of every kind, life and end, what is refused.

@testset "strided arrays, in place" begin
    q, k, v = textlike(Float32, 1200; heads=2, shared=1)
    p = plan(q, k; tol=0.1, causal=true)
    o, lse = apply(p, v; return_lse=true)
    spread(x) = (hole = view(fill(NaN32, 2 .* size(x)), (1:2:2n for n in size(x))...); hole .= x; hole)
    turned(x) = PermutedDimsArray(permutedims(x, (3, 1, 2)), (2, 3, 1))
    for layout in (spread, turned)
        other = plan(layout(q), layout(k), nothing; tol=0.1, causal=true)
        into, into_lse = layout(zeros(Float32, size(o))), view(zeros(Float32, 2400, 2), 1:2:2400, :)
        @test apply!(into, other, layout(v); lse=into_lse) === into
        @test into == o && into_lse == lse
    end
    result, report = apply!(similar(o), p, v; return_report=true)
    @test result == o && report isa Report
end

@testset "it holds nothing of its arrays" begin
    q, k, v = textlike(Float64, 1500; heads=2, shared=1)
    bias = zeros(Float64, 1500, 1)
    p = plan(q, k, v; tol=0.1, causal=true, lag_bias=bias, key_ranges=1:1400)
    o = apply(p, v)
    foreach(x -> fill!(x, NaN), (q, k, bias))
    @test apply(p, v) == o
    # Values of any width.
    @test size(apply(p, v[1:3, :, :])) == (3, 1500, 2) && size(apply(p, v[1:0, :, :])) == (0, 1500, 2)
end

@testset "its life" begin
    q = uniform(Float64, 1, 4, 50)
    p = plan(q, q; tol=0.1)
    expected = apply(p, q)
    @test isopen(p) && apply(deepcopy(p), q) == expected
    @test Subquad.borrowed(_ -> refused("ERR_BUSY", ["plan"], () -> close(p)), p.handle)
    tasks = [@async apply(p, q; threads=1) for _ in 1:4]
    @test all(task -> fetch(task) == expected, tasks)
    o, lse = apply(p, q; return_lse=true)
    close(p)
    close(p)
    @test !isopen(p) && p.report[:error] == 0
    for use in (() -> apply(p, q), () -> attention_backward(p, q, o, lse, o))
        @test refused("ERR_NULL", ["plan is closed"], use)
    end
    # Those that nobody holds are released by the garbage collector: together they would fill the memory.
    large = uniform(Float32, 2, 64, 4000, 4)
    for _ in 1:30
        plan(large, large; tol=0)
        GC.gc(false)
    end
    GC.gc()
    @test apply(plan(q, q; tol=0.1), q) == expected
end

@testset "progress ends a plan" begin
    q = uniform(Float32, 1, 64, 20_000, 8)
    stop = ErrorException("enough")
    error = try plan(q, q; tol=0.1, progress=_ -> throw(stop), threads=1) catch exception exception end
    @test error === stop
    context = Context(threads=1)
    @test refused("ERR_BUSY", ["context"], () -> plan(q, q; tol=0.1, context=context, progress=_ -> plan(q, q; tol=0.1, context=context)))
    close(context)
end

q, k, v = problem(Float64, 5, 5)

@testset "keywords refused" begin
    both(words, name; keywords...) =
        refused(name, words, () -> plan(q, k, v; keywords...)) && refused(name, words, () -> attention(q, k, v; keywords...))
    @test refused("ERR_CONFLICT", ["tol", "budget"], () -> plan(q, k))
    @test refused("ERR_CONFLICT", ["tol", "budget"], () -> attention(q, k, v; method=:auto))
    @test both(["tol", "budget"], "ERR_CONFLICT"; tol=0.1, budget=0.5)
    @test both(["tol", "-0.5"], "ERR_VALUE"; tol=-0.5)
    @test both(["tol", "nan"], "ERR_VALUE"; tol=NaN)
    @test both(["tol = \"small\""], "ERR_TYPE"; tol="small")
    @test both(["budget", "-1"], "ERR_VALUE"; budget=-1)
    @test both(["estimate", "best", "sampled", "screened"], "ERR_VALUE"; tol=0.1, estimate=:best)
    @test both(["parts", "hevy", "heavy"], "ERR_VALUE"; tol=0.1, parts=(:conv, :hevy))
    @test both(["parts", "32"], "ERR_VALUE"; tol=0.1, parts=32)
    @test both(["parts = 1.5"], "ERR_TYPE"; tol=0.1, parts=1.5)
    @test both(["seed", "-1"], "ERR_VALUE"; tol=0.1, seed=-1)
    @test both(["strict_causal", "2"], "ERR_VALUE"; tol=0.1, strict_causal=2)
    @test refused("ERR_CONFLICT", ["tol", "exact"], () -> attention(q, k, v; tol=0.1, method=:exact))
    @test refused("ERR_CONFLICT", ["method"], () -> plan(q, k, v; tol=0.1, method=:conv_basis))
    @test both(["toll"], "ERR_UNKNOWN"; toll=0.1)
    for name in (:estimate, :parts)
        @test refused("ERR_CONFLICT", [string(name)], () -> attention(q, k, v; Dict(name => name == :parts ? :conv : :sampled)...))
    end
end

@testset "arrays refused" begin
    p = plan(q, k; tol=0.1)
    @test refused("ERR_SHAPE", ["v 3×4", "the plan's k 5×5"], () -> apply(p, v[:, 1:4]))
    @test refused("ERR_SHAPE", ["lse"], () -> apply!(zeros(3, 5), p, v; lse=zeros(4)))
    @test refused("ERR_SHAPE", ["k 4×5"], () -> plan(q, k[1:4, :]; tol=0.1))
    @test refused("ERR_SHAPE", ["v 3×4"], () -> plan(q, k, v[:, 1:4]; tol=0.1))
    @test refused("ERR_DTYPE", ["v"], () -> apply(p, Float32.(v)))
    @test refused("ERR_DTYPE", ["k"], () -> plan(q, Float32.(k); tol=0.1))
    @test refused("ERR_DTYPE", ["q is int64"], () -> plan(ones(Int, 5, 5), k; tol=0.1))
    @test refused("ERR_NONFINITE", ["k[2, 3] = NaN"], () -> plan(q, setindex!(copy(k), NaN, 2, 3); tol=0.1))
    @test refused("ERR_NONFINITE", ["v[2, 3] = Inf"], () -> apply(p, setindex!(copy(v), Inf, 2, 3)))
    @test refused("ERR_ALIAS", ["o"], () -> apply!(v, p, v))
    @test refused("ERR_CONFLICT", ["causal_offset"], () -> plan(q, k[:, 1:3]; tol=0.1, causal=true))
    @test_throws MethodError plan(q, k, 3; tol=0.1)
    @test_throws MethodError apply(p, 3)
end
