# What conv bases do to arrays that have one column per position, as those of attention have.

"""
    apply(basis, v; keywords...) -> o
    apply(basis, v; return_lse=true, return_report=true, keywords...) -> o, lse, report

Causal softmax attention whose logits are the matrix H of `basis`, in time close to linear in n:

    o[:,i] = sum_j exp(H[i,j]) v[:,j] / sum_j exp(H[i,j]),    lse[i] = log(sum_j exp(H[i,j])),    j <= i

`v` is d_v × n [× heads_v [× batch]], with as many heads as the basis or a divisor of them; `o` has the heads of the basis.
It errs by at most 1e-4 in `Float32` for logits in -80 .. 80, and 1e-9 in `Float64` for -600 .. 600, times the largest value; where the
logits span little, by the order of round-off.

# Keywords

- `strict_causal=false`: `o[:,i]` does not change by a bit when later values do. Without it, it depends on later values that share
  its block of rows by no more than their round-off.
- `check_finite`, `context`, `threads`, `progress`, `return_lse`, `return_report` as in [`attention`](@ref). The report has `:block`,
  `:layers`, `:direct_rows` and `:pairs`.

```jldoctest
julia> H = ConvBasis(Float64.(0:-1:-5)); v = fill_uniform!(zeros(2, 6), 1);

julia> q = zeros(1, 6);

julia> apply(H, v) ≈ attention(q, q, v; causal=true, lag_bias=reshape(Float64.(0:-1:-5), 6, 1))
true
```
"""
function apply(basis::ConvBasis, v::AbstractArray; return_lse=false, return_report=false, keywords...)
    refuse_lse(keywords)
    o = result_for(basis, v)
    lse = return_lse ? similar(o, Base.tail(size(o))) : nothing
    result = apply!(o, basis, v; lse=lse, return_report=return_report, keywords...)
    return unwrapped(o, lse, return_report ? last(result) : nothing)
end

"""An array for a result: the channels of `x`, one column per position, heads and batch of the basis."""
result_for(basis::ConvBasis{T}, x) where {T} = Array{T}(undef, size(x, 1), Base.tail(size(basis))...)

"""
    apply!(o, basis, v; lse=nothing, keywords...) -> o
    apply!(o, basis, v; return_report=true, keywords...) -> o, report

[`apply`](@ref) with its results written to `o` and, where it is given, `lse`.

```jldoctest
julia> H = ConvBasis(ones(5)); v = fill_uniform!(zeros(2, 5), 1); o = zeros(2, 5);

julia> apply!(o, H, v) == apply(H, v)
true
```
"""
function apply!(o::AbstractArray, basis::ConvBasis, v::AbstractArray; lse=nothing, keywords...)
    report = on_basis(subquad_conv_basis_apply, basis, Named["v" => v], Named["o" => o, "lse" => lse]; keywords...)
    return unwrapped(o, report)
end

"""
    apply_transposed(basis, x; keywords...) -> y
    apply_transposed!(y, basis, x; keywords...) -> y

The transpose of [`apply`](@ref), so that `dot(x, apply(basis, v)) ≈ dot(apply_transposed(basis, x), v)`:

    y[:,j] = sum_i P[i,j] x[:,i],    P[i,j] = exp(H[i,j]) / sum_l exp(H[i,l]),    i >= j

`x` and `y` have the heads of the basis: where values were shared by heads, add the heads of `y` up. The error is at most that of
[`apply`](@ref) times the sum over blocks of rows of the largest `|x|` in each.

Keywords: `check_finite`; `context`, `threads`, `progress`, `return_report` as in [`attention`](@ref).

```jldoctest
julia> apply_transposed(ConvBasis(zeros(4)), ones(1, 4)) ≈ [1/1+1/2+1/3+1/4  1/2+1/3+1/4  1/3+1/4  1/4]
true
```
"""
apply_transposed(basis::ConvBasis, x::AbstractArray; keywords...) = apply_transposed!(result_for(basis, x), basis, x; keywords...)

@doc (@doc apply_transposed)
function apply_transposed!(y::AbstractArray, basis::ConvBasis, x::AbstractArray; keywords...)
    return unwrapped(y, on_basis(subquad_conv_basis_apply_transposed, basis, Named["x" => x], Named["y" => y]; keywords...))
end

"""
    multiply(basis, x; keywords...) -> y
    multiply!(y, basis, x; keywords...) -> y

    y[:,i] = sum_j H[i,j] x[:,j],    j <= i

for every head: `x` and `y` are c × n [× heads [× batch]]. For one head it is `x * H'`, with keywords: `strict_causal` as in
[`apply`](@ref), `check_finite`; `context`, `threads`, `progress`, `return_report` as in [`attention`](@ref).

Its rounding errors are relative to the largest `|H| |x|` of the rows and lags that share a transform, not to each entry of `y`.

```jldoctest
julia> H = ConvBasis(fill_uniform!(zeros(5), 1)); x = fill_uniform!(zeros(2, 5), 2);

julia> multiply(H, x) ≈ x * Matrix(H)'
true
```
"""
multiply(basis::ConvBasis, x::AbstractArray; keywords...) = multiply!(result_for(basis, x), basis, x; keywords...)

@doc (@doc multiply)
function multiply!(y::AbstractArray, basis::ConvBasis, x::AbstractArray; keywords...)
    return unwrapped(y, on_basis(subquad_conv_basis_multiply, basis, Named["x" => x], Named["y" => y]; keywords...))
end

"""
    multiply_transposed(basis, x; keywords...) -> y
    multiply_transposed!(y, basis, x; keywords...) -> y

    y[:,j] = sum_i H[i,j] x[:,i],    i >= j

Everything else as in [`multiply`](@ref), except that `strict_causal` means nothing here. For one head it is `x * H`.

```jldoctest
julia> H = ConvBasis(fill_uniform!(zeros(5), 1)); x = fill_uniform!(zeros(2, 5), 2);

julia> multiply_transposed(H, x) ≈ x * Matrix(H)
true
```
"""
multiply_transposed(basis::ConvBasis, x::AbstractArray; keywords...) = multiply_transposed!(result_for(basis, x), basis, x; keywords...)

@doc (@doc multiply_transposed)
function multiply_transposed!(y::AbstractArray, basis::ConvBasis, x::AbstractArray; keywords...)
    return unwrapped(y, on_basis(subquad_conv_basis_multiply_transposed, basis, Named["x" => x], Named["y" => y]; keywords...))
end

"""Call `f` on a basis, inputs and outputs, each as `view` shows it to C; the report, or `nothing` where none is wanted."""
function on_basis(
    f, basis, inputs, outputs, view=c_view; context=nothing, threads=nothing, progress=nothing, return_report=false, options...
)
    settings = Settings(context, threads, progress, options, return_report)
    return call_on_handle(f, basis.handle, Named["basis" => basis], inputs, outputs, view, settings)
end
