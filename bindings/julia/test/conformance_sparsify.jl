# How the rows of the conformance tables that speak of sparsifiers are carried out in Julia, where matrices are written as in C.

"""A sparse matrix as the tables describe it, whatever is wrong with it: rows in no order and more than once, offsets that fall."""
struct LaidSparse{T,I} <: SparseArrays.AbstractSparseMatrixCSC{T,Int}
    size::Tuple{Int,Int}
    offsets::AbstractVector{I}
    indices::Vector{I}
    values::Laid{T,1}
end

Base.size(x::LaidSparse) = x.size
SparseArrays.getcolptr(x::LaidSparse) = x.offsets
SparseArrays.rowvals(x::LaidSparse) = x.indices
SparseArrays.nonzeros(x::LaidSparse) = x.values
SparseArrays.nnz(x::LaidSparse) = length(x.indices)

"""The matrix argument `name` of a row; `nothing` where it is not given."""
function matrix_of(row, name, arrays)
    haskey(arrays, name) || return nothing
    spec = get(row, "inputs", get(row, "arrays", nothing))[name]
    if haskey(spec, "sparse")
        sparse = spec["sparse"]
        I = DTYPES[sparse["index_dtype"]]
        counted_from_1(numbers) = Vector{I}(numbers .- sparse["index_base"] .+ 1)
        rows, columns = spec["shape"]
        indices = counted_from_1(sparse["indices"])
        offsets = haskey(sparse, "offsets") ? counted_from_1(sparse["offsets"]) : Laid{I,1}(I[], 0, (columns + 1,), (1,), "null")
        sparse["layout"] == "csc" && return LaidSparse((rows, columns), offsets, indices, arrays[name])
        return transpose(LaidSparse((columns, rows), offsets, indices, arrays[name]))
    end
    x = rows_first(arrays[name])
    haskey(spec, "blocks") || return x
    width = spec["blocks"] == 0 ? nothing : spec["blocks"]
    return column_blocks(range -> x[:, range], size(x)..., eltype(x); block_columns=width)
end

"""The numbers of `y` with C's order of elements; what is stored twice adds up."""
function y_in_rows(y)
    y isa SparseMatrixCSC || return permutedims(y)
    dense = zeros(eltype(y), reverse(size(y)))
    foreach((i, j, value) -> dense[j, i] += value, findnz(y)...)
    return dense
end

"""Keywords by the short names that messages then have."""
function short_keywords(names, row, extra...)
    shorter = Dict(string(long) => string(short) for (short, long) in names)
    return keywords(Dict("options" => Dict(get(shorter, name, name) => value for (name, value) in row["options"])), extra...)
end

function sparsifier_of(row, made, arrays, context)
    settings = short_keywords(Subquad.SPARSIFY_NAMES, made, :context => context)
    haskey(arrays, "x") && return in_state(made, sparsify(matrix_of(row, "x", arrays); settings...))
    return in_state(made, sparsify_pair(matrix_of(row, "q", arrays), matrix_of(row, "k", arrays); settings...))
end

function results_of(s)
    product = Float64.(y_in_rows(s.y))
    results = Dict{String,Any}("y" => y_in_rows(s.y), "yy" => product' * product, "epsilon" => [s.epsilon], "report" => s.report)
    # Without a certificate there is no bound.
    s.certificate == :none || (results["ratio_bound"] = [ratio_bound(s)])
    s.indices === nothing && return results
    return merge(results, Dict("indices" => s.indices .- 1, "weights" => s.weights))
end

"""Whether a report says that errors were measured in this way; "none": that they were not."""
certificate_holds(report, expected) =
    get(report, :certificate, "none") == expected && haskey(report, :epsilon) == (expected != "none")

const OF_SPARSIFIERS = (
    "leverage_scores", "sparsify", "sparsify_pair", "sparsifier_attention", "sparsifier_softmax_error", "sparsifier_ratio_bound",
)

"""The results by name of a row whose function is one of sparsifiers."""
function call_on_sparsifier(row, arrays; context, report)
    given(name) = get(arrays, name, nothing)
    if row["function"] == "leverage_scores"
        settings = short_keywords(Subquad.SCORE_NAMES, row, :context => context, :return_report => true)
        scores, found = leverage_scores(matrix_of(row, "x", arrays); settings...)
        return Dict{String,Any}("scores" => scores, "report" => found)
    elseif row["function"] in ("sparsify", "sparsify_pair")
        return results_of(sparsifier_of(row, row, arrays, context))
    end
    s = sparsifier_of(row, row["sparsifier"], arrays, context)
    settings = keywords(row, :context => context)
    if row["function"] == "sparsifier_attention"
        result = attention!(given("o"), s, given("v"); lse=given("lse"), return_report=report, settings...)
        return Dict{String,Any}("o" => given("o"), "lse" => given("lse"), "report" => report ? last(result) : nothing)
    elseif row["function"] == "sparsifier_ratio_bound"
        return Dict{String,Any}("bound" => [ratio_bound(s; keywords(row)...)])
    end
    asked(name, other) = matrix_of(row, haskey(arrays, other) ? other : name, arrays)
    found = softmax_error(s, asked(haskey(arrays, "x") ? "x" : "q", "other"), asked("k", "other_k"); settings...)
    return Dict{String,Any}("error" => [found.error], "ratio" => [found.ratio])
end
