//! Raw bindings to libsubquad, generated from its tables and its C header. The header, `subquad.h`, is the reference
//! manual of every function; the crate `subquad` is the safe layer above this one.
#![no_std]
#![allow(non_camel_case_types)]

mod generated;

pub use generated::*;

/// The layout of `subquad_array` is part of the ABI.
#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<subquad_array>() == 80);
    assert!(offset_of!(subquad_array, data) == 0);
    assert!(offset_of!(subquad_array, dtype) == 8);
    assert!(offset_of!(subquad_array, ndim) == 12);
    assert!(offset_of!(subquad_array, shape) == 16);
    assert!(offset_of!(subquad_array, strides) == 48);
};
