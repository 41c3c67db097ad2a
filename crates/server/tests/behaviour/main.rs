//! What the server does, seen over real TCP connections.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is test code: a panic is the verdict"
)]

mod analytics;
mod arrivals;
mod binary;
mod control;
mod cors;
mod faults;
mod idempotency;
mod notes;
mod records;
mod records_batch;
mod records_control;
mod sink;
mod statics;
mod streams;
mod world;

/// A module that nobody names is a test that nobody runs.
#[test]
fn every_file_here_is_named_above() {
    let named = include_str!("main.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/behaviour")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(module == "main" || named.contains(&format!("\nmod {module};")), "{name} is not run");
    }
}
