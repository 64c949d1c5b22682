# A surface scanned at regular places: its heights by Gaussian-process regression, with error bars, beside the dense solve and at length.
#
#   julia --project=bindings/julia examples/julia/gaussian_process.jl [POINTS ..]
#
# Heights f are a stationary Gaussian process: K[i,j] = c(|i - j|) with the squared exponential c(lag) = exp(-lag^2 / (2 LENGTH^2)).
# Measured is y = f + noise. Given y, the heights have the means and, at place i, the variance
#
#   K A^-1 y,    K[i,i] - K[:,i]' A^-1 K[:,i],    A = K + NOISE I.
#
# The lower triangle L of K is a conv basis with one kernel, c itself, and K = L + L' - c(0) I. So a product with K costs about n log n
# operations, and conjugate gradients solve for all right-hand sides at once without ever forming K: at 200,000 points that would take
# 320 GB. Any stationary c does, also one that no short recursion (a Kalman filter) has.

using LinearAlgebra, Printf, Subquad

const LENGTH = 40.0                  # in steps of the grid
const NOISE = 0.25                   # variance; that of f is 1
const TOLERANCE = 1e-8               # of each residual, relative to its right-hand side
const NORMAL_95 = 1.959963984540054  # 95 % of normal numbers are within this of 0

covariance(lag) = exp(-lag^2 / (2 * LENGTH^2))

"""n standard normal numbers, the same on every machine."""
function normal(n, stream)
    u, v = (fill_uniform!(zeros(n), 1; stream=stream + i) for i in (0, 1))
    return sqrt.(-2 .* log.(1 .- u)) .* cos.(2π .* v)
end

"""
A sample of f at n places: a moving average of white noise z, f[i] = sum_s g(s) z[i - s], whose covariance sum_s g(s) g(s + lag) is c.
A product with a Toeplitz matrix too.
"""
function sample(n)
    reach = ceil(Int, 6 * LENGTH)    # beyond, g is less than an eps
    g = [exp(-(s / LENGTH)^2) / sqrt(LENGTH * sqrt(π / 2)) for s in -reach:reach]
    average = ConvBasis([g; zeros(n - 1)])
    f = (average * normal(n + 2 * reach, 0))[2*reach+1:end]
    close(average)
    return f
end

struct Covariance
    lower::ConvBasis{Float64,2}
end

Covariance(n::Integer) = Covariance(ConvBasis(covariance.(0:n-1.0)))

"""y = K x, column by column"""
function LinearAlgebra.mul!(y::AbstractMatrix, K::Covariance, x::AbstractMatrix)
    mul!(y, K.lower, x)
    mul!(y, K.lower', x, 1, 1)
    y .-= covariance(0.0) .* x
    return y
end

"""
Solve A X = B for a symmetric, positive definite A, of which `multiply!(Y, X)` knows the products; X and the number of these. Each column
has steps of its own and stays as it is once it is solved.
"""
function conjugate_gradients(multiply!, B)
    X, R, P, Q = zero(B), copy(B), copy(B), similar(B)
    rr = sum(abs2, R; dims=1)
    goal = TOLERANCE^2 .* rr
    steps = 0
    while any(rr .> goal)
        multiply!(Q, P)
        open = rr .> goal
        α = ifelse.(open, rr ./ sum(P .* Q; dims=1), 0.0)
        X .+= α .* P
        R .-= α .* Q
        before, rr = rr, sum(abs2, R; dims=1)
        P .= R .+ ifelse.(open, rr ./ before, 0.0) .* P
        steps += 1
    end
    return X, steps
end

"""
The means of f at all n places and its standard deviations at `places`, with the number of steps and the largest residual, computed anew
and relative to its right-hand side.
"""
function regress(y, places)
    n = length(y)
    K = Covariance(n)
    function product!(Q, P)
        mul!(Q, K, P)
        Q .+= NOISE .* P
    end
    sides = [y [covariance(abs(i - j)) for i in 1.0:n, j in places]]
    solved, steps = conjugate_gradients(product!, sides)
    residuals = sides - product!(similar(sides), solved)
    means = vec(mul!(zeros(n, 1), K, solved[:, 1:1]))
    close(K.lower)
    variances = covariance(0.0) .- vec(sum(sides[:, 2:end] .* solved[:, 2:end]; dims=1))
    return (means=means, deviations=sqrt.(variances), steps=steps, residual=maximum(norm.(eachcol(residuals)) ./ norm.(eachcol(sides))))
end

"""Means and standard deviations by the textbook, in n^3 operations."""
function regress_densely(y, places)
    n = length(y)
    K = [covariance(abs(i - j)) for i in 1.0:n, j in 1.0:n]
    factors = cholesky(Symmetric(K + NOISE * I))
    variances = [K[i, i] - dot(K[:, i], factors \ K[:, i]) for i in places]
    return K * (factors \ y), sqrt.(variances)
end

root_mean_square(x) = sqrt(sum(abs2, x) / length(x))

"""Heights, measurements, and the places whose error bars are wanted: the first, one near it, and the middle, which stands for most."""
function problem(n)
    f = sample(n)
    return f, f + sqrt(NOISE) .* normal(n, 2), [1, min(n, round(Int, LENGTH / 2)), cld(n, 2)]
end

"""Regression at n places; one row of the table, and what a picture needs."""
function experiment(n)
    f, y, places = problem(n)
    seconds = @elapsed (found = regress(y, places))
    errors = found.means - f
    deviation = found.deviations[end]
    inside = count(abs.(errors) .<= NORMAL_95 * deviation) / n
    dense = n <= 2000 ? regress_densely(y, places) : nothing
    from_dense = dense === nothing ? NaN : max(maximum(abs, found.means - dense[1]), maximum(abs, found.deviations - dense[2]))
    row = (
        points=n, steps=found.steps, seconds=seconds, residual=found.residual, error=root_mean_square(errors), at_end=found.deviations[1],
        deviation=deviation, inside=100 * inside, from_dense=from_dense,
    )
    return row, (f=f, y=y, means=found.means, deviation=deviation)
end

"""Every eighth of `lines` places in the middle, one line each: the measurement, the interval of the height, and the height itself."""
function picture(seen, lines=24, width=72)
    first_place = max(1, length(seen.f) ÷ 2 - 4 * lines)
    places = first_place:8:min(length(seen.f), first_place + 8 * (lines - 1))
    half = NORMAL_95 * seen.deviation
    top = maximum(abs, [seen.y[places]; seen.f[places]; abs.(seen.means[places]) .+ half])
    column(height) = 1 + round(Int, (height / top + 1) / 2 * (width - 1))
    println("\n   place   · measured   ─ 95 % of the probability   ● true height")
    for i in places
        line = fill(' ', width)
        line[column(seen.means[i] - half):column(seen.means[i] + half)] .= '─'
        line[column(seen.y[i])] = '·'
        line[column(seen.f[i])] = '●'
        println(lpad(i, 8), "   ", rstrip(String(line)))
    end
end

function main(sizes)
    println("  points  steps  seconds  residual   error  deviation, at an end  in 95 % interval  from the dense solve")
    experiment(100)                  # compiles everything
    local seen
    for n in sizes
        row, seen = experiment(n)
        dense = isnan(row.from_dense) ? "too large" : @sprintf("%.1e", row.from_dense)
        @printf(
            "%8d %6d %8.2f %9.1e %7.4f %10.4f %9.4f %15.1f %% %21s\n",
            row.points, row.steps, row.seconds, row.residual, row.error, row.deviation, row.at_end, row.inside, dense,
        )
    end
    picture(seen)
end

abspath(PROGRAM_FILE) == @__FILE__() && main(isempty(ARGS) ? [500, 2000, 20_000, 200_000] : parse.(Int, ARGS))
