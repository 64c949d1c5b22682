# Keyword arguments as the library's options. Names, types and bounds are the library's own: a keyword is an option's name.

# Shorter names for what only the functions on conv bases take.
const SHORT_NAMES = Dict(:window => :conv_window, :delta => :conv_delta, :eps => :conv_eps)

"""Call `f` with an options handle that holds `settings`; a setting that is `nothing` stays unset."""
function with_options(f, settings)
    handle = Ref(Ptr{subquad_options}(C_NULL))
    check(subquad_options_create(handle))
    try
        for (name, value) in settings
            value === nothing && continue
            long = get(SHORT_NAMES, name, name)
            if long != name && any(other -> other[1] == long && other[2] !== nothing, settings)
                throw(SubquadError(SUBQUAD_ERR_CONFLICT, "$name and $long are two names of one option; both are given"))
            end
            set_option(handle[], long, value)
        end
        return f(handle[])
    finally
        subquad_options_destroy(handle[])
    end
end

function set_option(handle, name, value)
    id = constant("SUBQUAD_OPTION_", name, "option", SUBQUAD_ERR_UNKNOWN)
    type = Ref{Int32}()
    check(subquad_option_describe(id, C_NULL, type, C_NULL))
    if type[] == SUBQUAD_TYPE_FLOAT
        check(subquad_options_set_float(handle, id, number(Float64, Real, name, value)))
    elseif value isa Union{Symbol,AbstractString}
        # The values of an option are named after it, except that what is chosen for the backward call is a method.
        values = string(name) == "backward" ? "METHOD" : uppercase(string(name))
        chosen = constant("SUBQUAD_$(values)_", value, string(name), SUBQUAD_ERR_VALUE)
        check(subquad_options_set_int(handle, id, chosen))
    else
        check(subquad_options_set_int(handle, id, number(Int64, Integer, name, value)))
    end
end

"""Value of the constant `prefix` + `name`; where there is none an error, with `code`, that lists those there are."""
function constant(prefix, name, what, code)
    found = get(CONSTANTS, prefix * uppercase(string(name)), nothing)
    found === nothing || return found
    names = sort([lowercase(key[length(prefix)+1:end]) for key in keys(CONSTANTS) if startswith(key, prefix)])
    throw(SubquadError(code, "$what $name is unknown; known are: " * join(names, ", ")))
end

"""`value` as a `T`, which only a `Kind` of number can become."""
function number(T, Kind, name, value)
    value isa Kind || throw(SubquadError(SUBQUAD_ERR_TYPE, "$name = $(repr(value)) must be a number of type $Kind"))
    value isa Integer && T <: Integer && !(typemin(T) <= value <= typemax(T)) &&
        throw(SubquadError(SUBQUAD_ERR_VALUE, "$name = $value does not fit into $T"))
    return T(value)
end
