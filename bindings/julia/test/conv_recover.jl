# Conv bases of queries and keys: recovered from structure, fitted to anything, and found by `attention` itself.

"""
Queries and keys whose logits are sum_m a[m,r] cos(w[m] (i - j) + phase[m,r]) for keys of segment r, 0 before the first start: an exact conv
basis. The least l1 distance of two kernels' first `window` entries comes with them.
"""
function structured(T, n, starts; window, frequencies=2, seed=1, scale=1)
    k = length(starts)
    w = 0.1 .+ uniform(Float64, seed, frequencies)
    amplitude, phase = 1 .+ 0.5 .* uniform(Float64, seed + 1, frequencies, k), 3 .* uniform(Float64, seed + 2, frequencies, k)
    segment = [count(<=(j), starts) for j in 1:n]
    turned(f, m, j, r) = r == 0 ? 0.0 : amplitude[m, r] * f(w[m] * j - phase[m, r])
    q = vcat(([f(w[m] * i) for m in 1:frequencies, i in 1:n] for f in (cos, sin))...)
    keys = vcat(([turned(f, m, j, segment[j]) for m in 1:frequencies, j in 1:n] for f in (cos, sin))...)
    kernel(r, lag) = r == 0 ? 0.0 : scale * sum(amplitude[m, r] * cos(w[m] * lag + phase[m, r]) for m in 1:frequencies)
    distance(r, s) = sum(abs(kernel(r, lag) - kernel(s, lag)) for lag in 0:window-1)
    delta = k == 0 ? 1.0 : minimum([distance(r, s) for r in 0:k for s in 0:r-1])
    return T.(q), T.(keys), delta
end

logits(q, k, scale) = tril(scale .* (Float64.(q)' * Float64.(k)))

const STRUCTURES = (
    (1, [1], 1), (2, [1, 2], 1), (5, [1], 5), (13, [1, 5], 3), (31, [1, 10, 11, 27], 4), (37, [6, 19], 6), (64, [2, 3, 30, 61], 3),
    (97, collect(1:12:97), 1), (251, [1, 100, 200, 249], 3),
)

@testset "structure is recovered: n = $n, starts $starts, $T" for (n, starts, window) in STRUCTURES, T in (Float32, Float64)
    for seed in 1:5
        q, k, delta = structured(T, n, starts; window=window, seed=7seed)
        H, report = conv_basis_recover(q, k; bases=length(starts), window=window, delta=delta, scale=1, return_report=true)
        @test H isa ConvBasis{T,2} && Subquad.starts(H) == starts
        # roundoff of inner products of four terms, none above 1.5, twice: a kernel is that of its first column, and the others agree with
        # that to the roundoff of the numbers they are products of, sines of angles up to n, rounded themselves.
        @test within(Matrix(H), logits(q, k, 1), fill(2 * (8 * eps(T) + n * eps()) * 4 * 1.5, n, n))
        @test report[:bases] == length(starts) && report[:columns] <= length(starts) && report[:error_bound] == 0
        @test report[:probes] <= length(starts) * (ceil(log2(n)) + 1)
    end
end

@testset "structure with noise, $T" for T in (Float32, Float64)
    for (n, starts, window) in STRUCTURES, seed in 1:5
        q, clean, delta = structured(Float64, n, starts; window=window, seed=3seed)
        noise = uniform(Float64, seed, size(clean)...)
        # The largest that the theorem allows.
        size_of_noise = delta / 5window / maximum(abs, tril(q'noise))
        noisy = T.(clean .+ 0.99 * size_of_noise .* noise)
        exact = logits(T.(q), noisy, 1)
        eps_found = maximum(abs, exact - tril(q'clean))
        H, report = conv_basis_recover(
            T.(q), noisy; bases=length(starts), window=window, delta=delta, eps=eps_found, scale=1, return_report=true
        )
        @test Subquad.starts(H) == starts
        @test report[:error_bound] ≈ 2tanh(eps_found)
        v = uniform(T, 9, 2, n)
        P, _ = causal_weights(exact)
        @test within(apply(H, v), v * P', report[:error_bound] * maximum(abs, v) .+ repeat(apply_budget(T, v); outer=(2, 1)))
    end
end

@testset "heads, views, fewer than asked for" begin
    parts = [structured(Float64, 40, starts; window=3, seed=seed) for (starts, seed) in (([1, 9], 1), ([4], 2))]
    q, k = cat(parts[1][1], parts[2][1]; dims=3), cat(parts[1][2], parts[2][2]; dims=3)
    delta = min(parts[1][3], parts[2][3])
    keywords = (bases=6, window=3, delta=delta, scale=1)
    H, report = conv_basis_recover(q, k; return_report=true, keywords...)
    @test H isa ConvBasis{Float64,3} && Subquad.starts(H) == [1 4; 9 41] && report[:bases] == [2, 1]
    for h in 1:2
        @test H[:, :, h] == conv_basis_recover(q[:, :, h], k[:, :, h]; keywords...)
    end
    # Two query heads on one key head, a batch of one; strides of every kind.
    pair = conv_basis_recover(cat(q[:, :, 1], q[:, :, 1]; dims=3), k[:, :, 1:1]; keywords...)
    @test pair[:, :, 1] == pair[:, :, 2] == H[:, :, 1]
    @test conv_basis_recover(reshape(q, 4, 40, 2, 1), reshape(k, 4, 40, 2, 1); keywords...) isa ConvBasis{Float64,4}
    turned(x) = PermutedDimsArray(permutedims(x, (3, 2, 1)), (3, 2, 1))
    @test conv_basis_recover(turned(q), view(reverse(k; dims=2), :, 40:-1:1, :); keywords...) == H
    @test conv_basis_recover(q, k; conv_window=3, conv_delta=delta, bases=6, scale=1) == H
    @test conv_basis_recover(q, k; threads=1, keywords...) == conv_basis_recover(q, k; threads=2, keywords...) == H
end

"""Sum over j of |P~ - P|, for each row."""
row_errors(basis, q, k, scale) = vec(sum(abs, causal_weights(Float64.(Matrix(basis)))[1] - causal_weights(logits(q, k, scale))[1]; dims=2))

@testset "fits of what has structure, $T" for T in (Float32, Float64)
    q, k = ones(T, 4, 60), repeat(uniform(T, 1, 4, 3); inner=(1, 20))
    for (bases, found) in ((3, [1, 21, 41]), (5, [1, 21, 41]))
        H, report = conv_basis_fit(q, k; bases=bases, return_report=true)
        @test Subquad.starts(H) == found && report[:bases] == 3
        # roundoff of logits and their means over 60 queries by transforms, twice in the weights.
        @test report[:error_max] <= 2 * (60 + 24 * log2(120)) * eps(T) * 2
    end
    H, report = conv_basis_fit(q, k; tol=0.01, return_report=true)
    @test report[:error_mean] <= 0.01
end

@testset "fits of anything, $T" for T in (Float32, Float64)
    q, k, _ = problem(T, 90, 90; d=4)
    measured = map((1, 4, 16, 90)) do bases
        H, report = conv_basis_fit(q, k; bases=bases, return_report=true, seed=3)
        errors = row_errors(H, q, k, 0.5)
        # The report's numbers are those of rows that were sampled: within what all rows have, to the roundoff of two weights each.
        slack = 90 * weight_roundoff(T, 4, 90, 2)
        @test report[:bases] <= bases && 1 <= report[:sampled_rows] <= 90
        @test minimum(errors) - slack <= report[:error_mean] <= report[:error_max] + slack <= maximum(errors) + 2slack
        v = uniform(T, 5, 2, 90)
        P, _ = causal_weights(logits(q, k, 0.5))
        @test within(apply(H, v), v * P', maximum(abs, v) .* errors' .+ apply_budget(T, v) .+ zeros(2, 1))
        sum(errors) / 90
    end
    # More bases, less error; with one for each key there is none but roundoff.
    @test issorted(measured; rev=true) && measured[4] <= 90 * weight_roundoff(T, 4, 90, 2) * 4
    @test conv_basis_fit(q, k; bases=4, seed=3, threads=1) == conv_basis_fit(q, k; bases=4, seed=3, threads=2)
end

@testset "attention by method conv_basis, $T" for T in (Float32, Float64)
    q, k, delta = structured(T, 50, [1, 20, 33]; window=3)
    v = uniform(T, 9, 3, 50)
    exact, exact_lse = attention(q, k, v; causal=true, return_lse=true, scale=1)
    keywords = (method=:conv_basis, causal=true, bases=3, scale=1)
    o, lse, report = attention(q, k, v; window=3, delta=delta, eps=0, return_lse=true, return_report=true, keywords...)
    # The exact one's roundoff, and the method's.
    budget = repeat(apply_budget(T, v), 3) .+ 2 * maximum(abs, v) * weight_roundoff(T, 4, 50, 6)
    @test within(o, exact, budget)
    @test within(lse, exact_lse, fill(2 * weight_roundoff(T, 4, 50, 6), 50))
    @test report[:method] == "conv_basis" && report[:bases] == 3 && report[:pairs] == 25 * 51 && haskey(report, :probes)
    @test attention!(similar(o), q, k, v; window=3, delta=delta, threads=1, keywords...) == o
    strict = attention(q, k, v; window=3, delta=delta, strict_causal=true, keywords...)
    @test within(strict, exact, budget)
    later = copy(v)
    later[:, 31:end] .= 1e6
    @test attention(q, k, later; window=3, delta=delta, strict_causal=true, keywords...)[:, 1:30] == strict[:, 1:30]
    bias = uniform(T, 8, 50, 1)
    biased = attention(q, k, v; window=3, delta=delta, lag_bias=bias, keywords...)
    @test within(biased, attention(q, k, v; causal=true, lag_bias=bias, scale=1), budget .+ 4 * eps(T) * maximum(abs, v))
    # Without window and delta it is a fit.
    fitted, report = attention(q, k, v; return_report=true, seed=5, keywords...)
    @test fitted == apply(conv_basis_fit(q, k; bases=3, seed=5, scale=1), v) && haskey(report, :error_mean)
end

@testset "refused" begin
    q, k, delta = structured(Float64, 20, [1, 9]; window=2)
    v = ones(2, 20)
    recover(; keywords...) = conv_basis_recover(q, k; merge((bases=2, window=2, delta=delta), values(keywords))...)
    @test recover() isa ConvBasis
    @test refused("ERR_CONFLICT", ["bases"], () -> recover(bases=nothing))
    @test refused("ERR_CONFLICT", ["window"], () -> recover(window=nothing))
    @test refused("ERR_CONFLICT", ["delta"], () -> recover(delta=nothing))
    @test refused("ERR_VALUE", ["window", "21", "20"], () -> recover(window=21))
    @test refused("ERR_VALUE", ["window", "0"], () -> recover(window=0))
    @test refused("ERR_VALUE", ["delta"], () -> recover(delta=0))
    @test refused("ERR_VALUE", ["eps"], () -> recover(eps=delta / 9))
    @test refused("ERR_VALUE", ["bases", "-1"], () -> recover(bases=-1))
    @test refused("ERR_TYPE", ["bases = 1.5"], () -> recover(bases=1.5))
    @test refused("ERR_CONFLICT", ["window", "conv_window"], () -> recover(conv_window=2))
    @test refused("ERR_SHAPE", ["q 4×20", "k 4×19"], () -> conv_basis_recover(q, k[:, 1:19]; bases=2, window=2, delta=delta))
    @test refused("ERR_NONFINITE", ["k[2, 7] = NaN"], () -> conv_basis_fit(q, (x = copy(k); x[2, 7] = NaN; x); bases=2))
    @test refused("ERR_CONFLICT", ["bases", "tol"], () -> conv_basis_fit(q, k))
    @test refused("ERR_CONFLICT", ["bases", "tol"], () -> conv_basis_fit(q, k; bases=2, tol=0.1))
    @test refused("ERR_VALUE", ["tol"], () -> conv_basis_fit(q, k; tol=-1))
    @test refused("ERR_VALUE", ["seed"], () -> conv_basis_fit(q, k; bases=2, seed=-1))
    @test refused("ERR_DTYPE", ["k"], () -> conv_basis_fit(q, Float32.(k); bases=2))
    by_basis(; keywords...) = attention(q, k, v; merge((method=:conv_basis, causal=true, bases=2), values(keywords))...)
    @test by_basis() isa Matrix
    @test refused("ERR_UNSUPPORTED", ["causal"], () -> by_basis(causal=false))
    @test refused("ERR_UNSUPPORTED", ["key_ranges"], () -> by_basis(key_ranges=1:3))
    @test refused("ERR_CONFLICT", ["tol"], () -> by_basis(tol=0.1))
    # Options have the names that the caller wrote, and those that nobody wrote the short ones.
    for (keywords, message) in (
        ((window=21, delta=1), r"^window is 21"), ((conv_window=21, delta=1), r"^conv_window is 21"),
        ((conv_window=21, conv_delta=1), r"^conv_window is 21"), ((window=2, delta=1, eps=3), r"^eps is 3, .* delta / \(5 window\)"),
        ((window=2, conv_delta=1, eps=3), r"^eps is 3, .* conv_delta / \(5 window\)"), ((window=2,), r"^window is 2, but delta is unset"),
        ((conv_window=2,), r"^conv_window is 2, but conv_delta is unset"),
    )
        @test occursin(message, refusal(() -> by_basis(; keywords...)).message)
    end
    o, lse = attention(q, k, v; causal=true, return_lse=true)
    for call in (
        keywords -> attention_backward(q, k, v, o, lse, o; method=:conv_basis, causal=true, bases=2, keywords...),
        keywords -> attention_loss(q, k, q, ones(size(q, 1), size(q, 1)), ones(2, size(q, 1)), o; method=:conv_basis, bases=2, keywords...),
        keywords -> conv_basis_recover(q, k; bases=2, keywords...),
    )
        @test occursin(r"^window is 21", refusal(() -> call((window=21, delta=1))).message)
        @test occursin(r"^conv_window is 21", refusal(() -> call((conv_window=21, delta=1))).message)
    end
    @test refused("ERR_CONFLICT", [r"^window is unset: .* window and delta"], () -> conv_basis_recover(q, k; bases=2))
    @test refused("ERR_VALUE", ["backward", "fast", "exact"], () -> by_basis(backward=:fast))
    @test_throws SubquadError attention(q[:, 1:5], k, v; method=:conv_basis, causal=true, causal_offset=15, bases=2)
end

@testset "wisdom" begin
    text = Subquad.export_wisdom()
    @test occursin("fftw", text) && Subquad.import_wisdom(text) === nothing
    @test refused("ERR_VALUE", ["wisdom"], () -> Subquad.import_wisdom("something else"))
    @test refused("ERR_VALUE", ["wisdom"], () -> Subquad.import_wisdom(text[1:end÷2]))
    @test_throws MethodError Subquad.import_wisdom(3)
end
