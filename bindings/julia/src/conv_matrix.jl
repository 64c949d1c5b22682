# A basis of one head as a matrix of LinearAlgebra. All products come down to mul! with five arguments.

const OneHead{T} = ConvBasis{T,2}

basis_of(a::OneHead) = a
basis_of(a::Union{Adjoint,Transpose}) = parent(a)
from_left(::OneHead) = subquad_conv_basis_multiply
from_left(::Union{Adjoint,Transpose}) = subquad_conv_basis_multiply_transposed
from_right(::OneHead) = subquad_conv_basis_multiply_transposed
from_right(::Union{Adjoint,Transpose}) = subquad_conv_basis_multiply

"""y = α f(basis, x) + β y, where `view` shows both arrays to C as matrices whose rows f goes through."""
function accumulate_product!(y, f, basis, x, view, α, β)
    write(product) = on_basis(f, basis, Named["x" => x], Named["y" => product], view)
    if isone(α) && iszero(β)
        write(y)
        return y
    end
    product = Array{eltype(y)}(undef, size(y))
    write(product)
    # What y held is not looked at where β is 0: it may be NaN.
    return iszero(β) ? (y .= α .* product) : (y .= α .* product .+ β .* y)
end

# LinearAlgebra has methods for transposes on either side, so none of these may be left out.
const OPERATORS = (:(OneHead), :(Adjoint{<:Any,<:OneHead}), :(Transpose{<:Any,<:OneHead}))
const MATRICES = (:(AbstractMatrix), :(Adjoint{<:Any,<:AbstractVecOrMat}), :(Transpose{<:Any,<:AbstractVecOrMat}))

# Matrices without strides that LinearAlgebra has methods for. Its unions differ from version to version, and there has to be a method
# for each. Next to few bands the basis goes dense, which costs less than its transforms do; a triangle goes dense itself.
const BANDED = (
    :Diagonal, :(Union{Bidiagonal,SymTridiagonal,Tridiagonal}), :(Union{Bidiagonal,Diagonal,SymTridiagonal,Tridiagonal}),
)
const TRIANGULAR = (:AbstractTriangular, :(Adjoint{<:Any,<:AbstractTriangular}), :(Transpose{<:Any,<:AbstractTriangular}))

for H in OPERATORS
    @eval function LinearAlgebra.mul!(y::AbstractVector, a::$H, x::AbstractVector, α::Number, β::Number)
        return accumulate_product!(y, from_left(a), basis_of(a), x, matrix_view, α, β)
    end
    for X in MATRICES
        @eval function LinearAlgebra.mul!(y::AbstractMatrix, a::$H, x::$X, α::Number, β::Number)
            return accumulate_product!(y, from_left(a), basis_of(a), x, matrix_view, α, β)
        end
        @eval function LinearAlgebra.mul!(y::AbstractMatrix, x::$X, a::$H, α::Number, β::Number)
            return accumulate_product!(y, from_right(a), basis_of(a), x, c_view, α, β)
        end
    end
    for X in BANDED
        @eval LinearAlgebra.mul!(y::AbstractMatrix, a::$H, x::$X, α::Number, β::Number) = mul!(y, Matrix(a), x, α, β)
        @eval LinearAlgebra.mul!(y::AbstractMatrix, x::$X, a::$H, α::Number, β::Number) = mul!(y, x, Matrix(a), α, β)
    end
    for X in TRIANGULAR
        @eval LinearAlgebra.mul!(y::AbstractMatrix, a::$H, x::$X, α::Number, β::Number) = mul!(y, a, Matrix(x), α, β)
        @eval LinearAlgebra.mul!(y::AbstractMatrix, x::$X, a::$H, α::Number, β::Number) = mul!(y, Matrix(x), a, α, β)
    end
    for G in OPERATORS
        # The product is dense, so one factor may as well be.
        @eval LinearAlgebra.mul!(y::AbstractMatrix, a::$H, b::$G, α::Number, β::Number) = mul!(y, a, Matrix(b), α, β)
    end
end
