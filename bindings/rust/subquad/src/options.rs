//! The options of a call, by id.

use std::ptr::{NonNull, null_mut};

use crate::error::{Result, check};
use crate::sys;

/// The value of an option: bool and int options are ints to the library.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    Int(i64),
    Float(f64),
}

/// An options handle. It lives as long as a call: settings are kept as data, and checked by the library.
pub(crate) struct Options(NonNull<sys::subquad_options>);

impl Options {
    pub(crate) fn new(settings: &[(i32, Value)]) -> Result<Self> {
        let mut handle = null_mut();
        // SAFETY: `handle` is a place for the result.
        check(unsafe { sys::subquad_options_create(&raw mut handle) })?;
        let options = Self(NonNull::new(handle).expect("options that were created are not null"));
        for &(option, value) in settings {
            let handle = options.0.as_ptr();
            let status = match value {
                // SAFETY: the handle is live and nothing else reads it.
                Value::Int(value) => unsafe { sys::subquad_options_set_int(handle, option, value) },
                // SAFETY: as above.
                Value::Float(value) => unsafe {
                    sys::subquad_options_set_float(handle, option, value)
                },
            };
            check(status)?;
        }
        Ok(options)
    }

    pub(crate) fn handle(&self) -> *const sys::subquad_options {
        self.0.as_ptr()
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: the handle is live until here and no call reads it.
        unsafe { sys::subquad_options_destroy(self.0.as_ptr()) };
    }
}
