# Tests that need a Julia of their own.

using Subquad

const PACKAGE = dirname(dirname(pathof(Subquad)))

julia_command(code, project=PACKAGE) = `$(Base.julia_cmd()) --startup-file=no --project=$project -e $code`

"""Run `code` in another Julia of `project` with `settings` in its environment; its exit code and all that it printed."""
function other_julia(code, settings...; project=PACKAGE)
    output = IOBuffer()
    command = setenv(ignorestatus(julia_command(code, project)), merge(Dict(ENV), Dict{String,String}(settings...)))
    child = run(pipeline(command; stdout=output, stderr=output))
    return child.exitcode, String(take!(output))
end
