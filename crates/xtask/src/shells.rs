//! Builds the unit tests of the worker and the page for the browser: the test binaries by cargo, their glue by
//! wasm-bindgen at the version of `Cargo.lock`. `tests/shells/run.mjs` runs them.

use std::{
    fs,
    process::{Command, Stdio},
};

use serde::Deserialize;
use wasm_bindgen_cli_support::Bindgen;

use crate::{Outcome, run::root};

/// The crates with such tests, and the name under which their tests are written.
const SHELLS: [(&str, &str); 2] = [("shearwater-worker", "worker"), ("shearwater-page", "page")];

/// One line of `cargo --message-format=json`, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Writes `worker.js`, `worker_bg.wasm`, `page.js` and `page_bg.wasm` into `target/xtask/shells/`.
pub fn build() -> Outcome {
    let out = root().join("target/xtask/shells");
    fs::create_dir_all(&out)?;
    let mut arguments = vec!["test", "--no-run", "--locked", "--lib", "--target", "wasm32-unknown-unknown"];
    arguments.push("--message-format=json-render-diagnostics");
    arguments.extend(SHELLS.iter().flat_map(|(package, _)| ["--package", package]));
    let built = Command::new("cargo").args(&arguments).current_dir(root()).stderr(Stdio::inherit()).output()?;
    if !built.status.success() {
        return Err(format!("`cargo {}` failed", arguments.join(" ")).into());
    }
    let printed = String::from_utf8(built.stdout)?;
    let messages: Vec<Message> = printed.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    for (package, name) in SHELLS {
        let library = package.replace('-', "_");
        let is_it = |message: &&Message| message.target.as_ref().is_some_and(|target| target.name == library);
        let executable = messages.iter().filter(is_it).find_map(|message| message.executable.clone());
        let executable = executable.ok_or_else(|| format!("cargo built no tests of {package}"))?;
        // The glue is a script and no module, so that each test can have an instance of its own.
        Bindgen::new()
            .input_path(executable)
            .out_name(name)
            .no_modules(true)?
            .debug(true)
            .typescript(false)
            .emit_start(false)
            .generate(&out)
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}
