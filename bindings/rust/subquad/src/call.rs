//! What every call of the library takes beside its arrays: options, and where it runs.

use crate::context::{Context, with_default};
use crate::error::Result;
use crate::options::{Options, Value};
use crate::sys;

/// Settings are kept as data until a call is made, so that they can be written in one expression and errors come from one place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call<'a> {
    pub(crate) context: Option<&'a Context>,
    pub(crate) threads: Option<usize>,
    settings: Vec<(i32, Value)>,
}

impl Call<'_> {
    pub(crate) fn set_int(&mut self, option: i32, value: i64) {
        self.settings.push((option, Value::Int(value)));
    }

    /// A size; those that the library cannot hold are beyond its bounds too.
    pub(crate) fn set_size(&mut self, option: i32, value: usize) {
        self.set_int(option, i64::try_from(value).unwrap_or(i64::MAX));
    }

    pub(crate) fn set_float(&mut self, option: i32, value: f64) {
        self.settings.push((option, Value::Float(value)));
    }

    /// A value for where nothing else is set, whether before or after: the last setting of an option counts.
    pub(crate) fn assume_int(&mut self, option: i32, value: i64) {
        self.settings.insert(0, (option, Value::Int(value)));
    }

    /// Make a call of the library with these options, and with the context that they name or the thread's own.
    pub(crate) fn make(
        &self,
        call: impl FnOnce(*mut sys::subquad_context, *const sys::subquad_options) -> sys::subquad_status,
    ) -> Result<()> {
        let make = |context: &Context| {
            let options = Options::new(&self.settings)?;
            context.run(self.threads, |context| call(context, options.handle()))
        };
        match self.context {
            Some(context) => make(context),
            None => with_default(make),
        }
    }
}

/// The methods that all builders of options share. They have a field `call`.
macro_rules! call_options {
    ($context:lifetime) => {
        /// Compute with this context instead of one that the calling thread keeps.
        pub fn context(mut self, context: &$context $crate::Context) -> Self {
            self.call.context = Some(context);
            self
        }

        /// Use this many threads in these calls, whatever the context is set to; 0 is the library's default.
        ///
        /// A context starts its threads anew for every call that uses another number than the one before: where calls alternate,
        /// a context for each number saves that.
        pub fn threads(mut self, threads: usize) -> Self {
            self.call.threads = Some(threads);
            self
        }

        /// Whether to look for NaN and infinities in the inputs first. Without, they reach the output as IEEE arithmetic has it.
        pub fn check_finite(self, check: bool) -> Self {
            self.set_int($crate::sys::SUBQUAD_OPTION_CHECK_FINITE, check.into())
        }

        /// Set an option of type bool or int by its id, `sys::SUBQUAD_OPTION_*`: for options of a library newer than this crate.
        pub fn set_int(mut self, option: i32, value: i64) -> Self {
            self.call.set_int(option, value);
            self
        }

        /// Set an option of type float by its id.
        pub fn set_float(mut self, option: i32, value: f64) -> Self {
            self.call.set_float(option, value);
            self
        }
    };
}
pub(crate) use call_options;
