//! The cases of tests/conformance, which C, Python, Julia and Rust all run; its README is the format.

mod arrays;
mod auto;
mod bad_calls;
mod call;
mod cases;
mod conv_basis;
mod json;
mod plan;
mod sparsify;

use std::path::Path;

use serde_json::Value;

/// A master of tests/conformance.
fn master(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/conformance");
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let master: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(master["format"], 1, "{}", path.display());
    master
}
