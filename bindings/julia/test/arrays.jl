# Arrays of every kind that lies in memory, in and out, without a copy; a clear refusal of the rest.

q, k, v = problem(Float64, 6, 6; d=4, d_v=4, heads=(2,))
expected = oracle(Float64, q, k, v; causal=true)
good(o) = within(o, expected.o, expected.o_budget)

# The same numbers lying in memory in other ways.
within_parent(x, sizes, places) = (hole = view(fill(NaN, sizes), places...); hole .= x; hole)
spread_out(x) = within_parent(x, 2 .* size(x), (1:2:2n for n in size(x)))
backwards(x) = view(reverse(reverse(Array(x); dims=1); dims=2), size(x, 1):-1:1, size(x, 2):-1:1, :)
turned(x) = PermutedDimsArray(permutedims(x, (3, 1, 2)), (2, 3, 1))
inside(x) = within_parent(x, size(x) .+ 2, (2:n+1 for n in size(x)))
both(x) = view(turned(x), :, :, :)
same(x) = x

@testset "$kind" for kind in (same, spread_out, backwards, turned, inside, both)
    @test kind(q) == q && !isempty(strides(kind(q)))
    @test good(attention(kind(q), kind(k), kind(v); causal=true))
    o = kind(zeros(size(v)))
    @test attention!(o, q, k, v; causal=true) === o
    @test good(o)
end

@testset "transposes, lse views, reinterpreted numbers" begin
    one = (x -> x[:, :, 1]).((q, k, v))
    expected = oracle(Float64, one...)
    rows = permutedims.(one)
    lse = view(zeros(3, 12), 2, 11:-2:1)
    for o in (attention(transpose.(rows)...), attention(adjoint.(rows)...), attention!(zeros(4, 6), one...; lse=lse))
        @test within(o, expected.o, expected.o_budget)
    end
    @test within(lse, expected.lse, expected.lse_budget)
    bytes = reinterpret(Float64, reinterpret(Int64, one[1]))
    @test attention(bytes, one[2], one[3]) == attention(one...)
end

@testset "no copy" begin
    # One key, so that the call is short; what Julia allocates must not grow with the arrays.
    parent = ones(4, 2, 50_000)
    queries, o = PermutedDimsArray(view(parent, :, 1, 50_000:-1:1), (1, 2)), zeros(4, 50_000)
    attention!(o, queries, ones(4, 1), ones(4, 1))
    @test (@allocated attention!(o, queries, ones(4, 1), ones(4, 1))) < sizeof(o) ÷ 20
end

@testset "refused: $(typeof(x))" for (x, name) in (
    (view(q[:, :, 1], [1, 2, 3, 4], :), "ERR_STRIDE"),
    (Diagonal(ones(4)), "ERR_STRIDE"),
    (rand(Float16, 4, 6), "ERR_DTYPE"),
    (rand(ComplexF64, 4, 6), "ERR_DTYPE"),
    (rand(Int, 4, 6), "ERR_DTYPE"),
    (rand(Int16, 4, 6), "ERR_DTYPE"),
    (Any[1.0 2.0], "ERR_DTYPE"),
    (trues(4, 6), "ERR_DTYPE"),
    (rand(Float32, 4, 6), "ERR_DTYPE"),
    (rand(4), "ERR_SHAPE"),
    (fill(1.0), "ERR_SHAPE"),
    (rand(4, 1, 1, 1, 1), "ERR_SHAPE"),
)
    for (place, call) in (("k", () -> attention(q[:, :, 1], x, v[:, :, 1])), ("q", () -> attention(x, k[:, :, 1], v[:, :, 1])))
        refusal = try call() catch exception exception end
        @test refusal isa SubquadError && refusal.name == name
        @test occursin(Regex("\\b$place\\b"), refusal.message)
    end
end

@test_throws MethodError attention(nothing, k, v)
