# Conv bases themselves: made, read, shown, closed.

@testset "n = $n, k = $k, from column $first, $T" for (n, k) in BASIS_SIZES, first in (1, 3), T in (Float32, Float64)
    k > max(0, n + 1 - first) && continue
    H, starts, kernels = random_basis(T, n, k; first=first)
    @test H isa AbstractMatrix{T} && size(H) == (n, n) && eltype(H) == T
    # Cumulative kernels are the entries themselves.
    @test Matrix(H) == H == dense_cumulative(starts, kernels) && Matrix(H) isa Matrix{T}
    @test Subquad.starts(H) == starts
    # From increments H is a sum: each of its k terms and of the sums so far errs by half an eps.
    G = ConvBasis(starts, kernels)
    @test within(Matrix(G), dense(starts, kernels), fill(k * k * eps(T), n, n))
    # Read and made again, and by way of the dense matrix, not a bit is lost.
    @test ConvBasis(Subquad.starts(H), Subquad.kernels(H; cumulative=true); cumulative=true) == H
    @test ConvBasis(Matrix(H)) == H
    # Increments are differences of the cumulative kernels, rounded once.
    increments = Subquad.kernels(H)
    lacking = [i > n + 1 - s for i in 1:n, s in starts]
    before = [r == 1 || lacking[i, r] ? zero(T) : kernels[i, r-1] for i in 1:n, r in 1:k]
    @test increments == ifelse.(lacking, zero(T), kernels .- before)
end

@testset "any lower-triangular matrix, $T" for T in (Float32, Float64)
    for n in (0, 1, 2, 13)
        L = tril(uniform(T, 3, n, n))
        @test ConvBasis(L) == L && Subquad.starts(ConvBasis(L)) == 1:n
    end
    @test Subquad.starts(ConvBasis(zeros(T, 4, 4))) == Int[]
    # As few bases as there are: columns that are their neighbours, cut, start none.
    H, starts, _ = random_basis(T, 23, 4; first=3)
    @test Subquad.starts(ConvBasis(Matrix(H))) == starts
end

@testset "Toeplitz" begin
    kernel = uniform(Float64, 5, 9)
    T = ConvBasis(kernel)
    @test T == [i >= j ? kernel[i-j+1] : 0.0 for i in 1:9, j in 1:9] && Subquad.starts(T) == [1]
    @test ConvBasis(view(kernel, 9:-2:1)) == ConvBasis(kernel[9:-2:1])
    @test size(ConvBasis(Float32[])) == (0, 0)
end

@testset "heads and batch" begin
    starts = cat([1 2; 4 8], [8 1; 8 7], [1 1; 2 3]; dims=3)     # n + 1 = 8 for bases that a head lacks
    kernels = uniform(Float64, 6, 7, 2, 2, 3)
    H = ConvBasis(starts, kernels; cumulative=true)
    @test H isa ConvBasis{Float64,4} && size(H) == (7, 7, 2, 3) && Subquad.starts(H) == starts
    for h in 1:2, b in 1:3
        own = filter(s -> s < 8, starts[:, h, b])
        @test H[:, :, h, b] == Array(H)[:, :, h, b] == dense_cumulative(own, kernels[:, 1:length(own), h, b])
    end
    @test size(Subquad.kernels(H)) == size(kernels)
    one = ConvBasis(starts[:, :, 1], kernels[:, :, :, 1]; cumulative=true)
    @test one == H[:, :, :, 1] && ConvBasis(Array(one)) == one && ConvBasis(Array(one)) isa ConvBasis{Float64,3}
end

@testset "from heads to matrices and back" begin
    starts = cat([1 2; 4 8], [8 1; 8 7], [1 1; 2 3]; dims=3)
    H = ConvBasis(starts, uniform(Float64, 6, 7, 2, 2, 3); cumulative=true)
    bases = Subquad.heads(H)
    @test bases isa Matrix{ConvBasis{Float64,2}} && size(bases) == (2, 3) && all(basis -> basis isa AbstractMatrix{Float64}, bases)
    @test all(head -> bases[head] == H[:, :, head], CartesianIndices(bases))
    @test ConvBasis(bases) == H && Subquad.starts(ConvBasis(bases)) == starts && ConvBasis(bases[:, 1]) == H[:, :, :, 1]
    @test Subquad.heads(bases[1])[] == bases[1] && Subquad.heads(ConvBasis(zeros(0, 0, 2))) == [zeros(0, 0), zeros(0, 0)]
    @test refused("ERR_VALUE", ["bases"], () -> ConvBasis(ConvBasis{Float64,2}[]))
    @test refused("ERR_SHAPE", ["bases[2]", "3×3", "7×7"], () -> ConvBasis([bases[1], ConvBasis(ones(3))]))
    one = ConvBasis(Subquad.heads(bases[1]))
    @test one isa ConvBasis{Float64,2} && one == bases[1]
    @test refused("ERR_SHAPE", ["bases[2]", "7×7×2×3"], () -> ConvBasis([bases[1], H]))
    @test refused("ERR_SHAPE", ["bases[1]", "7×7×2×3"], () -> ConvBasis([H]))
    @test refused("ERR_SHAPE", ["bases", "3 dimensions"], () -> ConvBasis(fill(bases[1], 1, 1, 1)))
    @test refused("ERR_DTYPE", ["bases[2]", "Float32", "Float64"], () -> ConvBasis([bases[1], ConvBasis(ones(Float32, 7))]))
end

@testset "views in" begin
    starts, kernels = [1, 3, 4], uniform(Float64, 7, 6, 3)
    H = ConvBasis(starts, kernels)
    for layout in LAYOUTS
        @test ConvBasis(view([1, 0, 3, 0, 4], 1:2:5), layout(kernels)) == H
        @test ConvBasis(layout(Matrix(H))) == H
    end
    @test ConvBasis(Int32[1, 3, 4], kernels) == ConvBasis((1:3) .+ [0, 1, 1], kernels) == H
    # What is beyond a kernel's length is never read.
    kernels[5:6, 2:3] .= NaN
    kernels[4, 3] = 1e300
    @test ConvBasis(starts, kernels)[1:3, 1:3] == H[1:3, 1:3]
end

@testset "the exp transform" begin
    for first in (1, 4), T in (Float32, Float64)
        H, starts, _ = random_basis(T, 19, 3; first=first)
        E = exp_transform(H)
        @test within(Matrix(E), LowerTriangular(exp.(big.(Matrix(H)))), fill(4 * eps(T) * exp(1.0), 19, 19))
        @test Subquad.starts(E) == (first == 1 ? starts : [1; starts])
    end
    @test exp_transform(ConvBasis(zeros(0, 0))) == zeros(0, 0)
end

@testset "read as a matrix" begin
    H, _, _ = random_basis(Float64, 4, 2)
    @test H[:, 2] == Matrix(H)[:, 2] && H[3, 1] == H[3] && H' == Matrix(H)' && Matrix(H') == Matrix(H)'
    @test_throws BoundsError H[5, 1]
    @test_throws Exception H[1, 1] = 2.0
    @test Array{Float32}(H) == Float32.(Matrix(H)) && copy(H) isa Matrix
    @test occursin("⋅", sprint(show, MIME("text/plain"), H))
    @test similar(H) isa Matrix{Float64} && repr(H) == repr(Matrix(H))
end

@testset "closed, dropped, copied" begin
    H = ConvBasis(ones(3))
    same = deepcopy(H)
    @test same === H && isopen(H)
    @test H[1, 1] == 1
    close(H)
    close(H)
    @test !isopen(H) && size(H) == (3, 3)
    uses = (
        () -> H * ones(3), () -> H[1, 1], () -> H[1, 2], () -> Matrix(H), () -> apply(H, ones(1, 3)), () -> Subquad.starts(H),
        () -> exp_transform(H),
    )
    @test repr(H) == repr(MIME("text/plain"), H) == summary(H) * ", closed"
    for use in uses
        @test refused("ERR_NULL", ["basis is closed"], use)
    end
    # The finalizer of a basis in use must leave it alone, as must close.
    G = ConvBasis(ones(3))
    Subquad.borrowed(G.handle) do _
        finalize(G)
        @test isopen(G)
        @test refused("ERR_BUSY", ["basis"], () -> close(G))
    end
    @test G * ones(3) == [1, 2, 3]
    # As many as would fill the memory, were they not released.
    for _ in 1:200
        ConvBasis(ones(100_000))
        GC.gc(false)
    end
end

@testset "refused" begin
    kernels = uniform(Float64, 5, 4, 2)
    @test refused("ERR_VALUE", ["starts", "-1", "from 1"], () -> ConvBasis([0, 2], kernels))
    @test refused("ERR_VALUE", ["starts", "increase"], () -> ConvBasis([2, 2], kernels))
    @test refused("ERR_VALUE", ["starts", "5"], () -> ConvBasis([1, 6], kernels))
    @test refused("ERR_DTYPE", ["starts", "Float64"], () -> ConvBasis([1.5, 2], kernels))
    @test refused("ERR_VALUE", ["starts = $(big(2)^70)"], () -> ConvBasis([1, big(2)^70], kernels))
    @test refused("ERR_SHAPE", ["starts 1", "kernels 4×2"], () -> ConvBasis([1], kernels))
    @test refused("ERR_SHAPE", ["starts"], () -> ConvBasis(1:2, zeros(4, 2, 3)))
    @test refused("ERR_DTYPE", ["kernels"], () -> ConvBasis([1, 2], ones(Int, 4, 2)))
    @test refused("ERR_DTYPE", ["kernels", "Float16"], () -> ConvBasis([1, 2], ones(Float16, 4, 2)))
    @test refused("ERR_STRIDE", ["kernels"], () -> ConvBasis([1, 2], view(kernels, [1, 2, 3, 4], :)))
    @test refused("ERR_NONFINITE", ["kernels[3, 2] = NaN"], () -> ConvBasis([1, 2], [1 1; 1 1; 1 NaN; 1 1]))
    @test refused("ERR_NONFINITE", ["kernels[2] = Inf"], () -> ConvBasis([1, Inf]))
    @test refused("ERR_OVERFLOW", [], () -> ConvBasis([1, 2], fill(1e308, 3, 2)))
    @test refused("ERR_VALUE", ["h[1, 2] = 2.0", "above the diagonal"], () -> ConvBasis([1.0 2; 3 4]))
    @test refused("ERR_SHAPE", ["h 2×3"], () -> ConvBasis(ones(2, 3)))
    @test refused("ERR_SHAPE", ["h has 0 dimensions"], () -> ConvBasis(fill(1.0)))
    @test refused("ERR_SHAPE", ["h has 5 dimensions", "h 2×2×1×1×1"], () -> ConvBasis(zeros(2, 2, 1, 1, 1)))
    @test refused("ERR_NONFINITE", ["h[2, 1] = NaN"], () -> ConvBasis([1 0; NaN 1]))
    @test refused("ERR_UNKNOWN", ["sclae"], () -> ConvBasis(ones(3); sclae=2))
    @test refused("ERR_OVERFLOW", ["1000"], () -> exp_transform(ConvBasis([1.0, 1000])))
    @test refused("ERR_TYPE", ["context"], () -> exp_transform(ConvBasis(ones(2)); context=3))
    @test ConvBasis(ones(3); context=Context(threads=1), progress=_ -> nothing) == ConvBasis(ones(3); threads=2)
end

@testset "read by several threads at once" begin
    code = """
    using Subquad
    kernels = fill_uniform!(zeros(300, 3), 1)
    H = ConvBasis([1, 50, 120], kernels)
    x = fill_uniform!(zeros(300, 2), 2)
    expected, entry = H * x, H[200, 77]
    G = ConvBasis([1, 50, 120], kernels)
    results = Vector{Any}(undef, 64)
    Threads.@threads for i in 1:64
        results[i] = (G[200, 77], G * x)
    end
    all(==((entry, expected)), results) || error("results differ")
    isopen(G) || error("closed")
    close(G)
    """
    status, text = other_julia(code, "JULIA_NUM_THREADS" => "3")
    status == 0 || println(text)
    @test status == 0
end
