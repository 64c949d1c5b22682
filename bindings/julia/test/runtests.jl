# Runs every test file and ends with one line, "N passed, N failed".

using Test

const FILES = [
    "library.jl", "exact.jl", "arrays.jl", "refused.jl", "backward.jl", "merge.jl", "contexts.jl", "interrupts.jl", "conv_basis.jl",
    "conv_products.jl", "conv_apply.jl", "conv_recover.jl", "training.jl", "leverage.jl", "sparsify.jl", "sparsifiers.jl",
    "column_blocks.jl", "plans.jl", "plan_use.jl", "plan_backward.jl", "pullbacks.jl", "conformance.jl", "examples.jl",
    "smoother.jl", "representatives.jl", "adaptive.jl", "gaussian_process.jl",
]

# The tables of the conformance tests and the examples are in the checkout; a package that was installed by itself is without them.
const IN_CHECKOUT = ["conformance.jl", "smoother.jl", "representatives.jl", "adaptive.jl", "gaussian_process.jl"]
isfile(joinpath(@__DIR__, "..", "..", "..", "capi", "subquad.h")) || filter!(file -> !(file in IN_CHECKOUT), FILES)

# Words given as arguments choose among them: Pkg.test(test_args=["merge"]). Throwing comes first, and always.
const CHOSEN = ["throws.jl"; filter(file -> isempty(ARGS) || any(word -> occursin(word, file), ARGS), FILES)]

passed(set::Test.DefaultTestSet) = set.n_passed + sum(Int[passed(inner) for inner in set.results if inner isa Test.DefaultTestSet])

function run_files()
    try
        set = @testset "Subquad" begin
            for file in CHOSEN
                @testset "$file" begin
                    include(joinpath(@__DIR__, file))
                end
            end
        end
        return passed(set), 0
    catch exception
        exception isa Test.TestSetException || rethrow()
        return exception.pass, exception.fail + exception.error + exception.broken
    end
end

let (good, bad) = run_files()
    println("$good passed, $bad failed")
    exit(bad == 0 && good > 0 ? 0 : 1)
end
