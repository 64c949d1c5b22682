//! Softmax attention on the CPU, on [`ndarray`] views of any strides, with an error that is measured and reported.
//!
//! With `q: n_q x d`, `k: n_k x d`, `v: n_k x d_v` per head,
//!
//! ```text
//! o[i,:] = sum_j A[i,j] v[j,:] / sum_j A[i,j]      lse[i] = log sum_j A[i,j]
//! A[i,j] = exp(scale <q[i,:], k[j,:]> + lag_bias)   where query i sees key j, else 0
//! ```
//!
//! ```
//! use ndarray::array;
//! use subquad::Attention;
//!
//! let q = array![[1.0_f32, 0.0], [0.0, 2.0], [3.0, 1.0]];
//! let k = array![[0.5_f32, 0.5], [1.0, -1.0], [0.0, 1.0]];
//! let v = array![[1.0_f32], [2.0], [4.0]];
//! let output = Attention::new().causal(true).run(&q, &k, &v)?;
//! assert_eq!(output.o[[0, 0]], 1.0); // the first query sees the first key only
//! assert_eq!(output.report.int(subquad::sys::SUBQUAD_REPORT_PAIRS)?, 6);
//! # Ok::<(), subquad::Error>(())
//! ```
//!
//! Arrays have two dimensions (one head), three (heads first) or four (batch, then heads), all alike; `H_q` query heads share
//! `H_kv` key and value heads when `H_q` is a multiple of `H_kv`. Nothing is copied: reversed, broadcast and strided views are
//! read where they lie. Names, ids and codes are the constants of [`sys`], whose functions are documented by the C header.
//!
//! Where an error may be made, [`Attention::tol`] asks for attention to a tolerance: each head is computed in the cheapest way whose
//! estimated error meets it, and the report has the estimates. A [`Plan`] applies what was decided to any number of values.
//!
//! Where the logits depend on the lag alone, or change with the key at few places only, a [`ConvBasis`] holds them as a few kernels, and
//! attention takes time near linear in n.
//!
//! A matrix of few rows and many columns, in memory, sparse or in blocks, has a [`Sparsifier`]: few of its columns, reweighted, that stand
//! for it in a softmax, with a certificate of how well.
//!
//! Every failure is an [`Error`] with a code and a message that names the argument and its value.

mod array;
mod attention;
mod backward;
mod call;
mod context;
mod conv_basis;
mod error;
mod fill;
mod info;
mod library;
mod loss;
mod matrix;
mod merge;
mod options;
mod plan;
mod report;
mod sparsify;
mod wisdom;

pub use array::Element;
pub use attention::{Attention, Output};
pub use backward::{Gradients, GradientsMut};
pub use context::Context;
pub use conv_basis::{ConvBasis, ConvOptions, FitOptions, Found, Product, RecoverOptions};
pub use error::{Error, Result};
pub use fill::fill_uniform;
pub use info::{info, simd_targets};
pub use loss::Loss;
#[cfg(feature = "sprs")]
pub use matrix::SparseIndex;
pub use matrix::{ColumnBlocks, Matrix};
pub use merge::Merged;
pub use plan::{Plan, PlanOptions};
pub use report::{Head, Report};
pub use sparsify::{
    LeverageScores, Scores, SoftmaxError, Sparsified, Sparsifier, SparsifierOptions, Sparsify,
};
pub use subquad_sys as sys;
pub use wisdom::{export_wisdom, import_wisdom};

pub use ndarray;
#[cfg(feature = "sprs")]
pub use sprs;
