# Products with conv bases against dense ones.

"""Whether every kind of product with H is within `product_budget`."""
function products_agree(T, n, k; first=1, columns=3)
    H, starts, kernels = random_basis(T, n, k; first=first)
    dense, x = big.(Matrix(H)), uniform(T, 3, n, columns)
    below, above = dense * x, dense' * x
    budget = repeat(product_budget(T, starts, kernels, x), n)
    rows = permutedims(x)
    good(result, expected) = size(result) == size(expected) && eltype(result) == T && within(result, expected, budget)
    return good(H * x, below) && good(H' * x, above) && good(transpose(H) * x, above) &&
           good(permutedims(rows * H), above) && good(permutedims(rows * H'), below) &&
           good(permutedims(multiply(H, rows)), below) && good(permutedims(multiply_transposed(H, rows)), above) &&
           all(axes(x, 2)) do c
               one = x[:, c]
               within(H * one, below[:, c], budget[:, c]) && within(H' * one, above[:, c], budget[:, c]) &&
                   within(one' * H, above[:, c], budget[:, c])
           end
end

@testset "n = $n, k = $k, $T" for (n, k) in BASIS_SIZES, T in (Float32, Float64)
    @test products_agree(T, n, k)
    n >= k + 3 && @test products_agree(T, n, k; first=3)
end

@testset "$columns columns" for columns in (0, 1, 2, 16, 33)
    @test products_agree(Float32, 40, 3; columns=columns)
end

@testset "many blocks, $T" for T in (Float32, Float64)
    @test products_agree(T, 1031, 5; columns=2)
end

@testset "mul!, $T" for T in (Float32, Float64)
    H, starts, kernels = random_basis(T, 37, 3)
    x, y = uniform(T, 3, 37, 2), uniform(T, 4, 37, 2)
    dense = big.(Matrix(H))
    product = product_budget(T, starts, kernels, x)
    for (α, β) in ((true, false), (2, 0), (-1, 1), (0, 0.5), (1, 1)), (A, D) in ((H, dense), (H', dense'))
        # Two roundings of each of the two terms, and one of their sum, on top of the product's.
        expected = α * (D * x) + β * y
        budget = abs(α) .* product .+ 4 * eps(T) .* Float64.(abs.(α * (D * x)) .+ abs.(β * y))
        result = copy(y)
        @test mul!(result, A, x, α, β) === result && within(result, expected, budget)
        turned = permutedims(y)
        @test mul!(turned, permutedims(x), A', α, β) === turned && within(permutedims(turned), expected, budget)
        vector = y[:, 1]
        @test mul!(vector, A, x[:, 1], α, β) === vector && within(vector, expected[:, 1], budget[:, 1])
    end
    # What is overwritten is not read.
    @test mul!(fill(T(NaN), 37, 2), H, x) == mul!(fill(T(NaN), 37, 2), H, x, 1, 0) == H * x
    @test mul!(fill(T(NaN), 37, 2), H, x, 2, 0) == 2 .* (H * x)
end

@testset "strides" begin
    H, _, _ = random_basis(Float64, 20, 4)
    x = uniform(Float64, 3, 20, 3)
    expected, transposed = H * x, H' * x
    for layout in LAYOUTS
        @test H * layout(x) == expected && H' * layout(x) == transposed && transpose(H) * layout(x) == transposed
        @test layout(permutedims(x)) * H == permutedims(transposed) && layout(permutedims(x)) * H' == permutedims(expected)
        y = layout(fill(NaN, 20, 3))
        @test mul!(y, H, x) === y == expected
        @test mul!(y, H', layout(x)) == transposed
        @test H * view(layout(x), :, 2) == H * x[:, 2]
    end
    large = view(fill(NaN, 41), 1:2:40)
    @test mul!(large, H, x[:, 1]) == H * x[:, 1] && all(isnan, parent(large)[2:2:end])
end

@testset "with other kinds of matrices" begin
    H, starts, kernels = random_basis(Float64, 9, 3)
    D = Matrix(H)
    budget = repeat(product_budget(Float64, starts, kernels, D), 9)
    for A in (H, H', transpose(H)), B in (H, H', transpose(H))
        @test within(A * B, big.(Matrix(A)) * big.(Matrix(B)), max.(budget, repeat(product_budget(Float64, starts, kernels, D'), 9)))
    end
    scaled = H * Diagonal(1.0:9)
    @test scaled == D * Diagonal(1.0:9) && Diagonal(1.0:9) * H == Diagonal(1.0:9) * D
end

@testset "next to structured matrices: $(nameof(typeof(X)))" for X in (
    Diagonal(uniform(Float64, 8, 9)), Bidiagonal(uniform(Float64, 8, 9), uniform(Float64, 9, 8), :U),
    Tridiagonal(uniform(Float64, 7, 8), uniform(Float64, 8, 9), uniform(Float64, 9, 8)),
    SymTridiagonal(uniform(Float64, 8, 9), uniform(Float64, 9, 8)), UpperTriangular(uniform(Float64, 8, 9, 9)),
    UnitUpperTriangular(uniform(Float64, 8, 9, 9)), LowerTriangular(uniform(Float64, 8, 9, 9)),
    UnitLowerTriangular(uniform(Float64, 8, 9, 9)),
)
    H, starts, kernels = random_basis(Float64, 9, 3)
    y = uniform(Float64, 4, 9, 9)
    for S in (X, X'), A in (H, H', transpose(H))
        M, B = big.(Matrix(S)), big.(Matrix(A))
        # Twice the product's, and what adding thrice y rounds.
        budget = fill(2 * maximum(product_budget(Float64, starts, kernels, [M M'])) + 32 * eps(), 9, 9)
        @test within(A * S, B * M, budget) && within(mul!(copy(y), A, S, 2, 3), 2 * B * M + 3 * y, budget)
        @test within(S * A, M * B, budget) && within(mul!(copy(y), S, A, 2, 3), 2 * M * B + 3 * y, budget)
    end
end

@testset "no call is ambiguous" begin
    @test isempty(Test.detect_ambiguities(Subquad))
    own(m) = m.module === Subquad
    @test isempty([(m, other) for m in methods(mul!) if own(m) for other in methods(mul!) if m !== other && Base.isambiguous(m, other)])
end

@testset "adjointness, $T" for T in (Float32, Float64)
    H, starts, kernels = random_basis(T, 211, 6; first=5)
    x, y = uniform(T, 3, 211), uniform(T, 4, 211)
    left, right = dot(Float64.(y), Float64.(H * x)), dot(Float64.(H' * y), Float64.(x))
    # Each product errs, in each entry, by its budget.
    budget = sum(abs, y) * product_budget(T, starts, kernels, x)[1] + sum(abs, x) * product_budget(T, starts, kernels, y)[1]
    @test abs(left - right) <= budget
end

@testset "heads" begin
    starts, kernels = cat([1 2; 4 8], [8 1; 8 7]; dims=3), uniform(Float64, 6, 7, 2, 2, 2)
    H = ConvBasis(starts, kernels; cumulative=true)
    x = uniform(Float64, 7, 3, 7, 2, 2)
    y, z = multiply(H, x), multiply_transposed(H, x)
    @test size(y) == size(z) == size(x)
    for h in 1:2, b in 1:2
        one = ConvBasis(H[:, :, h, b])
        @test y[:, :, h, b] == x[:, :, h, b] * one' && z[:, :, h, b] == x[:, :, h, b] * one
    end
end

@testset "the same bits for any number of threads, $T" for T in (Float32, Float64)
    H, _, _ = random_basis(T, 1500, 7; first=3)
    x = uniform(T, 3, 5, 1500)
    for f in (multiply, multiply_transposed)
        @test f(H, x; threads=1) == f(H, x; threads=2) == f(H, x; threads=3)
    end
end

@testset "keywords, reports" begin
    H, _, _ = random_basis(Float64, 30, 3)
    x = uniform(Float64, 3, 2, 30)
    y, report = multiply(H, x; return_report=true, strict_causal=true)
    @test report isa Report && report[:method] == "conv_basis" && haskey(report, :block)
    # Strictly causal: later positions do not change a bit.
    later = copy(x)
    later[:, 21:end] .= 1e8
    @test multiply(H, later; strict_causal=true)[:, 1:20] == y[:, 1:20]
    later[1, 25] = NaN
    @test refused("ERR_NONFINITE", ["x[1, 25] = NaN"], () -> multiply(H, later))
    @test multiply(H, later; check_finite=false, context=Context(threads=1)) isa Matrix
end

@testset "refused" begin
    H = ConvBasis(ones(4))
    x = ones(4, 2)
    @test refused("ERR_SHAPE", ["x 3", "basis 4×4"], () -> H * ones(3))
    @test refused("ERR_SHAPE", ["x 2×3"], () -> ones(2, 3) * H)
    @test refused("ERR_SHAPE", ["y"], () -> mul!(zeros(4, 3), H, x))
    @test refused("ERR_SHAPE", ["x 4×1×1"], () -> multiply(H, ones(4, 1, 1)))
    @test refused("ERR_DTYPE", ["float32"], () -> H * ones(Float32, 4))
    @test refused("ERR_DTYPE", ["x"], () -> H * [1, 2, 3, 4])
    @test refused("ERR_DTYPE", ["x", "Complex"], () -> H * complex.(x))
    @test refused("ERR_STRIDE", ["x"], () -> H * view(ones(9), [1, 2, 3, 4]))
    @test refused("ERR_NONFINITE", ["x[3] = NaN"], () -> H * [1, 1, NaN, 1])
    @test refused("ERR_NONFINITE", ["x[2, 1] = Inf"], () -> H * [1 1; Inf 1; 1 1; 1 1])
    @test refused("ERR_ALIAS", ["x", "y"], () -> mul!(x, H, x))
    @test refused("ERR_OVERFLOW", [], () -> ConvBasis(fill(1e300, 3)) * fill(1e300, 3))
    @test refused("ERR_WORKSPACE", [], () -> multiply(ConvBasis(ones(5000)), ones(9, 5000); context=Context(workspace_limit=1)))
    @test refused("ERR_CONFLICT", ["threads"], () -> multiply(H, ones(1, 4); context=Context(), threads=2))
end
