//! Where computations run.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_void};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{NonNull, null, null_mut};
use std::rc::Rc;

use crate::error::{Error, Result, check};
use crate::library::ensure_version;
use crate::sys;

/// Where a computation runs: its threads, SIMD target, memory limit and progress callback.
///
/// A context serves one call at a time, which the type system sees to: it may move between threads but not be shared by them.
/// Threads that compute at the same time have one each. Calls that name no context use one of their thread's own.
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<subquad::Context>();
/// ```
///
/// ```
/// use ndarray::Array2;
/// use subquad::{Attention, Context};
///
/// let mut context = Context::new()?;
/// context.set_threads(2)?;
/// let x = Array2::<f32>::ones((64, 8));
/// let output = Attention::new().context(&context).causal(true).run(&x, &x, &x)?;
/// assert_eq!(output.report.int(subquad::sys::SUBQUAD_REPORT_THREADS)?, 2);
/// # Ok::<(), subquad::Error>(())
/// ```
#[derive(Debug)]
pub struct Context {
    handle: NonNull<sys::subquad_context>,
    progress: Option<Rc<Progress>>,
    /// What `set_threads` asked for, and what the handle is set to since the last call; 0 is the default.
    threads: usize,
    active_threads: Cell<usize>,
}

// SAFETY: the library ties a context to no thread, only to one call at a time. The `Rc` has no second owner: the handle keeps
// its address alone. What it holds, closure and panic payload, is Send.
unsafe impl Send for Context {}

impl Context {
    /// A context with the library's defaults: threads from `SUBQUAD_NUM_THREADS` or from the processors that this process may
    /// run on, the best SIMD target, no memory limit, no callback.
    pub fn new() -> Result<Self> {
        ensure_version()?;
        let mut handle = null_mut();
        // SAFETY: `handle` is a place for the result.
        check(unsafe { sys::subquad_context_create(&raw mut handle) })?;
        Ok(Self {
            handle: NonNull::new(handle).expect("a context that was created is not null"),
            progress: None,
            threads: 0,
            active_threads: Cell::new(0),
        })
    }

    /// How many threads calls use, the calling one included: 1 to 1024, or 0 for the default. Results do not depend on it.
    pub fn set_threads(&mut self, threads: usize) -> Result<()> {
        self.activate_threads(threads)?;
        self.threads = threads;
        Ok(())
    }

    /// Limit the memory that one call may take beyond its arrays, in bytes; 0 means no limit.
    pub fn set_workspace_limit(&mut self, bytes: u64) -> Result<()> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        // SAFETY: the handle is live, and no call uses it: `self` is borrowed exclusively.
        check(unsafe { sys::subquad_context_set_workspace_limit(self.handle(), bytes) })
    }

    /// Force a SIMD target by its name (see [`simd_targets`](crate::simd_targets)), or return to the best one.
    pub fn set_simd_target(&mut self, name: Option<&str>) -> Result<()> {
        let name = name.map(CString::new).transpose().map_err(|error| {
            Error::new(
                sys::SUBQUAD_ERR_UNKNOWN,
                format!("the name of a SIMD target has a zero byte: {error}"),
            )
        })?;
        let name = name.as_ref().map_or(null(), |name| name.as_ptr());
        // SAFETY: the handle is live and unused, as above; the name is null or zero-terminated, and is copied.
        check(unsafe { sys::subquad_context_set_simd_target(self.handle(), name) })
    }

    /// Call `progress` about every 20 ms of a long computation, on the thread that computes, with the fraction of the work that is
    /// done. [`ControlFlow::Break`] ends the computation with `ERR_CANCELLED`. A panic ends it too, and goes on from the
    /// function that started it.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
    ///
    /// let stop = Arc::new(AtomicBool::new(false)); // set by a request's timeout, say
    /// let mut context = subquad::Context::new()?;
    /// let asked = Arc::clone(&stop);
    /// context.set_progress(move |_fraction| match asked.load(Ordering::Relaxed) {
    ///     true => ControlFlow::Break(()),
    ///     false => ControlFlow::Continue(()),
    /// })?;
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn set_progress(
        &mut self,
        progress: impl FnMut(f64) -> ControlFlow<()> + Send + 'static,
    ) -> Result<()> {
        let progress = Rc::new(Progress {
            closure: RefCell::new(Box::new(progress)),
            panic: Cell::new(None),
        });
        let user = Rc::as_ptr(&progress).cast_mut().cast();
        // SAFETY: the handle is live and unused, as above; `user` stays valid until the context is destroyed or has another
        // callback, because `self` then still owns the `Progress`.
        check(unsafe { sys::subquad_context_set_callback(self.handle(), Some(ask), user) })?;
        self.progress = Some(progress);
        Ok(())
    }

    /// Compute without calling back.
    pub fn clear_progress(&mut self) -> Result<()> {
        // SAFETY: the handle is live and unused, as above.
        check(unsafe { sys::subquad_context_set_callback(self.handle(), None, null_mut()) })?;
        self.progress = None;
        Ok(())
    }

    pub(crate) fn handle(&self) -> *mut sys::subquad_context {
        self.handle.as_ptr()
    }

    /// Run a call of the library with this context, with its own number of threads or another one.
    pub(crate) fn run(
        &self,
        threads: Option<usize>,
        call: impl FnOnce(*mut sys::subquad_context) -> sys::subquad_status,
    ) -> Result<()> {
        self.activate_threads(threads.unwrap_or(self.threads))?;
        let result = check(call(self.handle()));
        if let Some(panic) = self
            .progress
            .as_ref()
            .and_then(|progress| progress.panic.take())
        {
            resume_unwind(panic);
        }
        result
    }

    fn activate_threads(&self, threads: usize) -> Result<()> {
        if threads != self.active_threads.get() {
            let count = i64::try_from(threads).unwrap_or(i64::MAX);
            // SAFETY: the handle is live; should a call be using it, it refuses.
            check(unsafe { sys::subquad_context_set_threads(self.handle(), count) })?;
            self.active_threads.set(threads);
        }
        Ok(())
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the handle is live until here, and no call uses it: a call borrows the context.
        unsafe { sys::subquad_context_destroy(self.handle()) };
    }
}

/// Run `body` with this thread's own context, which is made when it is first needed.
pub(crate) fn with_default<R>(body: impl FnOnce(&Context) -> Result<R>) -> Result<R> {
    thread_local! {
        static IDLE: Cell<Option<Context>> = const { Cell::new(None) };
    }
    // Taken out while it is used, so that a progress callback of another context may come here too. There may be no storage
    // left in a thread that is ending: then the context lasts for this call.
    let context = match IDLE.try_with(Cell::take) {
        Ok(Some(context)) => context,
        _ => Context::new()?,
    };
    let result = body(&context);
    let _ = IDLE.try_with(|idle| idle.set(Some(context)));
    result
}

/// A progress closure, and the panic that it ended with.
struct Progress {
    closure: RefCell<Box<dyn FnMut(f64) -> ControlFlow<()> + Send>>,
    panic: Cell<Option<Box<dyn Any + Send>>>,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Progress")
    }
}

/// The callback that the library knows. A panic must not reach its frames: it is kept for `Context::run`.
unsafe extern "C" fn ask(user: *mut c_void, fraction: f64) -> i32 {
    // SAFETY: `user` is the `Progress` of the context that is computing, which outlives the call; it is shared, never exclusively
    // borrowed.
    let progress = unsafe { &*user.cast::<Progress>() };
    let answer = catch_unwind(AssertUnwindSafe(|| {
        (progress.closure.borrow_mut())(fraction)
    }));
    match answer {
        Ok(flow) => i32::from(flow.is_break()),
        Err(panic) => {
            progress.panic.set(Some(panic));
            1
        }
    }
}
