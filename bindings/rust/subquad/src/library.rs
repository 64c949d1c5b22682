//! The check that the library that was loaded serves this crate.

use std::sync::OnceLock;

use crate::error::{Error, Result, static_text};
use crate::sys;

/// Fails, with a text that names both versions, when the loaded library is older than the header that this crate was
/// generated from, or breaks with it. Looks once.
pub(crate) fn ensure_version() -> Result<()> {
    static CHECKED: OnceLock<Result<()>> = OnceLock::new();
    CHECKED
        .get_or_init(|| {
            // SAFETY: no arguments, cannot fail.
            if serves(unsafe { sys::subquad_version() }) {
                return Ok(());
            }
            // SAFETY: no arguments; the text is static and zero-terminated.
            let loaded = unsafe { static_text(sys::subquad_version_string()) };
            let built_for = sys::SUBQUAD_VERSION_STRING;
            Err(Error::new(
                sys::SUBQUAD_ERR_UNSUPPORTED,
                format!("libsubquad {loaded} was loaded, but this crate was built for {built_for}"),
            ))
        })
        .clone()
}

/// Versions break with the major number, and while that is 0 with the minor number too.
fn serves(loaded: i64) -> bool {
    let built_for = i64::from(sys::SUBQUAD_VERSION_NUMBER);
    let epoch = |version: i64| match version / 1_000_000 {
        0 => (0, version / 1_000),
        major => (major, 0),
    };
    epoch(loaded) == epoch(built_for) && loaded >= built_for
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_and_newer_versions_serve_and_breaking_ones_do_not() {
        let own = i64::from(sys::SUBQUAD_VERSION_NUMBER);
        assert!(serves(own));
        assert!(serves(own + 1));
        assert!(!serves(own - 1));
        assert!(!serves(own + 1_000_000));
        assert_eq!(serves(own + 1_000), sys::SUBQUAD_VERSION_MAJOR > 0);
    }

    #[test]
    fn the_library_under_test_serves() {
        assert_eq!(ensure_version(), Ok(()));
    }
}
