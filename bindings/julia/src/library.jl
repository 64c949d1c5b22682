# The shared library: where it is looked for, and whether it is the one that this package was written for.

using Libdl

const LIBRARY = Ref{Ptr{Cvoid}}(C_NULL)

"""Address of a function of the loaded library."""
_symbol(name::Symbol) = dlsym(LIBRARY[], name)

"""
What to try to open, each with what it is: the file that `SUBQUAD_LIBRARY` names and nothing else, or an installed copy, then a build tree
around us.
"""
function library_candidates()
    named = get(ENV, "SUBQUAD_LIBRARY", "")
    isempty(named) || return ["the file that SUBQUAD_LIBRARY names" => named]
    checkout = dirname(dirname(dirname(@__DIR__)))
    return [
        "an installed copy, where the system's loader looks" => "libsubquad",
        "the build tree of this checkout" => joinpath(checkout, "build", "release", "libsubquad.$dlext"),
    ]
end

function open_library(candidates=library_candidates())
    failures = String[]
    for (what, file) in candidates
        try
            return dlopen(file)
        catch exception
            push!(failures, "\n  $what: $file\n    " * sprint(showerror, exception))
        end
    end
    advice = "Build the library or install it (docs/install.md), or set SUBQUAD_LIBRARY to the path of its file before Subquad is loaded."
    error("the subquad library could not be opened. Tried:", failures..., "\n$advice")
end

"""
Whether a library of version `found` serves a package written for `wanted`, both as SUBQUAD_VERSION_NUMBER: it is no older, and has the
same major version or, while that is 0, the same minor version too.
"""
function serves(found, wanted)
    series(version) = version < 1_000_000 ? version ÷ 1_000 : 1_000 + version ÷ 1_000_000
    return found >= wanted && series(found) == series(wanted)
end

"""Refuse a library that this package was not written for: another version, or another value of a constant."""
function check_library()
    if dlsym(LIBRARY[], :subquad_version; throw_error=false) === nothing
        error(dlpath(LIBRARY[]), " is not the subquad library: it has no function subquad_version")
    end
    found, wanted = subquad_version(), SUBQUAD_VERSION_NUMBER
    if !serves(found, wanted)
        error(
            "the subquad library ", dlpath(LIBRARY[]), " has version ", unsafe_string(subquad_version_string()),
            "; this package needs ", SUBQUAD_VERSION_STRING, " or a later release of the same series",
        )
    end
    for (name, value) in CONSTANTS
        startswith(name, "SUBQUAD_VERSION_") && continue
        other = Ref{Int64}()
        if subquad_constant(name, other) != SUBQUAD_OK
            error("the subquad library ", dlpath(LIBRARY[]), " does not know ", name)
        elseif other[] != value
            error("the subquad library ", dlpath(LIBRARY[]), " has ", name, " = ", other[], "; this package has ", value)
        end
    end
end
