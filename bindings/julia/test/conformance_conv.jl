# How the rows of the conformance tables that speak of conv bases are carried out in Julia.

# C's rows are Julia's columns, but a matrix H is H[i,j] in both.
function rows_first(h::Laid)
    ndims(h) < 2 && return h
    swapped(numbers) = (numbers[2], numbers[1], numbers[3:end]...)
    return typeof(h)(h.buffer, h.offset, swapped(h.size), swapped(h.strides), h.data)
end

"""The basis that `row["conv_basis"]` describes."""
function basis_of(row, arrays, context)
    made = row["conv_basis"]
    settings = keywords(made, :context => context)
    basis = if made["made_by"] == "create"
        # C's starts count from 0.
        starts = haskey(arrays, "starts") ? Array(arrays["starts"]) .+ 1 : nothing
        ConvBasis(starts, get(arrays, "kernels", nothing); settings...)
    elseif made["made_by"] == "from_dense"
        ConvBasis(rows_first(arrays["h"]); settings...)
    else
        find = made["made_by"] == "recover" ? conv_basis_recover : conv_basis_fit
        find(arrays["q"], arrays["k"]; settings...)
    end
    return in_state(made, get(made, "exp", false) ? exp_transform(basis; context=context) : basis)
end

const INTO = Dict(
    "conv_basis_multiply" => multiply!, "conv_basis_multiply_transposed" => multiply_transposed!,
    "conv_basis_apply_transposed" => apply_transposed!,
)

"""The results by name of a row whose function is one of conv bases."""
function call_on_basis(row, arrays; context, report)
    basis = basis_of(row, arrays, context)
    given(name) = get(arrays, name, nothing)
    settings = keywords(row, :context => context, :return_report => report)
    wanted(value, name) = haskey(arrays, name) ? value() : nothing
    if row["function"] == "conv_basis_apply"
        result = apply!(given("o"), basis, given("v"); lse=given("lse"), settings...)
        return Dict{String,Any}("o" => given("o"), "lse" => given("lse"), "report" => report ? last(result) : nothing)
    elseif row["function"] == "conv_basis_backward"
        result = attention_backward(basis, (given(name) for name in ("q", "k", "v", "d_o"))...; settings...)
        return Dict{String,Any}(string(name) => value for (name, value) in pairs(result))
    elseif row["function"] == "conv_basis_get"
        # C has all four dimensions where Julia leaves out what the basis was made without.
        full(x, dimensions) = reshape(x, ntuple(i -> size(x, i), dimensions))
        starts() = full(Subquad.starts(basis) .- 1, 3)
        kernels() = full(Subquad.kernels(basis; keywords(row)...), 4)
        return Dict{String,Any}("starts_out" => wanted(starts, "starts_out"), "kernels_out" => wanted(kernels, "kernels_out"))
    elseif row["function"] == "conv_basis_to_dense"
        h = Array(basis)
        return Dict{String,Any}("h_out" => permutedims(h, (2, 1, 3:ndims(h)...)))
    end
    result = INTO[row["function"]](given("y"), basis, given("x"); settings...)
    return Dict{String,Any}("y" => given("y"), "report" => report ? last(result) : nothing)
end

function call_loss(row, arrays; context)
    inputs = (get(arrays, name, nothing) for name in ("a1", "a2", "a3", "x", "y", "e"))
    results = attention_loss(inputs...; keywords(row, :context => context, :return_gradient => haskey(arrays, "grad_x"))...)
    return Dict{String,Any}("loss" => [first(results)], "grad_x" => last(results))
end
