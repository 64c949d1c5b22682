# Which lines of Julia's documentation stand for all of it: few columns of a large sparse matrix, with weights, and what they are worth.
#
#   julia --project=bindings/julia examples/julia/representatives.jl [WORDS]
#
# X has a row for each word and a column for each line of every docstring that this Julia has loaded: X[i,j] is 1 where word i stands in
# line j, scaled to rows of norm 1. So X X' has the cosines between words, by the company that they keep, and softmax(scale X X') says which
# words go with which. A sparsifier keeps a few lines, as they are, and their weights; its certificate e bounds what that changes:
# every entry of the softmax stays within a factor exp(2 e scale), whatever the words.

using LinearAlgebra, Printf, SparseArrays, Subquad

const SCALE = 2.0
const MOST_COMMON = 0.02    # a word in a larger share of the lines says nothing of its neighbours

"""All lines of the docstrings that are loaded, sorted, as these have no order of their own."""
function documentation()
    lines = String[]
    for place in Base.Docs.modules, entry in values(Base.Docs.meta(place)), docstring in values(entry.docs)
        text = join(piece for piece in docstring.text if piece isa AbstractString)
        append!(lines, filter(!isempty, strip.(split(text, '\n'))))
    end
    return sort(lines)
end

words(line) = unique(String(found.match) for found in eachmatch(r"[a-z]{3,}", lowercase(line)))

"""The n words in most lines, of those that are in few enough of them."""
function vocabulary(lines, n)
    counts = Dict{String,Int}()
    for line in lines, word in words(line)
        counts[word] = get(counts, word, 0) + 1
    end
    telling = filter(entry -> entry[2] <= MOST_COMMON * length(lines), collect(counts))
    return first.(sort(telling; by=entry -> (-entry[2], entry[1]))[1:min(n, end)])
end

"""Words × lines, with rows of norm 1; and the lines, without those that have none of the words."""
function occurrences(lines, vocabulary)
    number = Dict(word => i for (i, word) in enumerate(vocabulary))
    found = [[number[word] for word in words(line) if haskey(number, word)] for line in lines]
    kept = findall(!isempty, found)
    I, J = reduce(vcat, found[kept]), reduce(vcat, [fill(j, length(found[line])) for (j, line) in enumerate(kept)])
    totals = zeros(length(vocabulary))
    foreach(i -> totals[i] += 1, I)
    return sparse(I, J, 1 ./ sqrt.(totals[I]), length(vocabulary), length(kept)), lines[kept]
end

"""The certificate by the textbook, of any columns with any weights: |R^-T Y Y' R^-1 - 1| with X' = Q R."""
function dense_certificate(X, indices, weights)
    whitened = qr(Matrix(X')).R' \ Matrix(X[:, indices] .* sqrt.(weights'))
    return opnorm(whitened * whitened' - I)
end

"""The largest factor between entries of softmax(scale Y Y') and of softmax(scale X X'), by the textbook."""
function dense_ratio(X, Y)
    logits(Z) = SCALE .* Matrix(Z * Z')
    log_softmax(L) = L .- log.(sum(exp.(L); dims=2))
    return exp(maximum(abs, log_softmax(logits(Y)) - log_softmax(logits(X))))
end

"""What m columns are worth: chosen by this package in two ways, and blindly."""
function compare(X, m)
    rows = map((:leverage, :deterministic)) do method
        seconds = @elapsed s = sparsify(X; method=method, columns=m, certify=:exact)
        ratio, bound = softmax_error(s, X; scale=SCALE).ratio, ratio_bound(s; scale=SCALE)
        close(s)
        (method=method, columns=length(s.indices), epsilon=s.epsilon, ratio=ratio, bound=bound, seconds=@sprintf("%.2f", seconds))
    end
    # Every k-th line, all with the same weight.
    indices, weight = round.(Int, range(1, size(X, 2); length=m)), size(X, 2) / m
    epsilon, ratio = dense_certificate(X, indices, fill(weight, m)), dense_ratio(X, sqrt(weight) .* X[:, indices])
    return [rows..., (method=:every_kth, columns=m, epsilon=epsilon, ratio=ratio, bound=exp(2 * epsilon * SCALE), seconds="")]
end

"""The words that go with word i, most of all first, without itself."""
function companions(Y, i, count)
    cosines = Y * Y[i, :]
    return filter(!=(i), sortperm(cosines; rev=true))[1:count]
end

function main(n)
    lines = documentation()
    chosen_words = vocabulary(lines, n)
    X, lines = occurrences(lines, chosen_words)
    @printf("%d words, %d lines, %d nonzeros\n\n", size(X)..., nnz(X))
    println("  method         columns  epsilon  softmax within  guaranteed within  seconds")
    compare(X, 2n)                         # compiles everything
    for m in (4n, 8n, 16n), row in compare(X, min(m, size(X, 2)))
        @printf("  %-14s %7d %8.3f %15.2g %18.2g %8s\n", Tuple(row)...)
    end

    s = sparsify(X; method=:deterministic, columns=8n)
    println("\nwords and their companions, from all lines and from $(length(s.indices)) of them")
    for i in 1:cld(n, 6):n
        from_all, from_few = (join(chosen_words[companions(Y, i, 4)], " ") for Y in (X, s.y))
        @printf("  %-14s %-40s %s\n", chosen_words[i], from_all, from_few)
    end

    scores = leverage_scores(X; method=:exact)
    println("\nlines with the highest leverage scores")
    foreach(j -> @printf("  %.2f  %s\n", scores[j], first(lines[j], 110)), sortperm(scores; rev=true)[1:5])
end

abspath(PROGRAM_FILE) == @__FILE__() && main(isempty(ARGS) ? 150 : parse(Int, ARGS[1]))
