# The example that chooses lines of documentation: its matrix, its own certificate against the library's, and the table.

const REPRESENTATIVES = joinpath(PACKAGE, "..", "..", "examples", "julia", "representatives.jl")

module Representatives
include(Main.REPRESENTATIVES)
end

@testset "the matrix of words and lines" begin
    lines = ["a matrix of floats", "the matrix", "matrix, matrix; vector", "nothing here is known", "a vector"]
    X, kept = Representatives.occurrences(lines, ["matrix", "vector", "unseen"])
    @test kept == lines[[1, 2, 3, 5]]
    @test Matrix(X) ≈ [1/√3 1/√3 1/√3 0; 0 0 1/√2 1/√2; 0 0 0 0]
end

@testset "by the library and by the textbook" begin
    lines = Representatives.documentation()
    X, kept = Representatives.occurrences(lines, Representatives.vocabulary(lines, 20))
    @test size(X) == (20, length(kept)) && all(size -> isapprox(size, 1; rtol=length(kept) * eps()), sum(abs2, X; dims=2))
    part = X[:, 1:8:end]
    w = whitened(part)
    for s in (sparsify(part; columns=90, certify=:exact), sparsify(part; method=:deterministic, columns=60, certify=:exact))
        expected = Representatives.dense_certificate(part, s.indices, s.weights)
        # roundoff of both.
        @test within(s.epsilon, expected, 2 * epsilon_budget(Float64, w, expected, 90))
        ratio = Representatives.dense_ratio(part, s.y)
        @test within(softmax_error(s, part; scale=2).ratio, ratio, 2 * weight_roundoff(Float64, size(part, 2), 20, 4) * ratio)
    end
end

@testset "the table" begin
    # What it prints goes to a file: stdout may be anything here.
    text = mktemp() do path, file
        redirect_stdout(() -> Representatives.main(12), file)
        flush(file)
        read(path, String)
    end
    rows = [split(line) for line in split(text, '\n') if occursin(r"^  (leverage|deterministic|every_kth) ", line)]
    @test length(rows) == 9
    for (method, columns, epsilon, ratio, bound) in rows
        # Two digits are shown.
        @test parse(Float64, ratio) <= 1.06 * parse(Float64, bound)
        @test method != "deterministic" || parse(Float64, epsilon) <= 2sqrt(4) / 5
    end
end
