# What plans do to values.

"""
    apply(plan, v; keywords...) -> o
    apply(plan, v; return_lse=true, return_report=true, keywords...) -> o, lse, report
    apply!(o, plan, v; lse=nothing, keywords...) -> o

[`attention`](@ref) as planned, for any values: `v` is d_v × n_k [× heads_kv [× batch]], with the heads and batch of the plan's `k` and
any d_v.

Keywords: `check_finite`, `context`, `threads`, `progress`, `return_lse`, `return_report` as in [`attention`](@ref). The report is that
of the plan with what this call computed: `:pairs_low` and the like, `:missed_mass` (for each head, at most which share of a query's
weights was left out) and `:head_seconds_apply`. Its `:error` is still that of the values that the plan was made with.

```jldoctest
julia> q = fill_uniform!(zeros(8, 30), 1);

julia> p = plan(q, q; tol=0.05);

julia> size(apply(p, ones(3, 30))), size(apply(p, ones(2, 30)))
((3, 30), (2, 30))
```
"""
function apply(plan::Plan{T}, v::AbstractArray; return_lse=false, return_report=false, keywords...) where {T}
    refuse_lse(keywords)
    o = Array{T}(undef, size(v, 1), Base.tail(plan.q_size)...)
    lse = return_lse ? Array{T}(undef, Base.tail(plan.q_size)) : nothing
    result = apply!(o, plan, v; lse=lse, return_report=return_report, keywords...)
    return unwrapped(o, lse, return_report ? last(result) : nothing)
end

@doc (@doc apply(::Plan, ::AbstractArray))
function apply!(o::AbstractArray, plan::Plan, v::AbstractArray; lse=nothing, keywords...)
    return unwrapped(o, on_plan(subquad_plan_apply, plan, Named["v" => v], Named["o" => o, "lse" => lse]; keywords...))
end

"""
    attention_backward(plan, v, o, lse, d_o; keywords...) -> (dq=.., dk=.., dv=..)

Gradients of `apply(plan, v)`, given the gradient `d_o` with respect to its result; `o` and `lse` are what [`apply`](@ref) returned. The
pairs that the plan computes are differentiated; pairs that screening left out, and far fields, have no part in `dq` and `dk`, but conv
far fields have theirs in `dv`. Heads that are exact have exact gradients.

Keywords: `check_finite`; `context`, `threads`, `progress` and `return_report` as in [`attention`](@ref). The report is that of the plan,
and `:error_backward`, the estimated relative error of each head's `dq` in the Frobenius norm.

```jldoctest
julia> q, k, v = (fill_uniform!(zeros(8, 30), seed) for seed in 1:3);

julia> p = plan(q, k; tol=0.05, causal=true);

julia> o, lse = apply(p, v; return_lse=true);

julia> dq, dk, dv = attention_backward(p, v, o, lse, one.(o));

julia> size(dq), size(dk), size(dv)
((8, 30), (8, 30), (8, 30))
```
"""
function attention_backward(
    plan::Plan{T}, v::AbstractArray, o::AbstractArray, lse::AbstractArray, d_o::AbstractArray; keywords...
) where {T}
    inputs = Named["v" => v, "o" => o, "lse" => lse, "d_o" => d_o]
    results = map(size -> Array{T}(undef, size), (dq=plan.q_size, dk=plan.k_size, dv=size(v)))
    outputs = Named[string(name) => array for (name, array) in pairs(results)]
    report = on_plan(subquad_plan_backward, plan, inputs, outputs; keywords...)
    return report === nothing ? results : (; results..., report=report)
end

"""Call `f` on a plan, inputs and outputs; the report, or `nothing` where none is wanted."""
function on_plan(f, plan, inputs, outputs; context=nothing, threads=nothing, progress=nothing, return_report=false, options...)
    settings = Settings(context, threads, progress, options, return_report)
    shown = Named["the plan's q" => CartesianIndices(plan.q_size), "the plan's k" => CartesianIndices(plan.k_size)]
    return call_on_handle(f, plan.handle, shown, inputs, outputs, c_view, settings)
end
