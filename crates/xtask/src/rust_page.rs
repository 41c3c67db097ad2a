//! Builds the Rust page of the tests as its user would: by cargo and wasm-bindgen, in the dev profile.

use std::fs;

use wasm_bindgen_cli_support::Bindgen;

use crate::{
    Outcome,
    run::{root, run, target},
};

/// Builds `tests/rust-page` into `target/xtask/rust-page/`.
pub fn build() -> Outcome {
    run("cargo", &["build", "-p", "shearwater-rust-page", "--target", "wasm32-unknown-unknown", "--locked", "--quiet"])?;
    let out = root().join("target/xtask/rust-page");
    fs::create_dir_all(&out)?;
    let input = target().join("wasm32-unknown-unknown/debug/shearwater_rust_page.wasm");
    Bindgen::new()
        .input_path(input)
        .web(true)?
        .omit_default_module_path(false)
        .typescript(false)
        .generate(out)
        .map_err(|error| error.to_string())?;
    Ok(())
}
