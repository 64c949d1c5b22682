//! What the library and the machine are.

use std::ptr::{null, null_mut};

use crate::context::Context;
use crate::error::{Result, check, static_text};
use crate::library::ensure_version;
use crate::report::Report;
use crate::sys;

/// Describe the library and the machine, with the threads and the SIMD target of a new context: version, SIMD targets, BLAS and the
/// processor core that it chose its kernels for, FFTW, Armadillo. For the keys see [`Report`].
pub fn info() -> Result<Report> {
    let report = Report::new()?;
    // SAFETY: the context may be left out, and the report is live.
    check(unsafe { sys::subquad_info(null_mut(), report.handle()) })?;
    Ok(report)
}

impl Context {
    /// Describe the library and the machine as [`info`] does, with the threads and the SIMD target of this context.
    pub fn info(&self) -> Result<Report> {
        let report = Report::new()?;
        self.run(None, |context| {
            // SAFETY: both handles are live.
            unsafe { sys::subquad_info(context, report.handle()) }
        })?;
        Ok(report)
    }
}

/// The SIMD targets that the library holds and this processor can run, best first; the last is the portable one.
///
/// ```
/// let portable = subquad::simd_targets()?.pop();
/// let mut context = subquad::Context::new()?;
/// context.set_simd_target(portable)?;
/// # Ok::<(), subquad::Error>(())
/// ```
pub fn simd_targets() -> Result<Vec<&'static str>> {
    ensure_version()?;
    let mut names = Vec::new();
    loop {
        let mut name = null();
        // SAFETY: `name` is a place for the result.
        match check(unsafe { sys::subquad_simd_target_at(names.len() as i64, &raw mut name) }) {
            // SAFETY: the library returned a static, zero-terminated name.
            Ok(()) => names.push(unsafe { static_text(name) }),
            Err(error) if error.code() == sys::SUBQUAD_ERR_VALUE => return Ok(names),
            Err(error) => return Err(error),
        }
    }
}
