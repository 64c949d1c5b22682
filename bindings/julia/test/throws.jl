# The first thing to know of a Julia on a strange system: that an exception can be thrown and caught.

@test try
    error("thrown on purpose")
catch exception
    exception isa ErrorException
end

include("children.jl")
include("refusals.jl")
include("oracle.jl")
include("gradient_oracle.jl")
include("conv_oracle.jl")
include("sparsify_oracle.jl")
include("plan_oracle.jl")

@test try
    attention(zeros(3, 2), zeros(4, 2), zeros(1, 2))
catch exception
    exception isa SubquadError
end
