# The example of Gaussian-process regression: right where the dense solve can be asked, and able to run at length.

const GAUSSIAN_PROCESS = joinpath(PACKAGE, "..", "..", "examples", "julia", "gaussian_process.jl")

module GaussianProcess
include(Main.GAUSSIAN_PROCESS)
end

@testset "the dense solve agrees, n = $n" for n in (1, 30, 151, 700)
    _, y, places = GaussianProcess.problem(n)
    found = GaussianProcess.regress(y, places)
    means, deviations = GaussianProcess.regress_densely(y, places)
    # method: A^-1 is at most 1 / NOISE and K A^-1 at most 1, so a residual r, relative to the right-hand side b, puts a mean off by
    # r |b| and a variance K[:,i]' A^-1 K[:,i] by r |b|^2 / NOISE. roundoff: of the dense solve and of the products, n eps times the
    # condition of A in place of r.
    norm_of_K = 2 * sum(GaussianProcess.covariance, 0.0:n-1)
    slack = found.residual + 2 * n * eps() * (norm_of_K / GaussianProcess.NOISE + 1)
    @test within(found.means, means, fill(slack * norm(y), n))
    squares = [sum(j -> GaussianProcess.covariance(abs(i - j))^2, 1.0:n) for i in places]
    @test within(found.deviations .^ 2, deviations .^ 2, slack .* squares ./ GaussianProcess.NOISE)
    # What its recurrence says of the residual is what the residual is, but for roundoff.
    @test found.residual <= GaussianProcess.TOLERANCE + slack - found.residual
end

@testset "a moving average has the covariance" begin
    # The sum that stands for an integral is exact but for what lies beyond the ends, which is less than an eps, and roundoff.
    reach = ceil(Int, 6 * GaussianProcess.LENGTH)
    g(s) = exp(-(s / GaussianProcess.LENGTH)^2) / sqrt(GaussianProcess.LENGTH * sqrt(π / 2))
    @test all(lag -> abs(sum(s -> g(s) * g(s + lag), -2reach:2reach) - GaussianProcess.covariance(lag)) <= 4 * reach * eps(), 0:3:reach)
end

@testset "the table and the picture" begin
    # What it prints goes to a file: stdout may be anything here.
    text = mktemp() do path, file
        redirect_stdout(() -> GaussianProcess.main([300, 3000]), file)
        flush(file)
        read(path, String)
    end
    lines = split(text, '\n'; keepempty=false)
    rows = split.(lines[2:3])
    @test [row[1] for row in rows] == ["300", "3000"]
    for row in rows
        # The first place has neighbours on one side only; what is measured alone is worse than both.
        error, deviation, at_end = parse.(Float64, row[5:7])
        @test error < sqrt(GaussianProcess.NOISE) && deviation < at_end < sqrt(GaussianProcess.NOISE)
    end
    @test rows[2][end-1:end] == ["too", "large"]
    @test count(line -> occursin('●', line) && occursin(r"^ +\d+ ", line), lines) == 24
end
