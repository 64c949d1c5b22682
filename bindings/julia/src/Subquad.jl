"""
Softmax attention on the CPU, with an error that is measured and reported.

Arrays are column-major, one column per query or key: `q` is d × n_q, `k` is d × n_k, `v` is d_v × n_k, and so is the rest; a third
dimension counts heads, a fourth the batch. They are handed to the library as they lie in memory, never copied: an `Array`, a
`view`, a `PermutedDimsArray`, a transpose, with any strides.

[`attention`](@ref), [`attention!`](@ref), [`attention_backward`](@ref), [`attention_merge`](@ref), [`attention_merge!`](@ref) and
[`fill_uniform!`](@ref) compute; [`Subquad.info`](@ref) describes library and machine; [`Context`](@ref), [`Report`](@ref) and
[`SubquadError`](@ref) are the types.
"""
module Subquad

export attention, attention!, attention_backward, attention_merge, attention_merge!, fill_uniform!
export Context, Report, SubquadError

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

function __init__()
    LIBRARY[] = open_library()
    check_library()
    CALLBACK[] = @cfunction(on_progress, Int32, (Ptr{Cvoid}, Float64))
    return nothing
end

end
