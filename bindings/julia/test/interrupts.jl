# Ctrl-C during a long call, in a Julia of its own: the call ends with InterruptException within 0.2 s, and the next call works.

const INTERRUPTED = """
using Subquad
x = fill_uniform!(zeros(64, 40_000), 1)
expected = attention(x[:, 1:50], x[:, 1:50], x[:, 1:50])
H, y = ConvBasis(zeros(20_000)), x[:, 1:20_000]
forward(progress) = attention(x, x, x; progress=progress)
backward(progress) = attention_backward(H, y, y, y, y; backward=:conv_basis, progress=progress)
selection(progress) = sparsify(x; method=:deterministic, columns=1000, progress=progress)
planning(progress) = plan(x, x; tol=0.1, progress=progress)
G, w = ConvBasis(zeros(300_000)), zeros(32, 300_000)
products(progress) = multiply(G, w; threads=1, progress=progress)
# Most of its time is that of a function here.
z = column_blocks(range -> (sleep(1); x[:, range]), 64, 40_000, Float64; block_columns=100)
reading(progress) = sparsify(z; columns=1000, progress=progress)
# Everything that the catch needs is compiled before it is timed.
ready() = (println("ready"); flush(stdout))
finish(exception) = (println(typeof(exception), " ", time()); flush(stdout))
finish(InterruptException())
function once(call, started)
    try
        call(fraction -> started[] || (started[] = true; ready()))
    catch exception
        finish(exception)
    end
end
for call in (forward, backward, selection, planning, products, reading)
    try call(_ -> throw(InterruptException())) catch exception finish(exception) end
end
for call in (
    forward, forward, backward, backward, selection, selection, planning, planning, products, products, reading, reading,
)
    once(call, Ref(false))
end
close(H)
attention(x[:, 1:50], x[:, 1:50], x[:, 1:50]) == expected && println("fine")
"""

@testset "Ctrl-C" begin
    child = open(julia_command(INTERRUPTED))
    delays = Float64[]
    for line in eachline(child)
        if line == "ready"
            # Not at the very moment of a callback.
            sleep(0.01 + 0.03 * mod(length(delays), 4))
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
    @test length(delays) == 13 && delays[13] == Inf
    @test all(0 .<= delays[1:end-1] .<= 0.2)
end
