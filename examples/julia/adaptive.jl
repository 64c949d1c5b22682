# Forecasts by analogues: what does a chaotic system do next? What it did whenever its past looked as it does now.
#
#   julia --project=bindings/julia examples/julia/adaptive.jl [READINGS]
#
# Readings x of the Lorenz system come one by one. The forecast at time i for time i + h is the mean of x[j + h] over all j whose outcome is
# known by then, weighted by how near the windows of readings that end at i and at j, each brought to norm 1, are to each other:
#
#   weight[i,j] = exp(-|window[i] - window[j]|^2 / 2w^2) ~ exp(<window[i], window[j]> / w^2),    j <= i - h.
#
# That is causal softmax attention, at cost n^2. Narrow widths w find a few moments anywhere in the past, wide ones average over most of it;
# each is a head here, and they share their keys. A plan decides for each head how to compute it within a tolerance; it is then applied
# to the readings, for the forecasts, and to their squares, for how sure these are.

using LinearAlgebra, Printf, Subquad

const WINDOW = 64
const WIDTHS = [0.1, 0.2, 0.4, 0.8]
const HORIZONS = [5, 20, 50]
const NOISE = 0.1                    # standard deviation; that of the readings is about 1

"""n readings of the system's first coordinate, 0.02 time units apart, without noise."""
function lorenz(n)
    flow((x, y, z)) = [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]
    state, step = [1.0, 1.0, 20.0], 0.01
    return map(1:n) do _
        for _ in 1:2
            # Runge and Kutta's fourth order.
            a = flow(state)
            b = flow(state + step / 2 * a)
            c = flow(state + step / 2 * b)
            d = flow(state + step * c)
            state += step / 6 * (a + 2b + 2c + d)
        end
        state[1] / 8
    end
end

"""n standard normal numbers, the same on every machine."""
function normal(n)
    u, v = (fill_uniform!(zeros(n), 1; stream=stream) for stream in (0, 1))
    return sqrt.(-2 .* log.(1 .- u)) .* cos.(2π .* v)
end

"""The windows of readings, one per column, of norm 1; the first ends at reading WINDOW."""
function windows(x)
    columns = [x[i+t] for t in 0:WINDOW-1, i in 1:length(x)-WINDOW+1]
    return columns ./ sqrt.(sum(abs2, columns; dims=1))
end

"""Queries, keys and values: the windows over each squared width, the windows, what came after them at each horizon."""
function problem(x)
    past = windows(x[1:end-maximum(HORIZONS)])
    queries = cat((past ./ w^2 for w in WIDTHS)...; dims=3)
    after = [x[i+WINDOW-1+h] for h in HORIZONS, i in axes(past, 2)]
    return map(array -> Float32.(array), (queries, reshape(past, size(past)..., 1), reshape(after, size(after)..., 1)))
end

# Query i sees what was known at its time for every horizon.
const SEEN = (causal=true, causal_offset=-maximum(HORIZONS), scale=1)

relative_error(o, exact) = norm(o - exact) / norm(exact)

"""One row of the table: a plan to a tolerance, what it costs and how far it is off, worst over heads."""
function compare(q, k, v, exact, tol)
    plan_seconds = @elapsed p = plan(q, k, v; tol=tol, SEEN...)
    apply_seconds = @elapsed (o, report) = apply(p, v; return_report=true)
    share = sum(report[:pairs_exact] .+ report[:pairs_low]) / report[:pairs]
    true_error = maximum(h -> relative_error(o[:, :, h], exact[:, :, h]), axes(o, 3))
    return p, (tol=tol, share=100share, plan=plan_seconds, apply=apply_seconds, estimated=maximum(p.report[:error]), true_error=true_error)
end

root_mean_square(x) = sqrt(sum(abs2, x) / length(x))

"""Errors of forecasts over the second half of time, horizons × widths, and what their spread says that these should be."""
function skill(p, v)
    o, squares = apply(p, v), apply(p, v .^ 2)
    late = size(v, 2)÷2:size(v, 2)
    found = [root_mean_square(o[h, late, w] - v[h, late, 1]) for h in axes(o, 1), w in axes(o, 3)]
    said = [sqrt(sum(max.(squares[h, late, w] - o[h, late, w] .^ 2, 0)) / length(late)) for h in axes(o, 1), w in axes(o, 3)]
    return found, said
end

function main(n)
    x = lorenz(n) + NOISE * normal(n)
    q, k, v = problem(x)
    exact = attention(q, k, v; SEEN...)
    seconds = @elapsed attention(q, k, v; SEEN...)
    @printf("%d windows of %d readings, %d widths; exact attention takes %.2f seconds\n\n", size(q, 2), WINDOW, length(WIDTHS), seconds)
    compare(q, k, v, exact, 0.1)           # compiles everything
    println("    tol   pairs computed   seconds to plan   to apply   estimated error   true error")
    plans = map((0.2, 0.1, 0.05, 0.02)) do tol
        p, row = compare(q, k, v, exact, tol)
        @printf("%7.2f %14.1f %% %17.2f %10.2f %17.4f %12.4f\n", Tuple(row)...)
        p
    end

    println("\nthe plan for tol 0.1, a head for each of the widths ", join(WIDTHS, ", "), "\n\n", repr(MIME("text/plain"), plans[2]))
    found, said = skill(plans[2], v)
    println("\nerrors of its forecasts over the second half of time (and what their own spread makes them out to be)")
    println("  steps ahead", join([@sprintf("%15s", "width $w") for w in WIDTHS]))
    for (h, steps) in enumerate(HORIZONS)
        @printf("%13d%s\n", steps, join([@sprintf("    %.2f (%.2f)", found[h, w], said[h, w]) for w in eachindex(WIDTHS)]))
    end
end

abspath(PROGRAM_FILE) == @__FILE__() && main(isempty(ARGS) ? 20_000 : parse(Int, ARGS[1]))
