# Ctrl-C during a long call, in a Julia of its own: the call ends with InterruptException within 0.2 s, and the next call works.

const INTERRUPTED = """
using Subquad
x = fill_uniform!(zeros(64, 40_000), 1)
expected = attention(x[:, 1:50], x[:, 1:50], x[:, 1:50])
# Everything that the catch needs is compiled before it is timed.
ready() = (println("ready"); flush(stdout))
finish(exception) = (println(typeof(exception), " ", time()); flush(stdout))
finish(InterruptException())
function once(started)
    try
        attention(x, x, x; progress=fraction -> started[] || (started[] = true; ready()))
    catch exception
        finish(exception)
    end
end
try attention(x, x, x; progress=_ -> throw(InterruptException())) catch exception finish(exception) end
for _ in 1:3
    once(Ref(false))
end
attention(x[:, 1:50], x[:, 1:50], x[:, 1:50]) == expected && println("fine")
"""

@testset "Ctrl-C" begin
    child = open(julia_command(INTERRUPTED))
    delays = Float64[]
    for line in eachline(child)
        if line == "ready"
            # Not at the very moment of a callback.
            sleep(0.01 + 0.03 * length(delays))
            push!(delays, -time())
            kill(child, Base.SIGINT)
        elseif startswith(line, "InterruptException ") && !isempty(delays) && delays[end] < 0
            delays[end] += parse(Float64, split(line)[2])
        elseif line == "fine"
            push!(delays, Inf)
        end
    end
    wait(child)
    @test success(child)
    @test length(delays) == 4 && delays[4] == Inf
    @test all(0 .<= delays[1:end-1] .<= 0.2)
end
