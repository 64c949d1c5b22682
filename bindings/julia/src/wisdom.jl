# What FFTW has learnt about this machine.

"""
    Subquad.export_wisdom()

What FFTW has learnt about this machine, as text to keep in a file for `Subquad.import_wisdom`. The library measures nothing; wisdom from
elsewhere makes the transforms of a fit faster, and may change its last bits.

```jldoctest
julia> Subquad.import_wisdom(Subquad.export_wisdom())
```
"""
function export_wisdom()
    text = Ref{Cstring}()
    # The text is this thread's: between the call and the copy nothing may switch tasks.
    check(subquad_wisdom_export(text))
    return unsafe_string(text[])
end

"""
    Subquad.import_wisdom(text)

Add what [`Subquad.export_wisdom`](@ref) gave. FFTW shares it with all that use it in this process. Throws ERR_VALUE when `text` is not
such wisdom.

```jldoctest
julia> try Subquad.import_wisdom("folklore") catch error; error.name end
"ERR_VALUE"
```
"""
import_wisdom(text::AbstractString) = check(subquad_wisdom_import(text))
