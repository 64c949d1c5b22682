# The example that smooths a time series: right where the dense solve can be asked, and able to run at length.

const SMOOTHER = joinpath(PACKAGE, "..", "..", "examples", "julia", "smoother.jl")

module Smoother
include(Main.SMOOTHER)
end

@testset "the dense solve agrees, n = $n" for n in (30, 101, 400)
    f, seen = Smoother.sample(n), Smoother.readings(n)
    y = f[seen] .+ 0.5 .* Smoother.normal(n, 8)[seen]
    estimate, steps = Smoother.smooth(n, seen, y)
    # method: with a residual r the estimate is off by K[:,seen] A^-1 r, |K[:,seen] A^-1|_2 <= sqrt(|K|_2 / noise), |K|_2 <= 2 sum |c|. The
    # rest is roundoff of the dense solve, n eps times the condition of A.
    norm_of_K = 2 * sum(abs, Smoother.covariance.(0:n-1))
    budget = sqrt(norm_of_K / Smoother.NOISE) * Smoother.TOLERANCE * norm(y) + n * eps() * norm_of_K / Smoother.NOISE * norm(y)
    @test within(estimate, Smoother.smooth_densely(n, seen, y), fill(budget, n))
    @test steps <= length(seen)
end

@testset "the table" begin
    # What it prints goes to a file: stdout may be anything here.
    text = mktemp() do path, file
        redirect_stdout(() -> Smoother.main([300, 3000]), file)
        flush(file)
        read(path, String)
    end
    rows = split.(split(text, '\n'; keepempty=false)[2:end])
    @test [row[1] for row in rows] == ["300", "3000"]
    # Beside the right answer, better than a straight line.
    @test all(row -> parse(Float64, row[5]) < parse(Float64, row[6]), rows)
    @test rows[2][end-1:end] == ["too", "large"]
end
