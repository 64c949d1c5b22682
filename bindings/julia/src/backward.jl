# Attention, backward.

"""
    attention_backward(q, k, v, o, lse, d_o; keywords...) -> (dq=.., dk=.., dv=..)

Gradients of [`attention`](@ref) with respect to `q`, `k`, `v`, given the gradient `d_o` with respect to `o`. `o` and `lse` are the
forward call's results for the same `q`, `k`, `v` and keywords. The result is a named tuple; it has `d_lag_bias` too where `lag_bias` is
given, and `report` with `return_report=true`. Heads that share keys and values add their gradients up; so do all that share a lag bias.
With `method=:conv_basis` the basis is found again, `o` and `lse` are not needed and may be `nothing`, and there is no `d_lag_bias`. With
`tol` or `budget` the plan is made again, and there is no `d_lag_bias` either; the rest is `attention_backward(plan, v, o, lse, d_o)`,
which is the one to call where there is a [`plan`](@ref).

For a slice of the keys (`key_offset`) give the `o` and `lse` of the merged whole: `dk` and `dv` are then final, and the `dq` of the
slices add up.

The keywords are those of [`attention`](@ref), `return_lse` excepted; and with `method=:conv_basis` `backward`, which says how the gradients
are computed: `:exact`, `:conv_basis`, or unless given the faster of the two.

```jldoctest
julia> q, k, v = (fill_uniform!(zeros(8, 5), seed; low=-1) for seed in 1:3);

julia> o, lse = attention(q, k, v; causal=true, return_lse=true);

julia> dq, dk, dv = attention_backward(q, k, v, o, lse, ones(8, 5); causal=true);

julia> size(dq), size(dk), size(dv)
((8, 5), (8, 5), (8, 5))
```
"""
function attention_backward(
    q::AbstractArray, k::AbstractArray, v::AbstractArray, o::Union{AbstractArray,Nothing}, lse::Union{AbstractArray,Nothing},
    d_o::AbstractArray;
    lag_bias=nothing, key_ranges=nothing, threads=nothing, context=nothing, progress=nothing, return_report=false, options...,
)
    inputs = Named[
        "q" => q, "k" => k, "v" => v, "lag_bias" => lag_bias, "key_ranges" => range_table(key_ranges), "o" => o, "lse" => lse, "d_o" => d_o,
    ]
    gradient(array::AbstractArray) = Array{eltype(array)}(undef, size(array))
    # There is no lag bias, or the call refuses it.
    gradient(_) = nothing
    options = with_method(options)
    exact = method_of(options) == SUBQUAD_METHOD_EXACT
    results = (dq=gradient(q), dk=gradient(k), dv=gradient(v), d_lag_bias=exact ? gradient(lag_bias) : nothing)
    outputs = Named[string(name) => array for (name, array) in pairs(results)]
    report = call_backward(inputs, outputs, Settings(context, threads, progress, options, return_report))
    all = (; results..., report=report)
    return (; (name => value for (name, value) in pairs(all) if value !== nothing)...)
end

function call_backward(inputs, outputs, settings)
    return with_call(settings) do context, options, report
        GC.@preserve inputs outputs begin
            status = subquad_attention_backward(context, options, c_arguments(inputs)..., c_arguments(outputs)..., report)
            check(status, inputs, outputs, settings.message_names)
        end
    end
end
