# Hourly readings with noise and outages, smoothed and filled in by kriging on a regular grid: against the dense solve, then at length.
#
#   julia --project=bindings/julia examples/julia/smoother.jl [POINTS ..]
#
# Behind the readings is a stationary Gaussian process f, a slow trend and a daily cycle, whose covariance depends on the lag alone:
# K[i,j] = c(|i - j|). Seen are y = f[seen] + noise. The best estimate of all of f is
#
#   K[:,seen] (K[seen,seen] + noise I)^-1 y.
#
# The lower triangle L of K is a conv basis with one kernel, c itself, and K = L + L' - c(0) I. So a product with K costs about n log n
# operations, and the equations are solved by conjugate gradients without ever forming K: at 100,000 points that would take 80 GB.

using LinearAlgebra, Printf, Subquad

const DAY = 24
const TREND_HOURS, CYCLE_HOURS, CYCLE_SHARE = 24.0, 120.0, 0.5
const NOISE = 0.25                   # variance
const TOLERANCE = 1e-6               # of the residual, relative to y

covariance(lag) = exp(-lag / TREND_HOURS) + CYCLE_SHARE * exp(-lag / CYCLE_HOURS) * cos(2π * lag / DAY)

"""n standard normal numbers, the same on every machine."""
function normal(n, stream)
    u, v = (fill_uniform!(zeros(n), 1; stream=stream + i) for i in (0, 1))
    return sqrt.(-2 .* log.(1 .- u)) .* cos.(2π .* v)
end

"""A sample of f at n hours: both of its parts are recursions of first order."""
function sample(n)
    trend, cycle = 0.0, 0.0im
    keep_trend, keep_cycle = exp(-1 / TREND_HOURS), exp(-1 / CYCLE_HOURS + 2π * im / DAY)
    a, b, c = normal(n, 0), normal(n, 2), normal(n, 4)
    return map(1:n) do t
        first = t == 1
        trend = keep_trend * trend + (first ? 1.0 : sqrt(1 - keep_trend^2)) * a[t]
        cycle = keep_cycle * cycle + (first ? 1.0 : sqrt(1 - abs2(keep_cycle))) * complex(b[t], c[t])
        trend + sqrt(CYCLE_SHARE) * real(cycle)
    end
end

"""The hours at which something was read: outages take every fifth half-day, at random."""
readings(n) = findall(repeat(fill_uniform!(zeros(cld(n, 12)), 1; stream=6) .> 0.2; inner=12)[1:n])

struct Covariance
    lower::ConvBasis{Float64,2}
end

Covariance(n::Integer) = Covariance(ConvBasis(covariance.(0:n-1.0)))

"""y = K x"""
function LinearAlgebra.mul!(y::AbstractVector, K::Covariance, x::AbstractVector)
    mul!(y, K.lower, x)
    mul!(y, K.lower', x, 1, 1)
    y .-= covariance(0.0) .* x
    return y
end

"""Solve A x = b for a symmetric, positive definite A, of which `multiply!(y, x)` knows the products; x and the number of these."""
function conjugate_gradients(multiply!, b)
    x, r, p, q = zero(b), copy(b), copy(b), similar(b)
    rr = dot(r, r)
    steps = 0
    while sqrt(rr) > TOLERANCE * norm(b)
        multiply!(q, p)
        α = rr / dot(p, q)
        x .+= α .* p
        r .-= α .* q
        rr, before = dot(r, r), rr
        p .= r .+ (rr / before) .* p
        steps += 1
    end
    return x, steps
end

"""The estimate of f at all n hours from the readings y, and the number of steps that it took."""
function smooth(n, seen, y)
    K = Covariance(n)
    full, product = zeros(n), zeros(n)
    function seen_product!(q, p)
        full[seen] = p
        mul!(product, K, full)
        q .= view(product, seen) .+ NOISE .* p
    end
    weights, steps = conjugate_gradients(seen_product!, y)
    full[seen] = weights
    mul!(product, K, full)
    close(K.lower)
    return product, steps
end

"""The same by the textbook, in n^3 operations."""
function smooth_densely(n, seen, y)
    K = [covariance(abs(i - j)) for i in 1.0:n, j in 1.0:n]
    return K[:, seen] * (cholesky(Symmetric(K[seen, seen] + NOISE * I)) \ y)
end

"""What a line drawn from reading to reading says."""
function interpolate(n, seen, y)
    return map(1:n) do t
        i = clamp(searchsortedlast(seen, t), 1, length(seen) - 1)
        share = clamp((t - seen[i]) / (seen[i+1] - seen[i]), 0, 1)
        (1 - share) * y[i] + share * y[i+1]
    end
end

root_mean_square(x) = sqrt(sum(abs2, x) / length(x))

"""Smooth a sample of n hours; one row of the table."""
function experiment(n)
    f, seen = sample(n), readings(n)
    y = f[seen] + sqrt(NOISE) .* normal(n, 8)[seen]
    outages = setdiff(1:n, seen)
    seconds = @elapsed (estimate, steps) = smooth(n, seen, y)
    line = interpolate(n, seen, y)
    errors = map(x -> root_mean_square(x[outages] - f[outages]), (estimate, line))
    dense = n <= 2000 ? maximum(abs, estimate - smooth_densely(n, seen, y)) : NaN
    return (points=n, seen=length(seen), steps=steps, seconds=seconds, in_outages=errors[1], line_in_outages=errors[2], from_dense=dense)
end

function main(sizes)
    println("  points     seen  steps  seconds  error in outages  of a straight line  from the dense solve")
    experiment(100)                   # compiles everything
    for n in sizes
        row = experiment(n)
        dense = isnan(row.from_dense) ? "too large" : @sprintf("%.1e", row.from_dense)
        @printf("%8d %8d %6d %8.2f %17.3f %19.3f %21s\n", Tuple(row)[1:6]..., dense)
    end
end

abspath(PROGRAM_FILE) == @__FILE__() && main(isempty(ARGS) ? [500, 2000, 10_000, 100_000] : parse.(Int, ARGS))
