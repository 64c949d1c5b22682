# Contexts: the pool, threads, SIMD targets, limits, the end of one; progress.

q, k, v = problem(Float32, 150, 150; heads=(3,))
reference = attention(q, k, v; causal=true, threads=1)

@testset "the same bits for $threads threads" for threads in (2, 3, 5)
    @test attention(q, k, v; causal=true, threads=threads) == reference
    o, lse = attention(q, k, v; causal=true, return_lse=true)
    backward(threads) = attention_backward(q, k, v, o, lse, o; causal=true, threads=threads)
    @test backward(threads) == backward(1)
end

@testset "every SIMD target within the oracle's budget: $target" for target in vcat(Subquad.info()[:simd_targets])
    context = Context(simd_target=target, threads=2)
    @test Subquad.info(context=context)[:simd_target] == target
    @test agrees(problem(Float32, 40, 40; d=17, d_v=9)...; causal=true) # the default one
    small = problem(Float32, 40, 40; d=17, d_v=9)
    expected = oracle(Float32, small...)
    @test within(attention(small...; context=context), expected.o, expected.o_budget)
    close(context)
end

name_of(call) = try call(); "" catch exception exception isa SubquadError ? exception.name : rethrow() end

@testset "closing" begin
    context = Context(threads=2)
    @test isopen(context) && attention(q, k, v; causal=true, context=context) == reference
    close(context)
    close(context)
    @test !isopen(context)
    @test name_of(() -> attention(q, k, v; context=context)) == "ERR_NULL"
    @test name_of(() -> Subquad.info(context=context)) == "ERR_NULL"
end

@testset "settings" begin
    @test name_of(() -> Context(threads=-1)) == "ERR_VALUE"
    @test name_of(() -> Context(simd_target="nothing like it")) == "ERR_UNKNOWN"
    @test name_of(() -> Context(workspace_limit=-1)) == "ERR_VALUE"
    @test refused("ERR_UNKNOWN", ["simd_target", "foo"], () -> Context(simd_target="foo"))
    @test refused("ERR_TYPE", ["simd_target", "Int"], () -> Context(simd_target=5))
    @test refused("ERR_VALUE", ["workspace_limit is -1"], () -> Context(workspace_limit=-1))
    @test name_of(() -> attention(q, k, v; context=Context(), threads=2)) == "ERR_CONFLICT"
    @test name_of(() -> attention(q, k, v; context=Context(workspace_limit=1))) == "ERR_WORKSPACE"
end

# A call of many seconds, none of which waits for its end.
long = problem(Float64, 30_000, 30_000; d=64, d_v=64)

@testset "progress" begin
    seen, times = Float64[], Float64[]
    stop = ErrorException("enough")
    error = try
        attention(long...; progress=fraction -> (push!(seen, fraction); push!(times, time()); length(seen) == 12 && throw(stop)))
    catch exception
        exception
    end
    @test error === stop && length(seen) == 12
    @test issorted(seen) && all(0 .<= seen .<= 1)
    @test sort(diff(times))[end÷2] <= 0.05
    # The context went back to the pool in order.
    @test attention(q, k, v; causal=true) == reference
    # A progress function may itself compute, and switch tasks.
    inner = Ref{Any}()
    task = @async inner[] = attention(q, k, v; causal=true, threads=1)
    @test_throws ErrorException attention(long...; progress=fraction -> (yield(); istaskdone(task) && throw(stop)))
    @test inner[] == reference
end

@testset "a context in use" begin
    context = Context()
    @test name_of(() -> attention(long...; context=context, progress=_ -> attention(q, k, v; context=context))) == "ERR_BUSY"
    @test name_of(() -> attention(long...; context=context, progress=_ -> close(context))) == "ERR_BUSY"
    @test attention(q, k, v; causal=true, context=context) == reference
    close(context)
end

@testset "the pool's lock" begin
    # Ctrl-C is held back around it, which a task that waits and goes on on another thread (since Julia 1.7) would undo there.
    @test Subquad.POOL_LOCK isa Threads.SpinLock
end

@testset "contexts that were dropped" begin
    # In a function of its own, so that no variable keeps them.
    drop(count) = (foreach(_ -> Context(threads=2), 1:count); nothing)
    close(Context())
    drop(3)
    # A finalizer that finds the lock taken must not wait for it, but come again.
    lock(GC.gc, Subquad.ORPHANS_LOCK)
    @test isempty(Subquad.ORPHANS)
    GC.gc()
    @test length(Subquad.ORPHANS) == 3
    close(Context())
    @test isempty(Subquad.ORPHANS)
end

@testset "several Julia threads" begin
    code = """
    using Subquad
    const Q = fill_uniform!(zeros(8, 200, 4), 1)
    expected = attention(Q, Q, Q; causal=true, threads=1)
    results = Vector{Any}(undef, 40)
    Threads.@threads for i in 1:40
        results[i] = attention(Q, Q, Q; causal=true, threads=1 + i % 3)
    end
    all(==(expected), results) || error("results differ")
    # Tasks that may go on on another thread wherever they wait.
    tasks = [Threads.@spawn(attention(Q, Q, Q; causal=true, threads=1)) for _ in 1:40]
    all(==(expected), fetch.(tasks)) || error("results of tasks differ")
    length(Subquad.POOL) <= Threads.nthreads() || error("the pool grew to ", length(Subquad.POOL))

    # A collection started by one thread must not wait for the end of a call on another.
    const LONG = fill_uniform!(zeros(64, 30_000), 1)
    const STARTED, ENOUGH = Threads.Atomic{Bool}(false), Threads.Atomic{Bool}(false)
    stop(fraction) = (STARTED[] = true; ENOUGH[] && error("enough"))
    try attention(Q, Q, Q; progress=stop) catch end
    waits = Float64[]
    Threads.@threads for i in 1:2
        if i == 1
            try attention(LONG, LONG, LONG; progress=stop, threads=1) catch end
        else
            while !STARTED[]
                GC.safepoint()
            end
            append!(waits, (@elapsed GC.gc(false)) for _ in 1:5)
            ENOUGH[] = true
        end
    end
    println("wait ", sort(waits)[3])
    """
    status, text = other_julia(code, "JULIA_NUM_THREADS" => "2")
    found = match(r"wait ([\d.e-]+)", text)
    status == 0 || println(text)
    @test status == 0 && found !== nothing
    # The library's promise is to call back every 50 ms; twice that leaves as much for the collection itself. The median, since each
    # wait also holds what other programs take.
    @test found !== nothing && parse(Float64, found[1]) <= 0.1
end

@testset "callbacks come on the thread and the task of the call" begin
    code = """
    using Subquad
    const X = fill_uniform!(zeros(64, 30_000), 1)
    const H, BLOCKS = ConvBasis(zeros(300_000)), column_blocks(range -> (note(); X[:, range]), 64, 30_000, Float64; block_columns=5_000)
    const PLACES = Vector{Any}(undef, Threads.nthreads())
    here() = (Threads.threadid(), current_task())
    note() = push!(PLACES[Threads.threadid()], here())
    # What a callback throws, which need not be an exception, ends the call and is thrown again.
    function ends(call, thrown)
        count = Ref(0)
        caught = try call(_ -> (note(); count[] += 1; throw(thrown))) catch what what end
        return caught === thrown && count[] == 1
    end
    calls = [
        progress -> attention(X, X, X; threads=3, progress=progress),
        progress -> multiply(H, zeros(32, 300_000); threads=2, progress=progress),
        progress -> plan(X, X; tol=0.1, threads=2, progress=progress),
    ]
    function all_of_them()
        PLACES[Threads.threadid()] = []
        good = all(call -> ends(call, "no exception"), calls)
        leverage_scores(BLOCKS; method=:exact, threads=2)
        return good && length(PLACES[Threads.threadid()]) >= 3 + 6 && all(==(here()), PLACES[Threads.threadid()])
    end
    results = fill(false, Threads.nthreads())
    Threads.@threads for i in 1:Threads.nthreads()
        results[Threads.threadid()] = all_of_them()
    end
    all(results) || error("not so on threads ", findall(!, results))
    """
    status, text = other_julia(code, "JULIA_NUM_THREADS" => "2")
    status == 0 || println(text)
    @test status == 0
end
