# The example that forecasts by analogues: against the definition of its forecasts, and the table.

const ADAPTIVE = joinpath(PACKAGE, "..", "..", "examples", "julia", "adaptive.jl")

module Adaptive
include(Main.ADAPTIVE)
end

@testset "attention is the weighted mean of what came after" begin
    x = Adaptive.lorenz(250) + 0.1 .* Adaptive.normal(250)
    q, k, v = Adaptive.problem(x)
    o = attention(q, k, v; Adaptive.SEEN...)
    ends(i) = i + Adaptive.WINDOW - 1                      # of window i
    window(i) = normalize(x[i:ends(i)])
    last_horizon = maximum(Adaptive.HORIZONS)
    budget = oracle(Float32, q, k, v; Adaptive.SEEN...).o_budget
    for (w, width) in enumerate(Adaptive.WIDTHS), i in (last_horizon + 1, 100, size(q, 2))
        seen = 1:i-last_horizon
        weight = [exp(-sum(abs2, window(i) - window(j)) / (2 * width^2)) for j in seen]
        # roundoff: of attention, and of the arrays in Float32. A logit, which is at most 1 / width^2, loses an eps there, a weight is off
        # by that, above and below the division; a value by half an eps.
        slack = 2 * expm1(eps(Float32) / width^2) + eps(Float32)
        for (h, horizon) in enumerate(Adaptive.HORIZONS)
            forecast = sum(weight .* [x[ends(j)+horizon] for j in seen]) / sum(weight)
            @test abs(o[h, i, w] - forecast) <= budget[h, i, w, 1] + slack * maximum(abs, x)
        end
    end
end

@testset "the table" begin
    # What it prints goes to a file: stdout may be anything here.
    text = mktemp() do path, file
        redirect_stdout(() -> Adaptive.main(2300), file)
        flush(file)
        read(path, String)
    end
    rows = [split(line) for line in split(text, '\n') if occursin(r"^ +0\.\d+ .*%", line)]
    @test [parse(Float64, row[1]) for row in rows] == [0.2, 0.1, 0.05, 0.02]
    for row in rows
        tol, estimated, true_error = parse(Float64, row[1]), parse(Float64, row[end-1]), parse(Float64, row[end])
        # method: 3 tol for every head.
        @test estimated <= tol && true_error <= 3 * tol
    end
    @test occursin("width 0.1 ", text)
end
