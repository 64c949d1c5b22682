# Adaptive attention: what was decided for queries and keys, how it is made, shown and released.

"""
    Plan

What [`plan`](@ref) decided for each head of queries and keys, to be used with any number of values: [`apply`](@ref), [`apply!`](@ref) and
[`attention_backward`](@ref). `plan.report` is the [`Report`](@ref) of what was decided; shown in the REPL, a plan is a table of its heads.

It is read-only and keeps copies of everything: use it from any number of threads at once. `close(plan)` releases the memory, which
otherwise the garbage collector does.

```jldoctest
julia> q = fill_uniform!(zeros(Float32, 8, 20, 2), 1);

julia> p = plan(q, q; tol=0.1)
Plan{Float32} of 2 heads, 20 queries and 20 keys; screened
  head  parts  estimated error, 95 % interval  why exact
     1  exact  0                               exact attention is cheaper
     2  exact  0                               exact attention is cheaper

julia> close(p)
```
"""
struct Plan{T,N}
    handle::Handle{subquad_plan}
    q_size::NTuple{N,Int}
    k_size::NTuple{N,Int}
    report::Report
end

"""Release the memory of a plan. Throws ERR_BUSY while a call uses it; a second time it does nothing."""
Base.close(plan::Plan) = close(plan.handle)

Base.isopen(plan::Plan) = isopen(plan.handle)

"""
    plan(q, k; tol, keywords...) -> plan
    plan(q, k, v; tol, keywords...) -> plan
    plan(q, k, v; budget, keywords...) -> plan

Decide for each head how to compute [`attention`](@ref) at the least cost such that the estimated error of its output is at most `tol`:

    norm(o~ - o) / norm(o)

with o~ what is computed and o the exact output of the head. With `budget` in place of `tol`, decide such that the estimated error is least.
The error is that of the values `v`; without them, of random ones, independent and of variance 1. It is an estimate from sampled rows,
not a bound. A head that nothing cheaper serves is computed exactly, and the report says why.

# Keywords

- `tol`: between 0 and 1; 0 makes every head exact.
- `budget`: up to 1 the share of the visible pairs whose weights may be computed; above 1 the keys per query.
- `estimate`: what the estimate rests on. `:screened` looks at every pair in low precision, so that a key that a single query needs cannot
  hide; `:sampled` finds such a key where the mean of its group shows it. Unless given, `:screened` up to where that costs too much.
- `parts`: what may be used, all unless given; a tuple or vector of `:heavy` (single keys for all queries), `:selection` (groups of keys
  for each block of queries), `:centroids` (the mean of each group that was not selected), `:conv` (a conv basis for far keys),
  `:screening` (all pairs in low precision). A window of last keys and exact attention are always there.
- `strict_causal=false`: with `causal`, what a query gets depends on earlier tokens only; appending tokens changes no bit of earlier outputs.
- `seed=0`: of what is sampled. The same seed gives the same plan, for any number of threads.
- `method`: `:auto`, as unless given.
- `causal`, `causal_offset`, `scale`, `lag_bias`, `lag_min`, `key_ranges`, `key_offset`, `check_finite`, `threads`, `context` and `progress`
  as in [`attention`](@ref).

The report has for each head, those of the batch's first element first, `:parts` (its window and parts, or "exact", or "screened"),
`:error`, `:error_low` and `:error_high` (a 95 % interval), `:fallback` (why it is exact), `:pairs_exact`, `:pairs_low` and
`:pairs_screened` (how many pairs are computed in full, in low precision, or only looked at), `:window`, `:heavy_columns`,
`:selected_keys`, `:conv_bases` and `:head_seconds_plan`; and for all `:pairs` (those that are visible), `:estimate`, `:sampled_rows` and
`:seed`.

Source: docs/adaptive.md.

```jldoctest
julia> q, k, v = (fill_uniform!(zeros(Float32, 16, 500), seed; low=-1) for seed in 1:3);

julia> p = plan(q, k, v; tol=0.1, causal=true);

julia> apply(p, v) == attention(q, k, v; tol=0.1, causal=true)
true

julia> p.report[:error] <= 0.1
true
```
"""
function plan(
    q::AbstractArray{T,N}, k::AbstractArray, v::Union{AbstractArray,Nothing}=nothing;
    lag_bias=nothing, key_ranges=nothing, context=nothing, threads=nothing, progress=nothing, options...,
) where {T,N}
    inputs = Named["q" => q, "k" => k, "v" => v, "lag_bias" => lag_bias, "key_ranges" => range_table(key_ranges)]
    handle, report = make_plan(inputs, Settings(context, threads, progress, options, true))
    return Plan{T,N}(handle, size(q), size(k), report)
end

function make_plan(inputs, settings)
    made = Ref{Handle{subquad_plan}}()
    report = with_call(settings) do context, options, report
        handle = Ref(Ptr{subquad_plan}(C_NULL))
        status = GC.@preserve inputs subquad_plan_create(context, options, c_arguments(inputs)..., handle, report)
        check(status, inputs, Named[], settings.message_names)
        made[] = Handle(handle[], "plan")
    end
    return made[], report
end

Base.show(io::IO, plan::Plan{T}) where {T} = print(io, "Plan{$T} of ", heads_text(plan))

function heads_text(plan)
    n_q, heads = plan.q_size[2], plan.q_size[3:end]
    each = isempty(heads) ? "1 head" : join(heads, "×") * " heads"
    return "$each, $n_q queries and $(plan.k_size[2]) keys; $(plan.report[:estimate])"
end

function Base.show(io::IO, ::MIME"text/plain", plan::Plan)
    show(io, plan)
    rows = table_rows(plan)
    room = get(io, :limit, false) ? max(displaysize(io)[1] - 6, 2) : length(rows)
    left_out = length(rows) > room
    shown = left_out ? [rows[1:room-1]; [("⋮", "", "", "")]] : rows
    columns = [("head", "parts", "estimated error, 95 % interval", "why exact"); shown]
    widths = [maximum(row -> length(row[i]), columns) for i in 1:3]
    for (head, parts, error, fallback) in columns
        line = "  " * lpad(head, widths[1]) * "  " * rpad(parts, widths[2]) * "  " * rpad(error, widths[3]) * "  " * fallback
        print(io, '\n', rstrip(line))
    end
end

"""What the table of a plan's heads says of each."""
function table_rows(plan)
    # A plan without heads reports nothing of them.
    each(key) = vcat(get(plan.report, key, []))
    digits(x) = iszero(x) ? "0" : string(round(x; sigdigits=2))
    places = vec([join(Tuple(I), ", ") for I in CartesianIndices(plan.q_size[3:end])])
    return map(places, each(:parts), each(:error), each(:error_low), each(:error_high), each(:fallback)) do place, parts, e, low, high, why
        (isempty(place) ? "1" : place, parts, parts == "exact" ? digits(e) : "$(digits(e)), $(digits(low)) to $(digits(high))", why)
    end
end
