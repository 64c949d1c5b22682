//! What a call did, by key.

mod heads;
mod text;

use std::ffi::{CStr, c_char};
use std::ptr::{NonNull, null, null_mut};
use std::sync::{Mutex, PoisonError};

use crate::error::{Result, check};
use crate::library::ensure_version;
use crate::sys;

pub use heads::Head;

/// What a call did, or what the library is: values by key (`sys::SUBQUAD_REPORT_*`). A key holds any number of values of one type,
/// none when the call said nothing of it.
///
/// Errors of the getters: `ERR_UNKNOWN` for a key that is none, `ERR_TYPE` when it holds another type, and where one value is
/// asked for, `ERR_UNSET` when the key is empty.
///
/// Formatted with `{}`, a report is a text of one line for each key that has values.
///
/// ```
/// use subquad::sys::{SUBQUAD_REPORT_SIMD_TARGETS, SUBQUAD_REPORT_THREADS, SUBQUAD_REPORT_VERSION};
///
/// let report = subquad::info()?;
/// assert_eq!(report.string(SUBQUAD_REPORT_VERSION)?, subquad::sys::SUBQUAD_VERSION_STRING);
/// assert!(report.int(SUBQUAD_REPORT_THREADS)? >= 1);
/// assert_eq!(report.strings(SUBQUAD_REPORT_SIMD_TARGETS)?, subquad::simd_targets()?);
/// assert!(report.json()?.starts_with('{'));
/// assert!(report.to_string().contains("fftw_version"));
/// # Ok::<(), subquad::Error>(())
/// ```
#[derive(Debug)]
pub struct Report {
    handle: NonNull<sys::subquad_report>,
    /// The JSON text, which the library makes and keeps inside the report: for one thread at a time.
    json: Mutex<()>,
}

// SAFETY: a report is plain data that no thread is tied to.
unsafe impl Send for Report {}
// SAFETY: a call that writes a report has it to itself, before it is handed out. From then on values are only read; the JSON text, which
// is no part of them, is made and copied under a lock.
unsafe impl Sync for Report {}

impl Report {
    pub(crate) fn new() -> Result<Self> {
        ensure_version()?;
        let mut handle = null_mut();
        // SAFETY: `handle` is a place for the result.
        check(unsafe { sys::subquad_report_create(&raw mut handle) })?;
        Ok(Self {
            handle: NonNull::new(handle).expect("a report that was created is not null"),
            json: Mutex::new(()),
        })
    }

    pub(crate) fn handle(&self) -> *mut sys::subquad_report {
        self.handle.as_ptr()
    }

    /// How many values a key holds.
    pub fn length(&self, key: i32) -> Result<usize> {
        let mut length = 0;
        // SAFETY: the handle is live, `length` is a place for the result, and the type may be left out.
        check(unsafe {
            sys::subquad_report_length(self.handle(), key, &raw mut length, null_mut())
        })?;
        Ok(usize::try_from(length).expect("a length is not negative"))
    }

    /// The first value of a key of type int.
    pub fn int(&self, key: i32) -> Result<i64> {
        self.int_at(key, 0)
    }

    /// The first value of a key of type float.
    pub fn float(&self, key: i32) -> Result<f64> {
        self.float_at(key, 0)
    }

    /// The first value of a key of type string.
    pub fn string(&self, key: i32) -> Result<String> {
        self.string_at(key, 0)
    }

    /// All values of a key of type int.
    pub fn ints(&self, key: i32) -> Result<Vec<i64>> {
        self.all(key, Self::int_at)
    }

    /// All values of a key of type float.
    pub fn floats(&self, key: i32) -> Result<Vec<f64>> {
        self.all(key, Self::float_at)
    }

    /// All values of a key of type string.
    pub fn strings(&self, key: i32) -> Result<Vec<String>> {
        self.all(key, Self::string_at)
    }

    /// The whole report as one JSON object with the keys in lower case.
    pub fn json(&self) -> Result<String> {
        let _alone = self.json.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = null();
        // SAFETY: the handle is live, no other thread makes the text, and `text` is a place for the result.
        check(unsafe { sys::subquad_report_json(self.handle(), &raw mut text) })?;
        // SAFETY: the text is zero-terminated and lives until it is made again, for which the lock is needed.
        Ok(unsafe { copied(text) })
    }

    fn all<T>(&self, key: i32, at: impl Fn(&Self, i32, i64) -> Result<T>) -> Result<Vec<T>> {
        // An empty key is asked too, so that a key of another type is an error whether it is empty or not.
        let asked = self.length(key)?.max(1) as i64;
        let values = (0..asked).map(|index| at(self, key, index)).collect();
        match values {
            Err(error) if error.code() == sys::SUBQUAD_ERR_UNSET => Ok(Vec::new()),
            values => values,
        }
    }

    fn int_at(&self, key: i32, index: i64) -> Result<i64> {
        let mut value = 0;
        // SAFETY: the handle is live, and `value` is a place for the result.
        check(unsafe { sys::subquad_report_get_int(self.handle(), key, index, &raw mut value) })?;
        Ok(value)
    }

    fn float_at(&self, key: i32, index: i64) -> Result<f64> {
        let mut value = 0.0;
        // SAFETY: as above.
        check(unsafe { sys::subquad_report_get_float(self.handle(), key, index, &raw mut value) })?;
        Ok(value)
    }

    fn string_at(&self, key: i32, index: i64) -> Result<String> {
        let mut text = null();
        // SAFETY: as above.
        check(unsafe { sys::subquad_report_get_string(self.handle(), key, index, &raw mut text) })?;
        // SAFETY: the text is zero-terminated and lives until the report is written again.
        Ok(unsafe { copied(text) })
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        // SAFETY: the handle is live until here, and no text that was read from it is kept.
        unsafe { sys::subquad_report_destroy(self.handle()) };
    }
}

/// # Safety
/// `text` is zero-terminated and lives for the call.
unsafe fn copied(text: *const c_char) -> String {
    // SAFETY: what the caller promises.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}
