# Matrices in blocks: what is asked for, what may be given, and what comes of exceptions.

x = uniform(Float64, 7, 6, 500)

@testset "what is asked for" begin
    asked = UnitRange{Int}[]
    on_threads = Int[]
    function give(range)
        push!(asked, range)
        push!(on_threads, Threads.threadid())
        return x[:, range]
    end
    blocks = column_blocks(give, 6, 500, Float64; block_columns=64)
    @test size(blocks) == (6, 500) && eltype(blocks) == Float64
    for call in (() -> leverage_scores(blocks), () -> sparsify(blocks; columns=40), () -> sparsify(blocks; method=:gram))
        empty!(asked)
        call()
        # All columns in order, each time it goes through them, twice at most.
        passes = count(range -> first(range) == 1, asked)
        @test 1 <= passes <= 2 && reduce(vcat, asked) == repeat(1:500, passes) && all(range -> length(range) <= 64, asked)
    end
    empty!(asked)
    sparsify(blocks; method=:deterministic, columns=20)
    @test all(range -> 1 <= first(range) <= last(range) <= 500 && length(range) <= 64, asked)
    @test all(==(Threads.threadid()), on_threads)
    # What the library chooses is about 8 MiB.
    empty!(asked)
    wide = column_blocks(range -> (push!(asked, range); ones(2, length(range))), 2, 3_000_000, Float64)
    leverage_scores(wide)
    @test 1 < length(asked) && maximum(length, asked) * 16 <= 2^24
end

@testset "what may be given: $(typeof(give(1:3)))" for give in (
    range -> view(x, :, range), range -> x'[range, :]', range -> sparse(x[:, range]), range -> Any[x[i, j] for i in 1:6, j in range],
    range -> big.(x[:, range]),
)
    @test leverage_scores(column_blocks(give, 6, 500, Float64); method=:exact) == leverage_scores(as_blocks(nothing)(x); method=:exact)
end

@testset "it is converted" begin
    whole = floor.(9 .* x)
    counts = column_blocks(range -> Int8.(whole[:, range]), 6, 500, Float32; block_columns=100)
    @test sparsify(counts; columns=30).y == sparsify(as_blocks(100)(Float32.(whole)); columns=30).y
    @test_throws InexactError leverage_scores(column_blocks(range -> x[:, range] .+ 1im, 6, 500, Float64))
end

struct Peculiar <: Exception
    range::UnitRange{Int}
end

@testset "exceptions" begin
    calls = (
        m -> leverage_scores(m), m -> sparsify(m; columns=40), m -> sparsify(m; method=:deterministic, columns=40),
        m -> sparsify(m; method=:gram), m -> sparsify_pair(m, x; columns=40), m -> sparsify_pair(x, m; columns=40),
        m -> softmax_error(sparsify(x; columns=40), m),
    )
    for call in calls, at in (1, 3, 8)
        count, thrown = 0, nothing
        give(range) = (count += 1) == at ? throw((thrown = Peculiar(range); thrown)) : x[:, range]
        blocks = column_blocks(give, 6, 500, Float64; block_columns=100)
        error = try call(blocks); nothing catch exception exception end
        # softmax_error goes through the columns once only, and may end before that.
        @test count < at ? error === nothing : error === thrown
        # The very matrix serves the next call.
        @test count < at || call(blocks) !== nothing
    end
    # Other errors of this package pass as they are, too; so does Ctrl-C.
    for thrown in (SubquadError(Subquad.SUBQUAD_ERR_SHAPE, "sparsify_eps of my own"), InterruptException(), ErrorException("enough"))
        blocks = column_blocks(_ -> throw(thrown), 6, 500, Float64)
        @test (try sparsify(blocks; columns=40) catch exception exception end) === thrown
    end
    # A progress function that throws wins over a good block.
    stop = ErrorException("stop")
    slow = column_blocks(range -> (sleep(0.03); x[:, range]), 6, 500, Float64; block_columns=10)
    @test (try sparsify(slow; columns=40, progress=_ -> throw(stop)) catch exception exception end) === stop
end

@testset "a function that computes, and switches tasks" begin
    v, q = ones(2, 6), x[:, 1:6]
    expected = attention(q, q, v)
    function give(range)
        yield()
        return attention(q, q, v) == expected ? x[:, range] : error("wrong")
    end
    blocks = column_blocks(give, 6, 500, Float64; block_columns=50)
    @test leverage_scores(blocks; method=:exact) == leverage_scores(as_blocks(50)(x); method=:exact)
    context = Context()
    busy = column_blocks(range -> (leverage_scores(x; context=context); x[:, range]), 6, 500, Float64)
    @test refused("ERR_BUSY", ["context"], () -> sparsify(busy; columns=40, context=context))
    close(context)
end

@testset "refused" begin
    give(f) = () -> leverage_scores(column_blocks(f, 6, 500, Float64; block_columns=100))
    @test refused("ERR_SHAPE", ["x", r"columns 1:\d+", r"5×\d+", r"6×\d+"], give(range -> x[1:5, range]))
    @test refused("ERR_SHAPE", ["x", r"6×\d+"], give(range -> x[:, range[1:end-1]]))
    @test refused("ERR_SHAPE", ["x", "size 6"], give(range -> x[:, 1]))
    @test refused("ERR_SHAPE", ["x", "Nothing"], give(_ -> nothing))
    @test refused("ERR_SHAPE", ["rows = -1"], () -> column_blocks(identity, -1, 500, Float64))
    @test refused("ERR_SHAPE", ["columns = -500"], () -> column_blocks(identity, 6, -500, Float64))
    @test refused("ERR_DTYPE", ["Int64"], () -> column_blocks(identity, 6, 500, Int64))
    @test refused("ERR_DTYPE", ["3"], () -> column_blocks(identity, 6, 500, 3))
    @test refused("ERR_TYPE", ["rows = 1.5"], () -> column_blocks(identity, 1.5, 500, Float64))
    @test refused("ERR_VALUE", ["block_columns", "-1"], () -> leverage_scores(column_blocks(identity, 6, 500, Float64; block_columns=-1)))
    for f in (nothing, 3, () -> x)
        @test refused("ERR_TYPE", ["f must", string(typeof(f))], () -> column_blocks(f, 6, 500, Float64))
    end
    @test_throws MethodError leverage_scores(column_blocks(range -> x[:, range] + nothing, 6, 500, Float64))
end
