//! The tests of the safe crate, in one program.

/// Each of these generic functions as a test in f32 and in f64.
macro_rules! in_both_precisions {
    ($($name:ident),* $(,)?) => {
        mod f32 {
            $(#[test] fn $name() { super::$name::<f32>() })*
        }
        mod f64 {
            $(#[test] fn $name() { super::$name::<f64>() })*
        }
    };
}

mod backward;
mod budget;
mod conformance;
mod context;
mod conv_basis;
mod double_double;
mod errors;
mod finite_differences;
mod forward;
mod merge;
mod oracle;
mod plan;
mod problem;
mod report;
mod sparsify;
mod views;
