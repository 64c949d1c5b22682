# The forward call against the oracle.

const TYPES = (Float32, Float64)

@testset "n = $n, $T" for n in (0, 1, 2, 3, 7, 16, 17, 31, 64, 67, 127, 129), T in TYPES
    q, k, v = problem(T, n, n)
    @test agrees(q, k, v)
    @test agrees(q, k, v; causal=true)
end

@testset "n_q = $n_q, n_k = $n_k" for (n_q, n_k) in ((1, 9), (9, 1), (0, 5), (5, 0), (13, 40), (40, 13)), T in TYPES
    q, k, v = problem(T, n_q, n_k)
    @test agrees(q, k, v)
    # The last offset leaves every query without a key.
    for offset in (n_k - n_q, 0, 2, -3, -n_q - 1)
        @test agrees(q, k, v; causal=true, causal_offset=offset)
    end
end

@testset "d = $d, d_v = $d_v" for d in (1, 2, 33, 64), d_v in (0, 1, 17, 64)
    @test agrees(problem(Float64, 11, 11; d=d, d_v=d_v)...; causal=true)
end

@testset "scale $scale" for scale in (0, 1, -0.5, 3.0)
    @test agrees(problem(Float64, 9, 9)...; scale=scale)
end

const GROUPS = ((1, 1), (4, 4), (4, 2), (6, 1), (6, 3))

@testset "heads $heads over $shared, batch $batch" for (heads, shared) in GROUPS, batch in ((), (1,), (3,))
    @test agrees(problem(Float32, 7, 7; heads=(heads, batch...), shared=(shared, batch...))...; causal=true)
end

@testset "no heads, no batch" begin
    @test size(attention(problem(Float64, 3, 3; heads=(2, 0))...)) == (3, 3, 2, 0)
    @test size(attention(problem(Float64, 3, 3; heads=(2, 0))...; key_ranges=UnitRange{Int}[])) == (3, 3, 2, 0)
    @test size(attention(problem(Float64, 3, 3; heads=(0, 2))...)) == (3, 3, 0, 2)
end

@testset "lag bias" begin
    q, k, v = problem(Float64, 6, 6; heads=(4, 2), shared=(2, 2))
    each = uniform(Float64, 9, 11, 4)
    @test agrees(q, k, v; lag_bias=each, lag_min=-5, causal_offset=0)
    @test agrees(q, k, v; lag_bias=each[:, 1:1], lag_min=-5)
    @test agrees(q, k, v; lag_bias=each[6:end, :], causal=true)
    @test agrees(q[:, 1:3, :, :], k, v; lag_bias=each, lag_min=-3, causal=true, causal_offset=3)
end

@testset "key ranges count from 1 and include their ends" begin
    q, k, v = problem(Float64, 5, 8; heads=(2, 3))
    @test agrees(q, k, v; key_ranges=3:6)
    @test agrees(q, k, v; key_ranges=[1:8, 2:4, 5:4])
    @test agrees(q, k, v; key_ranges=[-3:2, 7:20, 9:12], causal=true, causal_offset=3)
    @test attention(q, k, v; key_ranges=[1 2 5; 8 4 4]) == attention(q, k, v; key_ranges=[1:8, 2:4, 5:4])
    @test attention(q, k, v; key_ranges=3:6) == attention(q, k[:, 3:6, :, :], v[:, 3:6, :, :])
end

@testset "key offset" begin
    q, k, v = problem(Float64, 9, 4)
    @test agrees(q, k, v; causal=true, causal_offset=0, key_offset=3)
    @test agrees(q, k, v; causal=true, causal_offset=0, key_offset=-2, key_ranges=1:1)
end

@testset "queries that see nothing" begin
    q, k, v = problem(Float32, 5, 5)
    o, lse = attention(q, k, v; causal=true, causal_offset=-2, return_lse=true)
    @test all(iszero, o[:, 1:2]) && all(==(-Inf32), lse[1:2])
    @test all(isfinite, lse[3:5])
    o, lse = attention(q, k, v; key_ranges=3:2, return_lse=true)
    @test all(iszero, o) && all(==(-Inf32), lse)
end

@testset "big logits, $T" for T in TYPES
    # Exact in both types: the query's logits are 0, 512, 1024, .. times `size`, so the last key takes all the weight.
    for size in T.((1, 2^10, 2^20))
        k = T.([512size * (j - 1) for i in 1:1, j in 1:9])
        v = uniform(T, 3, 4, 9)
        @test attention(ones(T, 1, 2), k, v; scale=1) == [v[:, 9] v[:, 9]]
        @test attention(-ones(T, 1, 2), k, v; scale=1) == [v[:, 1] v[:, 1]]
    end
    @test agrees(problem(T, 20, 20; spread=30)...)
end

@testset "reports" begin
    q, k, v = problem(Float32, 4, 4; heads=(2,))
    o, report = attention(q, k, v; causal=true, return_report=true, threads=2)
    @test o == attention(q, k, v; causal=true)
    @test report isa Report && report isa AbstractDict
    @test report[:method] == "exact" && report[:pairs] == 2 * (1 + 2 + 3 + 4) && report[:threads] == 2
    @test !haskey(report, :version) && get(report, :version, 0) == 0
    @test_throws KeyError report[:version]
    @test collect(keys(report)) == first.(collect(report)) && length(report) == length(report.entries)
    @test occursin("pairs", sprint(show, MIME("text/plain"), report))
    @test startswith(report.json, "{") && occursin("\"pairs\"", report.json)
    @test attention(q, k, v; return_lse=true, return_report=true) isa Tuple{Array,Array,Report}
    @test attention!(similar(q, 3, 4, 2), q, k, v; return_report=true) isa Tuple{Array,Report}
end

@testset "info" begin
    info = Subquad.info()
    @test info[:version] == Subquad.SUBQUAD_VERSION_STRING
    @test info[:simd_target] in vcat(info[:simd_targets])
    @test info[:threads] >= 1 && occursin(info[:version], info.json)
end
