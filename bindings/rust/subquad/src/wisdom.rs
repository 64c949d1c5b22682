//! What FFTW has learnt about this machine, to keep between processes.

use std::ffi::{CStr, CString};
use std::ptr::null;

use crate::error::{Error, Result, check};
use crate::library::ensure_version;
use crate::sys;

/// FFTW's wisdom, single and double precision, as text to keep in a file. The library plans by estimate, which measures nothing;
/// wisdom from elsewhere makes the transforms of fits faster, and their last bits may differ.
///
/// ```
/// let text = subquad::export_wisdom()?;
/// subquad::import_wisdom(&text)?;
/// assert!(subquad::import_wisdom("no wisdom").is_err());
/// # Ok::<(), subquad::Error>(())
/// ```
pub fn export_wisdom() -> Result<String> {
    ensure_version()?;
    let mut text = null();
    // SAFETY: `text` is a place for the result.
    check(unsafe { sys::subquad_wisdom_export(&raw mut text) })?;
    // SAFETY: the text is zero-terminated and holds until this thread's next export, which comes after the copy.
    Ok(unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned())
}

/// Add wisdom that [`export_wisdom`] wrote. FFTW shares it with all its users in the process. Errors: `ERR_VALUE` when the text is not
/// such wisdom.
pub fn import_wisdom(text: &str) -> Result<()> {
    ensure_version()?;
    let text = CString::new(text).map_err(|error| {
        Error::new(
            sys::SUBQUAD_ERR_VALUE,
            format!("text, the wisdom, has a zero byte: {error}"),
        )
    })?;
    // SAFETY: the text is zero-terminated, and is copied.
    check(unsafe { sys::subquad_wisdom_import(text.as_ptr()) })
}
