//! Reports as text.

use std::fmt;

use super::Report;
use crate::sys;

/// One line for each key that has values: its name in lower case and the values, separated by commas.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = sys::CONSTANTS.iter().filter_map(|&(name, key)| {
            let name = name.strip_prefix("SUBQUAD_REPORT_")?;
            let values = self.texts(i32::try_from(key).ok()?);
            (!values.is_empty()).then(|| (name.to_lowercase(), values.join(", ")))
        });
        let lines: Vec<_> = named.collect();
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (number, (name, values)) in lines.iter().enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            write!(formatter, "{end}{name:width$}  {values}")?;
        }
        Ok(())
    }
}

impl Report {
    /// The values of a key, whatever their type; none of a key that the library does not know.
    fn texts(&self, key: i32) -> Vec<String> {
        fn text<T: ToString>(values: Vec<T>) -> Vec<String> {
            values.iter().map(T::to_string).collect()
        }
        let ints = || self.ints(key).map(text);
        let floats = || self.floats(key).map(text);
        let strings = || self.strings(key);
        ints()
            .or_else(|_| floats())
            .or_else(|_| strings())
            .unwrap_or_default()
    }
}
