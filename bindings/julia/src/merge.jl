# Joining attention over slices of the keys.

"""
    attention_merge(o_parts, lse_parts; context=nothing, threads=nothing) -> o, lse

Join the results of [`attention`](@ref) over disjoint sets of keys, each computed by a call of its own (see its `key_offset`):

    lse[i] = log(sum_p exp(lse_p[i])),    o[:,i] = sum_p exp(lse_p[i] - lse[i]) o_p[:,i]

`o_parts` and `lse_parts` are vectors of arrays, all of one size and element type.

```jldoctest
julia> q, k, v = (fill_uniform!(zeros(4, 6), seed) for seed in 1:3);

julia> parts = [
           attention(q, k[:, s], v[:, s]; causal=true, causal_offset=0, key_offset=first(s) - 1, return_lse=true) for s in (1:2, 3:6)
       ];

julia> o, lse = attention_merge(first.(parts), last.(parts));

julia> o ≈ attention(q, k, v; causal=true)
true
```
"""
function attention_merge(o_parts::AbstractVector, lse_parts::AbstractVector; keywords...)
    refuse_lse(keywords)
    check_parts(o_parts, lse_parts)
    o, lse = (Array{eltype(parts[1])}(undef, size(parts[1])) for parts in (o_parts, lse_parts))
    attention_merge!(o, o_parts, lse_parts; lse=lse, keywords...)
    return o, lse
end

function check_parts(o_parts, lse_parts)
    isempty(o_parts) && throw(SubquadError(SUBQUAD_ERR_VALUE, "o_parts is empty; at least one part is needed"))
    if length(o_parts) != length(lse_parts)
        throw(SubquadError(SUBQUAD_ERR_SHAPE, "o_parts has $(length(o_parts)) parts, lse_parts $(length(lse_parts))"))
    end
    # Results are made like the first parts, so what is no array is refused before.
    foreach(((name, part),) -> c_view(name, part), [named_parts("o_parts", o_parts); named_parts("lse_parts", lse_parts)])
end

named_parts(name, parts) = Named["$name[$number]" => part for (number, part) in enumerate(parts)]

"""
    attention_merge!(o, o_parts, lse_parts; lse=nothing, context=nothing, threads=nothing) -> o

[`attention_merge`](@ref) with its results written to `o` and, where it is given, `lse`. These may be the arrays of one of the parts.

```jldoctest
julia> q = ones(2, 3); o, lse = attention(q, q, q; return_lse=true);

julia> attention_merge!(o, [o, zeros(2, 3)], [lse, fill(-Inf, 3)]; lse=lse) == q     # the second part has no keys
true
```
"""
function attention_merge!(
    o::AbstractArray, o_parts::AbstractVector, lse_parts::AbstractVector; lse=nothing, context=nothing, threads=nothing
)
    check_parts(o_parts, lse_parts)
    named_o, named_lse = named_parts("o_parts", o_parts), named_parts("lse_parts", lse_parts)
    call_merge(named_o, named_lse, Named["o" => o, "lse" => lse], Settings(context, threads, nothing, (), false))
    return o
end

function call_merge(o_parts, lse_parts, outputs, settings)
    inputs = [o_parts; lse_parts]
    views(arrays) = SubquadArray[c_view(name, array) for (name, array) in arrays]
    return with_call(settings) do context, options, _
        GC.@preserve inputs outputs begin
            status = subquad_attention_merge(
                context, options, length(o_parts), views(o_parts), views(lse_parts), c_arguments(outputs)...
            )
            check(status, inputs, outputs)
        end
    end
end
