# Where a call runs: a context of the caller's, or one from a pool, never shared by two calls; and how Ctrl-C ends a call.

"""
    Context(; threads=nothing, simd_target=nothing, workspace_limit=nothing)

Threads and limits for calls that are given `context=`. Calls without one take it from a pool, so this is for choosing the SIMD target
(see `Subquad.info()[:simd_targets]`), for limiting the bytes that a call may take beyond its arrays, or for deciding with
`close(context)` when threads end.

One call at a time may use a context; a second one throws ERR_BUSY.

```jldoctest
julia> context = Context(threads=2);

julia> size(attention(ones(4, 3), ones(4, 3), ones(2, 3); context=context))
(2, 3)

julia> close(context)
```
"""
mutable struct Context
    pointer::Ptr{subquad_context}
    threads::Int64                 # as asked for; 0 is the default
    state::Threads.Atomic{Int}     # IDLE, RUNNING or CLOSED
    function Context(; threads=nothing, simd_target=nothing, workspace_limit=nothing)
        destroy_orphans()
        count = threads === nothing ? Int64(0) : number(Int64, Integer, :threads, threads)
        handle = Ref(Ptr{subquad_context}(C_NULL))
        check(subquad_context_create(handle))
        context = finalizer(abandon, new(handle[], count, Threads.Atomic{Int}(IDLE)))
        threads === nothing || check(subquad_context_set_threads(context.pointer, count))
        if simd_target !== nothing
            simd_target isa Union{Symbol,AbstractString} ||
                throw(SubquadError(SUBQUAD_ERR_TYPE, "simd_target must be the name of a target, not a $(typeof(simd_target))"))
            check(subquad_context_set_simd_target(context.pointer, string(simd_target)), CONTEXT_NAMES)
        end
        if workspace_limit !== nothing
            bytes = number(Int64, Integer, :workspace_limit, workspace_limit)
            check(subquad_context_set_workspace_limit(context.pointer, bytes), CONTEXT_NAMES)
        end
        return context
    end
end

# What C's functions call the settings.
const CONTEXT_NAMES = Dict(:simd_target => :name, :workspace_limit => :bytes)

const IDLE, RUNNING, CLOSED = 0, 1, 2

# Contexts that the garbage collector found. Ending one joins its threads, and a finalizer, which may run inside any allocation,
# must not wait: so it leaves the pointer here, for the next Context to destroy. It does not wait for the lock either.
const ORPHANS = Ptr{subquad_context}[]
const ORPHANS_LOCK = Threads.SpinLock()

function abandon(context)
    context.state[] == CLOSED && return nothing
    if trylock(ORPHANS_LOCK)
        push!(ORPHANS, context.pointer)
        unlock(ORPHANS_LOCK)
    else
        finalizer(abandon, context)
    end
    return nothing
end

function destroy_orphans()
    found = disable_sigint() do
        lock(ORPHANS_LOCK) do
            splice!(ORPHANS, 1:length(ORPHANS))
        end
    end
    foreach(subquad_context_destroy, found)
end

"""End the context's threads and release it. Throws ERR_BUSY while a call uses it; a second time it does nothing."""
function Base.close(context::Context)
    before = Threads.atomic_cas!(context.state, IDLE, CLOSED)
    before == RUNNING && throw(SubquadError(SUBQUAD_ERR_BUSY, "context cannot be closed while a call uses it"))
    before == IDLE && subquad_context_destroy(context.pointer)
    return nothing
end

Base.isopen(context::Context) = context.state[] != CLOSED

"""
Call `f` with the pointer of a context that no other call uses meanwhile. Ctrl-C has to be held back around this, lest it leave the
context marked as running.
"""
function occupied(f, context::Context)
    before = Threads.atomic_cas!(context.state, IDLE, RUNNING)
    before == CLOSED && throw(SubquadError(SUBQUAD_ERR_NULL, "context is closed"))
    before == RUNNING && throw(SubquadError(SUBQUAD_ERR_BUSY, "context is in use by another call"))
    try
        return GC.@preserve context f(context.pointer)
    finally
        context.state[] = IDLE
    end
end

occupied(f, context) = throw(SubquadError(SUBQUAD_ERR_TYPE, "context must be a Context, not a $(typeof(context))"))

# Idle contexts between calls, so that a call need not start threads. More than one per Julia thread is never of use for long.
const POOL = Context[]
# It must not let the task wait: Ctrl-C is held back around it, and a task that waits may go on on another thread.
const POOL_LOCK = Threads.SpinLock()

function take_from_pool(threads)
    count = something(threads, 0)
    found = lock(POOL_LOCK) do
        index = findlast(context -> context.threads == count, POOL)
        index === nothing ? nothing : splice!(POOL, index)
    end
    return found === nothing ? Context(threads=threads) : found
end

function return_to_pool(context)
    surplus = lock(POOL_LOCK) do
        push!(POOL, context)
        length(POOL) > Threads.nthreads() ? popfirst!(POOL) : nothing
    end
    surplus === nothing || close(surplus)
    return nothing
end

# ---- Progress and Ctrl-C

"""What the callback of one call needs, and what it caught."""
mutable struct Watch
    progress::Any
    caught::Any
end

const CALLBACK = Ref{Ptr{Cvoid}}(C_NULL)

"""
The library calls this on the calling thread every 20 ms or so. No exception may leave it: C frames lie below. It is also where
the call lets the garbage collector of another Julia thread go on, which waits for every thread.
"""
function on_progress(user::Ptr{Cvoid}, fraction::Float64)::Int32
    watch = unsafe_pointer_to_objref(user)::Watch
    try
        reenable_sigint() do
            GC.safepoint()
            watch.progress === nothing || watch.progress(fraction)
        end
        return Int32(0)
    catch exception
        watch.caught = exception
        return Int32(1)
    end
end

"""
How a call is to run: the keyword arguments that are not arrays. Its fields have one type whatever was given, so that what runs a
call is compiled once and not again for each set of keywords.
"""
struct Settings
    context::Any
    threads::Any
    progress::Any
    options::Vector{Pair{Symbol,Any}}
    return_report::Bool
    short_names::Dict{Symbol,Symbol}      # of options
    message_names::Dict{Symbol,Symbol}    # those of them that messages have
    function Settings(context, threads, progress, options, return_report, short_names=CONV_NAMES)
        if !(progress === nothing || applicable(progress, 0.0))
            problem = "progress must be a function of the fraction that is done, a number, not a $(typeof(progress))"
            throw(SubquadError(SUBQUAD_ERR_TYPE, problem))
        end
        named = Pair{Symbol,Any}[name => value for (name, value) in options]
        return new(context, threads, progress, named, return_report, short_names, names_in_messages(named, short_names))
    end
end

"""
The short names by which messages call options: those that the caller wrote and, where no long one is written, the others too.
"""
function names_in_messages(options, short_names)
    written = [name for (name, value) in options if value !== nothing]
    isempty(intersect(written, values(short_names))) && return short_names
    return filter(entry -> entry.first in written, short_names)
end

"""
Run `call(context, options, report)` on C handles that live as long as it does, and return the [`Report`](@ref) where one is wanted.
"""
function with_call(call, settings::Settings)
    return with_options(settings.options, settings.short_names) do options
        run(report) = on_context(pointer -> call(pointer, options, report), settings)
        settings.return_report ? with_report(run) : run(C_NULL)
    end
end

"""
Run `call(pointer)` on the context given, or on one from the pool. Only the callback lets Ctrl-C through.
"""
function on_context(call, settings)
    context, threads = settings.context, settings.threads
    if context !== nothing && threads !== nothing
        throw(SubquadError(SUBQUAD_ERR_CONFLICT, "threads = $threads is given beside a context, which has its own number"))
    end
    return disable_sigint() do
        lent = context === nothing ? take_from_pool(threads) : context
        try
            occupied(pointer -> watched(call, pointer, settings.progress), lent)
        finally
            context === nothing && return_to_pool(lent)
        end
    end
end

"""Run `call(pointer)` with the callback set. What the callback caught, Ctrl-C among it, is thrown in place of ERR_CANCELLED."""
function watched(call, pointer, progress)
    watch = Watch(progress, nothing)
    task = current_task()
    sticky = task.sticky
    # A progress function may switch tasks; this one, with C frames on its stack, must go on on the same thread.
    task.sticky = true
    try
        GC.@preserve watch begin
            check(subquad_context_set_callback(pointer, CALLBACK[], pointer_from_objref(watch)))
            call(pointer)
        end
    catch
        watch.caught === nothing && rethrow()
    finally
        task.sticky = sticky
    end
    watch.caught === nothing || throw(watch.caught)
    return nothing
end
