# What a refused call throws.

"""The SubquadError that `call` throws, `nothing` where it throws none."""
refusal(call) = try call(); nothing catch exception exception isa SubquadError ? exception : rethrow() end

"""Whether `call` is refused with the code `name` and a message that has all `words`."""
function refused(name, words, call)
    error = refusal(call)
    return error !== nothing && error.name == name && all(word -> occursin(word, error.message), words)
end
