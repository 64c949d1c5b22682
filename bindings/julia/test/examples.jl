# The examples in the docstrings, in README.md and in docs/julia.md: what stands after each `julia> ` prompt is run, and shown as written.

using REPL    # since Julia 1.11 docstrings are looked up with it

"""(source, expected text) of each prompt in a block."""
function prompts(block)
    found = Tuple{String,String}[]
    for piece in split(block, "julia> "; keepempty=false)
        lines = split(strip(piece, '\n'), '\n')
        # The lines that follow a prompt belong to it while they are indented as its continuation.
        last_line = something(findfirst(i -> i == length(lines) || !startswith(lines[i+1], "       "), 1:length(lines)))
        push!(found, (join(lines[1:last_line], '\n'), strip(join(lines[last_line+1:end], '\n'))))
    end
    return found
end

blocks(text) = [String(found[1]) for found in eachmatch(r"```(?:jldoctest|julia)\n(.*?)\n```"s, text)]

"""Run a block's prompts in a module of its own; what it should have shown, and what it did."""
function run_block(block)
    place = Module(:Example)
    Core.eval(place, :(using Subquad))
    return map(prompts(block)) do (source, expected)
        value = include_string(place, source)
        silent = value === nothing || occursin(r";\s*(#.*)?$", source)
        shown = silent ? "" : sprint(show, MIME("text/plain"), value)
        expected, shown
    end
end

# Names that are used with the module's.
const PUBLIC = [:info, :starts, :kernels, :heads, :pullback, :export_wisdom, :import_wisdom]

exported = [(string(name), string(Base.Docs.doc(Base.Docs.Binding(Subquad, name)))) for name in [names(Subquad); PUBLIC]]
@testset "$name has an example" for (name, text) in exported
    @test !isempty(blocks(text))
end

readme = ("README.md", read(joinpath(PACKAGE, "README.md"), String))
@test !isempty(blocks(readme[2]))

# Only in the checkout.
page = joinpath(PACKAGE, "..", "..", "docs", "julia.md")
pages = isfile(page) ? [readme, ("docs/julia.md", read(page, String))] : [readme]

@testset "$name" for (name, text) in [exported; pages], block in blocks(text), (expected, shown) in run_block(block)
    @test shown == expected
end
