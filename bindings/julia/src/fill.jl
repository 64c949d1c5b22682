# Reproducible test data.

"""
    fill_uniform!(x, seed; stream=0, low=0, high=1) -> x

Fill `x` with numbers between `low` and `high` that depend on nothing but `seed`, `stream` and an element's number in the order of
`x[1]`, `x[2]`, ..: the same in every language that the library serves (the reversed dimensions, there), on every machine.

```jldoctest
julia> fill_uniform!(zeros(2, 2), 7) == reshape(fill_uniform!(zeros(4), 7), 2, 2)
true
```
"""
function fill_uniform!(x::AbstractArray, seed; stream=0, low=0, high=1)
    outputs = Named["x" => x]
    GC.@preserve x begin
        status = subquad_fill_uniform(
            c_arguments(outputs)...,
            number(UInt64, Integer, :seed, seed), number(UInt64, Integer, :stream, stream),
            number(Float64, Real, :low, low), number(Float64, Real, :high, high),
        )
        check(status, Named[], outputs)
    end
    return x
end
