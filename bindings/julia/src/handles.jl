# What the library made and keeps: handles that any number of calls may read at once, and how they are released.

mutable struct Handle{H}
    pointer::Ptr{H}
    name::String                  # what messages call it
    users::Threads.Atomic{Int}    # calls that use it now; far below 0 once it is closed
    """Take over what `pointer` points to."""
    function Handle(pointer::Ptr{H}, name) where {H}
        # Its memory is all that it holds, so releasing it waits for nothing.
        return finalizer(close_unused, new{H}(pointer, name, Threads.Atomic{Int}(0)))
    end
end

release(pointer::Ptr{subquad_conv_basis}) = subquad_conv_basis_destroy(pointer)
release(pointer::Ptr{subquad_sparsifier}) = subquad_sparsifier_destroy(pointer)
release(pointer::Ptr{subquad_plan}) = subquad_plan_destroy(pointer)

const CLOSED_HANDLE = typemin(Int) ÷ 2

"""Close a handle that no call uses; how many calls use it."""
function close_unused(handle)
    users = Threads.atomic_cas!(handle.users, 0, CLOSED_HANDLE)
    users == 0 && release(handle.pointer)
    return users
end

"""Release what the handle holds. Throws ERR_BUSY while a call uses it; a second time it does nothing."""
function Base.close(handle::Handle)
    close_unused(handle) > 0 && throw(SubquadError(SUBQUAD_ERR_BUSY, "$(handle.name) cannot be closed while a call uses it"))
    return nothing
end

Base.isopen(handle::Handle) = handle.users[] >= 0

# A copy of the pointer would outlive what it points to; and what is read-only may be shared.
Base.deepcopy_internal(handle::Handle, ::IdDict) = handle

"""
Call `f` with the pointer of `handle`, which is not closed meanwhile. Ctrl-C has to be held back around this, lest it leave the handle
marked as in use.
"""
function borrowed(f, handle::Handle)
    users = Threads.atomic_add!(handle.users, 1)
    try
        users < 0 && throw(SubquadError(SUBQUAD_ERR_NULL, "$(handle.name) is closed"))
        return GC.@preserve handle f(handle.pointer)
    finally
        Threads.atomic_sub!(handle.users, 1)
    end
end

"""
Run `f` on a handle, inputs and outputs, each array as `view` shows it to C; the report, or `nothing` where none is wanted. `shown` are
arrays, by name, whose sizes messages give beside those.
"""
function call_on_handle(f, handle, shown, inputs, outputs, view, settings)
    return with_call(settings) do context, options, report
        borrowed(handle) do pointer
            GC.@preserve inputs outputs begin
                status = f(context, options, pointer, c_arguments(inputs, view)..., c_arguments(outputs, view)..., report)
                check(status, inputs, [outputs; shown], settings.message_names)
            end
        end
    end
end
