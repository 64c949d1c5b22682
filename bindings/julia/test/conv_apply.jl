# Attention with the logits of a conv basis, against the dense definition.

"""Logits, weights, log-sum-exp of one head in Float64, or in BigFloat where Float64 is what is tested and time allows."""
function exact_weights(T, H)
    logits = T == Float64 && size(H, 1) <= 200 ? big.(Matrix(H)) : Float64.(Matrix(H))
    return (logits, causal_weights(logits)...)
end

function apply_agrees(T, H; channels=3)
    n = size(H, 1)
    v = uniform(T, 3, channels, n)
    o, lse = apply(H, v; return_lse=true)
    logits, P, exact_lse = exact_weights(T, H)
    sizes = size(o) == (channels, n) && size(lse) == (n,) && eltype(o) == eltype(lse) == T
    y = apply_transposed(H, v)
    return sizes && within(o, v * P', apply_budget(T, v)) && within(lse, exact_lse, lse_budget(T, logits, exact_lse)) &&
           size(y) == size(v) && within(y, v * P, transposed_budget(T, v))
end

@testset "n = $n, k = $k, $T" for (n, k) in BASIS_SIZES, T in (Float32, Float64)
    @test apply_agrees(T, random_basis(T, n, k)[1])
    n >= k + 3 && @test apply_agrees(T, random_basis(T, n, k; first=3)[1])
end

@testset "logits to $reach, $T" for (T, reaches) in ((Float32, (10, 40, 80)), (Float64, (80, 600))), reach in reaches
    for n in (64, 193), k in (1, 6)
        @test apply_agrees(T, random_basis(T, n, k; spread=reach)[1])
    end
    # A kernel that rises over the whole range, one that falls, one step, one spike.
    lags = 0:149
    for kernel in (reach .* lags ./ 149, -reach .* lags ./ 149, ifelse.(lags .> 70, reach, -reach), ifelse.(lags .== 99, reach, -reach))
        @test apply_agrees(T, ConvBasis(T.(kernel)))
    end
end

@testset "many blocks, $T" for T in (Float32, Float64)
    @test apply_agrees(T, random_basis(T, 1031, 5; first=4)[1]; channels=2)
end

@testset "heads share values" begin
    starts = cat([1 2; 4 9], [9 1; 9 7]; dims=3)
    starts = repeat(starts; outer=(1, 2, 1))                   # four heads, a batch of two
    H = ConvBasis(starts, uniform(Float64, 6, 8, 2, 4, 2); cumulative=true)
    for shared in (4, 2, 1)
        v = uniform(Float64, 7, 3, 8, shared, 2)
        o, lse = apply(H, v; return_lse=true)
        @test size(o) == (3, 8, 4, 2) && size(lse) == (8, 4, 2)
        for h in 1:4, b in 1:2
            _, P, exact_lse = exact_weights(Float64, H[:, :, h, b])
            own = v[:, :, cld(h, 4 ÷ shared), b]
            @test within(o[:, :, h, b], own * P', apply_budget(Float64, own))
        end
    end
    x = uniform(Float64, 8, 3, 8, 4, 2)
    y = apply_transposed(H, x)
    for h in 1:4, b in 1:2
        @test within(y[:, :, h, b], x[:, :, h, b] * exact_weights(Float64, H[:, :, h, b])[2], transposed_budget(Float64, x[:, :, h, b]))
    end
end

@testset "the transpose is one, $T" for T in (Float32, Float64)
    H, _, _ = random_basis(T, 301, 4; first=2, spread=3)
    x, v = uniform(T, 3, 2, 301), uniform(T, 4, 2, 301)
    left, right = dot(Float64.(x), Float64.(apply(H, v))), dot(Float64.(apply_transposed(H, x)), Float64.(v))
    # Each side spends its method budget in every entry; |v| and |x| are at most 1.
    @test abs(left - right) <= 2 * sum(abs, x) * promised(T) + sum(abs, v) * maximum(transposed_budget(T, x))
end

@testset "rows of the weights sum to 1, and shifted logits change nothing" begin
    H, starts, kernels = random_basis(Float64, 90, 4)
    v = uniform(Float64, 3, 2, 90)
    @test within(apply(H, ones(1, 90)), ones(1, 90), apply_budget(Float64, ones(1, 90)))
    shifted = ConvBasis(starts, kernels .+ 50; cumulative=true)
    @test within(apply(shifted, v), apply(H, v), 2 .* apply_budget(Float64, v))
end

@testset "views, in place" begin
    H, _, _ = random_basis(Float64, 12, 3)
    v = uniform(Float64, 3, 2, 12)
    o, lse = apply(H, v; return_lse=true)
    for layout in LAYOUTS
        into, into_lse = layout(fill(NaN, 2, 12)), view(fill(NaN, 24), 1:2:24)
        @test apply!(into, H, layout(v); lse=into_lse) === into
        @test into == o && into_lse == lse && all(isnan, parent(into_lse)[2:2:24])
        @test apply_transposed(H, layout(v)) == apply_transposed(H, v)
    end
    result, report = apply!(zeros(2, 12), H, v; return_report=true)
    @test result == o && report[:pairs] == 78 && report[:layers] >= 0 && haskey(report, :direct_rows)
    @test apply(H, v; return_lse=true, return_report=true) isa Tuple{Array,Array,Report}
end

@testset "later values, $T" for T in (Float32, Float64)
    n, from = 700, 431
    H, _, _ = random_basis(T, n, 3; spread=4)
    v = uniform(T, 3, 2, n)
    strict = apply(H, v; strict_causal=true)
    logits, P, _ = exact_weights(T, H)
    @test within(strict, v * P', apply_budget(T, v))
    for large in (1, 1e8)
        later = copy(v)
        later[:, from:end] .= T.(large .* sign.(v[:, from:end]))
        @test apply(H, later; strict_causal=true)[:, 1:from-1] == strict[:, 1:from-1]
        # Otherwise by no more than the method's share of the largest value.
        @test within(apply(H, later)[:, 1:from-1], apply(H, v)[:, 1:from-1], repeat(apply_budget(T, later)[:, 1:from-1], 2) .* 2)
    end
end

@testset "the same bits for any number of threads, $T" for T in (Float32, Float64)
    H, _, _ = random_basis(T, 1500, 7; first=3, spread=20)
    v = uniform(T, 3, 5, 1500)
    for f in (apply, apply_transposed, (H, v; keywords...) -> apply(H, v; strict_causal=true, keywords...))
        @test f(H, v; threads=1) == f(H, v; threads=2) == f(H, v; threads=3)
    end
end

@testset "progress ends a call and leaves the basis usable" begin
    H, v = ConvBasis(-sqrt.(0:99_999.0)), uniform(Float64, 3, 64, 100_000)
    stop = ErrorException("enough")
    error = try apply(H, v; progress=_ -> throw(stop), threads=1) catch exception exception end
    @test error === stop
    @test isopen(H) && close(H) === nothing
end

@testset "refused" begin
    H = ConvBasis(ones(4))
    @test refused("ERR_SHAPE", ["v 2×3", "basis 4×4"], () -> apply(H, ones(2, 3)))
    @test refused("ERR_SHAPE", ["v 4"], () -> apply(H, ones(4)))
    @test refused("ERR_SHAPE", ["lse"], () -> apply!(ones(2, 4), H, ones(2, 4); lse=zeros(3)))
    @test refused("ERR_DTYPE", ["v"], () -> apply(H, ones(Float32, 2, 4)))
    @test refused("ERR_NONFINITE", ["v[2, 3] = Inf"], () -> apply(H, [1.0 1 1 1; 1 1 Inf 1]))
    @test refused("ERR_NONFINITE", ["x[1, 4] = NaN"], () -> apply_transposed(H, [1.0 1 1 NaN]))
    @test refused("ERR_UNKNOWN", ["strict"], () -> apply(H, ones(2, 4); strict=true))
    v = ones(2, 4)
    @test refused("ERR_ALIAS", ["o"], () -> apply!(v, H, v))
    @test_throws MethodError apply(ones(4, 4), v)
end
