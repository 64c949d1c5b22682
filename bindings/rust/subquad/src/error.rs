//! The one error type: a status code of the library and the text that says what went wrong.

use std::ffi::{CStr, c_char};

use crate::sys;

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A call that was refused or failed.
///
/// ```
/// use ndarray::Array2;
/// use subquad::{Attention, sys};
///
/// let (q, k, v) = (Array2::<f64>::ones((5, 3)), Array2::ones((5, 4)), Array2::ones((5, 3)));
/// let error = Attention::new().run(&q, &k, &v).unwrap_err();
/// assert_eq!(error.code(), sys::SUBQUAD_ERR_SHAPE);
/// assert_eq!(error.name(), "ERR_SHAPE");
/// assert!(error.message().contains("k"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", self.name())]
pub struct Error {
    code: sys::subquad_status,
    message: String,
}

impl Error {
    pub(crate) fn new(code: sys::subquad_status, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The status code: one of `sys::SUBQUAD_ERR_*`.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// The name of the code without its prefix, `"ERR_SHAPE"`.
    pub fn name(&self) -> &'static str {
        // SAFETY: the library returns a static, zero-terminated text for every number.
        unsafe { static_text(sys::subquad_status_name(self.code)) }
    }

    /// What went wrong, naming the argument and its value.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// The result of a call of this thread that returned `status`.
pub(crate) fn check(status: sys::subquad_status) -> Result<()> {
    if status == sys::SUBQUAD_OK {
        return Ok(());
    }
    // SAFETY: the text is zero-terminated and holds until this thread's next failing call, which comes after the copy.
    let message = unsafe { CStr::from_ptr(sys::subquad_last_error()) };
    Err(Error::new(status, message.to_string_lossy()))
}

/// # Safety
/// `text` is zero-terminated and static.
pub(crate) unsafe fn static_text(text: *const c_char) -> &'static str {
    // SAFETY: what the caller promises.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().unwrap_or_default()
}
