//! Leverage scores and sparsifiers: each against a singular value decomposition in f64.

mod attention;
mod blocks;
pub mod budget;
mod context;
mod edges;
mod errors;
mod find;
mod layouts;
mod matrices;
mod oracle;
mod pair;
mod scores;
