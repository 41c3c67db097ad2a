//! The build: wasm, glue, `dist/`, sizes. `cargo run -p xtask -- help` lists what it does.

mod dist;
mod names;
mod run;
mod rust_page;
mod shells;
mod size;

use std::{env, process::ExitCode};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const HELP: &str = "\
xtask build [--faults]   builds the npm package into dist/, or with fault injection into dist-test/
xtask rust-page          builds the Rust page of the tests into target/xtask/rust-page/
xtask size [--check]     prints the raw, gzip and brotli size of each file in dist/, fails over budget
xtask shells             builds the unit tests of worker and page, which tests/shells/run.mjs runs in a browser
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["build"] => dist::build(false).and_then(|()| size::report(false)),
        ["build", "--faults"] => dist::build(true),
        ["rust-page"] => rust_page::build(),
        ["shells"] => shells::build(),
        ["size"] => size::report(false),
        ["size", "--check"] => size::report(true),
        _ => {
            print!("{HELP}");
            return if words == ["help"] { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
