//! The generated constants against the library that is linked.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::ptr::null;

use subquad_sys::{CONSTANTS, SUBQUAD_ERR_UNKNOWN, SUBQUAD_ERR_VALUE, SUBQUAD_OK};
use subquad_sys::{subquad_constant, subquad_constant_at, subquad_version_string};

#[test]
fn every_constant_has_the_value_that_the_library_knows() {
    for (name, value) in CONSTANTS {
        let c_name = CString::new(*name).unwrap();
        let mut known = i64::MIN;
        // SAFETY: the name is zero-terminated, and `known` is a place for the result.
        let status = unsafe { subquad_constant(c_name.as_ptr(), &raw mut known) };
        assert_eq!((status, known), (SUBQUAD_OK, *value), "{name}");
    }
}

#[test]
fn the_library_knows_no_other_constants() {
    let mut library = BTreeMap::new();
    for index in 0.. {
        let (mut name, mut value) = (null(), 0);
        // SAFETY: both are places for results.
        match unsafe { subquad_constant_at(index, &raw mut name, &raw mut value) } {
            SUBQUAD_OK => {}
            status => {
                assert_eq!(status, SUBQUAD_ERR_VALUE);
                break;
            }
        }
        // SAFETY: the library returned a static, zero-terminated name.
        let name = unsafe { CStr::from_ptr(name) };
        library.insert(name.to_str().unwrap(), value);
    }
    assert_eq!(library, CONSTANTS.iter().copied().collect());
}

#[test]
fn a_name_that_is_none_is_refused() {
    let mut value = 0;
    // SAFETY: as above.
    let status = unsafe { subquad_constant(c"SUBQUAD_ABACUS".as_ptr(), &raw mut value) };
    assert_eq!(status, SUBQUAD_ERR_UNKNOWN);
}

#[test]
fn the_version_is_that_of_the_crate() {
    // SAFETY: no arguments; the text is static and zero-terminated.
    let version = unsafe { CStr::from_ptr(subquad_version_string()) };
    assert_eq!(version.to_str(), Ok(env!("CARGO_PKG_VERSION")));
    assert_eq!(
        subquad_sys::SUBQUAD_VERSION_STRING,
        env!("CARGO_PKG_VERSION")
    );
}
