# Keyword arguments as the library's options. Names, types and bounds are the library's own: a keyword is an option's name.

# Shorter names for what only some functions take: those on conv bases, those that sparsify, and leverage scores.
const CONV_NAMES = Dict(:window => :conv_window, :delta => :conv_delta, :eps => :conv_eps)
const SPARSIFY_NAMES = Dict(name => Symbol(:sparsify_, name) for name in (:method, :columns, :eps, :delta, :certify))
const SCORE_NAMES = Dict(:method => :sparsify_scores, :delta => :sparsify_delta)

# What the values of an option are called where that is not the option's own name.
const VALUE_NAMES = Dict(
    :backward => "METHOD", :parts => "PART", :sparsify_method => "SPARSIFIER", :sparsify_certify => "CERTIFICATE",
    :sparsify_scores => "SCORE",
)

"""Call `f` with an options handle that holds `settings`; a setting that is `nothing` stays unset."""
function with_options(f, settings, short_names)
    handle = Ref(Ptr{subquad_options}(C_NULL))
    check(subquad_options_create(handle))
    try
        for (name, value) in settings
            value === nothing && continue
            long = get(short_names, name, name)
            if long != name && any(other -> other[1] == long && other[2] !== nothing, settings)
                throw(SubquadError(SUBQUAD_ERR_CONFLICT, "$name and $long are two names of one option; both are given"))
            end
            set_option(handle[], long, name, value)
        end
        return f(handle[])
    finally
        subquad_options_destroy(handle[])
    end
end

"""Set the option `option`, which the caller calls `name`."""
function set_option(handle, option, name, value)
    id = constant("SUBQUAD_OPTION_", option, "option", SUBQUAD_ERR_UNKNOWN)
    type = Ref{Int32}()
    check(subquad_option_describe(id, C_NULL, type, C_NULL))
    renamed = Dict(name => option)
    if type[] == SUBQUAD_TYPE_FLOAT
        check(subquad_options_set_float(handle, id, number(Float64, Real, name, value)), renamed)
    elseif option == :parts && value isa Union{Tuple,AbstractVector,AbstractSet}
        # Each part is a bit of the option.
        check(subquad_options_set_int(handle, id, reduce(|, [choice(option, name, part) for part in value]; init=Int64(0))), renamed)
    else
        check(subquad_options_set_int(handle, id, choice(option, name, value)), renamed)
    end
end

"""The integer that `value` means for the option `option`, which the caller calls `name`: that of a constant where it is a word."""
function choice(option, name, value)
    prefix = "SUBQUAD_$(get(VALUE_NAMES, option, uppercase(string(option))))_"
    if value isa Union{Symbol,AbstractString} && any(key -> startswith(key, prefix), keys(CONSTANTS))
        return constant(prefix, value, string(name), SUBQUAD_ERR_VALUE)
    end
    return number(Int64, Integer, name, value)
end

"""
Options with what they leave to be understood: who asks for an error or limits the work wants method auto, unless another is named.
"""
function with_method(options)
    given(name) = get(options, name, nothing) !== nothing
    return (given(:tol) || given(:budget)) && !given(:method) ? pairs((; options..., method=:auto)) : options
end

"""The method that `options` name, as the value of its constant; without one that is exact attention."""
method_of(options) = choice(:method, :method, something(get(options, :method, nothing), SUBQUAD_METHOD_EXACT))

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
