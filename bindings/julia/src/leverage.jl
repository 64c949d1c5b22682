# Leverage scores.

"""
    leverage_scores(x; keywords...) -> scores
    leverage_scores(x; return_report=true, keywords...) -> scores, report

How much each column of a matrix counts for the span of all, a number between 0 and 1 for each; their sum is the rank:

    scores[j] = x[:,j]' * pinv(x * x') * x[:,j]

`x` is what [`sparsify`](@ref) takes. It is orthogonalised by QR; `x * x'` is never formed, so nothing is lost where `x` is ill-conditioned.

# Keywords

- `method` (`sparsify_scores`): `:exact`, in time d n², or `:sketch`, in time proportional to the nonzeros of `x` plus n³. Sketched scores
  are random, and all at once within the report's `:score_factor` of the exact ones with probability `1 - delta`. Unless given, what
  takes less time.
- `delta=0.01` (`sparsify_delta`), `seed=0`: of the sketch.
- `check_finite`, `context`, `threads`, `progress`, `return_report` as in [`attention`](@ref). The report has `:scores` (what `method` was),
  `:rank`, `:condition`, `:score_factor`, `:sketch_rows`, `:projections` and `:passes`.

The same bits for any number of threads. Source: docs/math/sparsify.md.

```jldoctest
julia> leverage_scores([1.0 1 0 0; 0 0 3 0]; method=:exact) ≈ [0.5, 0.5, 1, 0]
true
```
"""
function leverage_scores(x; context=nothing, threads=nothing, progress=nothing, return_report=false, options...)
    settings = Settings(context, threads, progress, options, return_report, SCORE_NAMES)
    # Of what is no matrix C says so, before it looks at the scores.
    scores = Vector{Float64}(undef, x isa Union{AbstractMatrix,ColumnBlocks} ? size(x, 2) : 0)
    return unwrapped(scores, call_scores(Named["x" => x], Named["scores" => scores], settings))
end

function call_scores(inputs, outputs, settings)
    return with_call(settings) do context, options, report
        with_matrices(inputs) do x
            GC.@preserve outputs begin
                status = subquad_leverage_scores(context, options, x, c_arguments(outputs)..., report)
                check_matrices(status, inputs, outputs, settings.message_names)
            end
        end
    end
end
