# Problems large enough to be worth a plan, and what their results may differ by.

"""
Queries, keys and values with something for each part to find: topics that come back, which some queries look up, first keys that all
look at, and neighbours that are alike. Heads differ in how sharply they look.
"""
function textlike(T, n; heads=6, shared=2, d=32, d_v=16, seed=1)
    topics, walk = uniform(Float64, seed, d, 12), uniform(Float64, seed + 1, d, n, shared)
    topic = 1 .+ floor.(Int, 12 .* fill_uniform!(zeros(cld(n, 64)), seed + 2; high=1 - 1e-9))
    base = topics[:, topic[cld.(1:n, 64)]]
    k = base .+ 0.3 .* walk
    k[:, 1:2, :] .= 1.5 .* topics[:, 1]
    gains = [0.5, 1, 2, 3, 4, 6][mod1.(1:heads, 6)]
    q = cat([gains[h] .* (base .+ 0.3 .* uniform(Float64, seed + 9 + h, d, n) .+ 0.5 .* topics[:, 1]) for h in 1:heads]...; dims=3)
    v = uniform(Float64, seed + 3, d_v, n, shared) .+ base[1:d_v, :]
    return map(array -> T.(array), (q, k, v))
end

"""The relative error of each head's output in the Frobenius norm."""
function relative_errors(o, exact)
    return vec([norm(Float64.(o[:, :, I]) - exact[:, :, I]) / norm(exact[:, :, I]) for I in CartesianIndices(size(o)[3:end])])
end

"""chance: the count that `trials` of probability p exceed at most once in a million times."""
function unlucky(trials, p)
    probability(count) = binomial(big(trials), count) * big(p)^count * (1 - big(p))^(trials - count)
    return findfirst(count -> sum(BigFloat[probability(more) for more in count+1:trials]) <= 1e-6, 0:trials) - 1
end

"""A report without what differs from run to run."""
lasting(report) = filter(entry -> !occursin("seconds", string(entry[1])) && !(entry[1] in (:threads, :workspace_bytes)), collect(report))
