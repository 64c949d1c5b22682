"""
Softmax attention on the CPU, with an error that is measured and reported.

Arrays are column-major, one column per query or key: `q` is d × n_q, `k` is d × n_k, `v` is d_v × n_k, and so is the rest; a third
dimension counts heads, a fourth the batch. They are handed to the library as they lie in memory, never copied: an `Array`, a
`view`, a `PermutedDimsArray`, a transpose, with any strides.

[`attention`](@ref), [`attention!`](@ref), [`attention_backward`](@ref), [`attention_merge`](@ref), [`attention_merge!`](@ref) and
[`fill_uniform!`](@ref) compute; [`Subquad.info`](@ref) describes library and machine; [`Context`](@ref), [`Report`](@ref) and
[`SubquadError`](@ref) are the types.

With a tolerance, `attention(q, k, v; tol=0.1)`, each head is computed in the cheapest way whose estimated error meets it; a
[`Plan`](@ref), made by [`plan`](@ref), keeps what was decided for any number of values.

A [`ConvBasis`](@ref) is a lower-triangular matrix of logits with few different columns, multiplied and applied in time close to linear:
made from its parts, by [`conv_basis_recover`](@ref) or by [`conv_basis_fit`](@ref); used by `*`, and by [`apply`](@ref),
[`apply_transposed`](@ref), [`multiply`](@ref) and [`multiply_transposed`](@ref), each with a `!` too, [`exp_transform`](@ref) and
[`attention_backward`](@ref); read by [`Subquad.starts`](@ref),
[`Subquad.kernels`](@ref) and [`Subquad.heads`](@ref). [`attention_loss`](@ref) is the training
problem of one layer; [`Subquad.export_wisdom`](@ref) and [`Subquad.import_wisdom`](@ref) keep what FFTW has learnt.

A [`Sparsifier`](@ref) stands for a matrix `x` with far more columns than rows, dense, sparse or in [`column_blocks`](@ref), in
`softmax(scale * x * x')`: few of its columns, with weights. [`sparsify`](@ref) and [`sparsify_pair`](@ref) make one, [`ratio_bound`](@ref),
[`attention`](@ref) and [`softmax_error`](@ref) use it; [`leverage_scores`](@ref) say how much each column counts.

[`Subquad.pullback`](@ref) has the gradients of each of them, as automatic differentiation asks for them.

```jldoctest
julia> q, k, v = (fill_uniform!(zeros(Float32, 16, 100, 2), seed) for seed in 1:3);     # two heads of 100 positions

julia> o, report = attention(q, k, v; causal=true, return_report=true);

julia> size(o), report[:pairs]
((16, 100, 2), 10100)
```
"""
module Subquad

export attention, attention!, attention_backward, attention_merge, attention_merge!, fill_uniform!
export ConvBasis, conv_basis_recover, conv_basis_fit, exp_transform
export plan, Plan
export apply, apply!, apply_transposed, apply_transposed!, multiply, multiply!, multiply_transposed, multiply_transposed!
export attention_loss
export sparsify, sparsify_pair, Sparsifier, ratio_bound, softmax_error, leverage_scores, column_blocks
export Context, Report, SubquadError

using LinearAlgebra: LinearAlgebra, AbstractTriangular, Adjoint, Bidiagonal, Diagonal, SymTridiagonal, Transpose, Tridiagonal, mul!
using SparseArrays: SparseArrays, nnz, nonzeros, nzrange, rowvals

include("library.jl")
include("arrays.jl")
include("generated.jl")
include("views.jl")
include("errors.jl")
include("options.jl")
include("report.jl")
include("context.jl")
include("attention.jl")
include("backward.jl")
include("merge.jl")
include("fill.jl")
include("handles.jl")
include("conv_basis.jl")
include("conv_entries.jl")
include("conv_make.jl")
include("conv_apply.jl")
include("conv_matrix.jl")
include("conv_heads.jl")
include("training.jl")
include("wisdom.jl")
include("column_blocks.jl")
include("matrices.jl")
include("leverage.jl")
include("sparsify.jl")
include("sparsifier.jl")
include("plan.jl")
include("plan_apply.jl")
include("pullback.jl")

function __init__()
    LIBRARY[] = open_library()
    check_library()
    CALLBACK[] = @cfunction(on_progress, Int32, (Ptr{Cvoid}, Float64))
    BLOCKS_CALLBACK[] = @cfunction(on_columns, Int32, (Ptr{Cvoid}, Int64, Int64, Ptr{Cvoid}))
    return nothing
end

end
