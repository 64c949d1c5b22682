//! Raw bindings to libsubquad, generated from its tables and its C header. The header, `subquad.h`, is the reference
//! manual of every function; the crate `subquad` is the safe layer above this one.
#![no_std]
#![allow(non_camel_case_types)]

mod generated;

pub use generated::*;

/// The layouts of `subquad_array` and `subquad_sparse` are part of the ABI.
#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<subquad_array>() == 80);
    assert!(offset_of!(subquad_array, data) == 0);
    assert!(offset_of!(subquad_array, dtype) == 8);
    assert!(offset_of!(subquad_array, ndim) == 12);
    assert!(offset_of!(subquad_array, shape) == 16);
    assert!(offset_of!(subquad_array, strides) == 48);
    assert!(size_of::<subquad_sparse>() == 64);
    assert!(offset_of!(subquad_sparse, offsets) == 0);
    assert!(offset_of!(subquad_sparse, indices) == 8);
    assert!(offset_of!(subquad_sparse, values) == 16);
    assert!(offset_of!(subquad_sparse, rows) == 24);
    assert!(offset_of!(subquad_sparse, columns) == 32);
    assert!(offset_of!(subquad_sparse, nonzeros) == 40);
    assert!(offset_of!(subquad_sparse, layout) == 48);
    assert!(offset_of!(subquad_sparse, dtype) == 52);
    assert!(offset_of!(subquad_sparse, index_dtype) == 56);
    assert!(offset_of!(subquad_sparse, index_base) == 60);
};
