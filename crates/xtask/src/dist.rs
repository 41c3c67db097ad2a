//! Builds the npm package: wasm by cargo, glue by wasm-bindgen at the version of `Cargo.lock`,
//! `wasm-opt` and esbuild at the versions of `package-lock.json`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use wasm_bindgen_cli_support::Bindgen;

use crate::{
    Outcome,
    names::{self, Build},
    run::{root, run, run_with, target},
};

/// The wasm features that every browser of the last years has; named, because wasm-opt knows no target.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// What makes it smallest after brotli: the code that LLVM repeats costs less than what replaces it. Inlining
/// mixes it up, and so do the passes that are skipped; each was measured. Nothing lies in the first KiB of the
/// memory, where the stack ends.
const OPTIMISED: [&str; 10] = [
    "-Oz",
    "--converge",
    "--one-caller-inline-max-function-size=30",
    "--skip-pass=local-cse",
    "--skip-pass=merge-similar-functions",
    "--low-memory-unused",
    "--reorder-functions-by-name", // the same generic function of other types is much the same
    "--reorder-locals",
    "--strip-debug",
    "--strip-producers",
];

/// Has LLVM make no copies of code by which a path might be spared a load, and no counters of a loop's own.
const LEAN: [&str; 3] = ["-Cllvm-args=-enable-pre=false", "-Cllvm-args=-enable-load-pre=false", "-Cllvm-args=-disable-lsr"];

/// The most memory of an instance: 1 GiB, far beyond what it needs. Without a limit it may grow to all of 4 GiB, where talc
/// 5.1.1 takes an address that wraps (`full_search_bin`) for one that fits, and hands out memory that is in use; below 2 GiB
/// none wraps, and what finds no room fails.
const MOST_MEMORY: &str = "-Clink-arg=--max-memory=1073741824";

/// One crate as wasm; see `names` for what the builds of one crate have in common.
struct Variant {
    package: &'static str,
    /// Where it lies in `dist/`, without extension.
    name: &'static str,
    features: &'static [&'static str],
    /// Not optimised, and names of functions kept.
    debug: bool,
}

const PAGE: Variant = Variant { package: "shearwater-page", name: "page", features: &[], debug: false };
const QUEUE: Variant = Variant { package: "shearwater-worker", name: "worker", features: &[], debug: false };
const FULL: Variant = Variant { name: "worker-full", features: &["full"], ..QUEUE };
const QUEUE_DEBUG: Variant = Variant { name: "debug/worker", features: &["debug"], debug: true, ..QUEUE };
const FULL_DEBUG: Variant = Variant { name: "debug/worker-full", features: &["full", "debug"], debug: true, ..QUEUE };

/// Builds `dist/`, or `dist-test/` with the messages that break things on purpose. That has no full worker, which
/// breaks no other way.
pub fn build(faults: bool) -> Outcome {
    let root = root();
    let dist = root.join(if faults { "dist-test" } else { "dist" });
    fs::create_dir_all(dist.join("debug"))?;
    let work = root.join("target/xtask").join(if faults { "faults" } else { "release" });
    fs::create_dir_all(&work)?;

    // The widest first.
    let workers: &[Variant] = if faults { &[QUEUE_DEBUG, QUEUE] } else { &[FULL_DEBUG, FULL, QUEUE_DEBUG, QUEUE] };
    let (worker_glue, workers) = compile_all(workers, faults, &work, &dist)?;
    let (page_glue, page) = compile_all(&[PAGE], false, &work, &dist)?;
    watch_callbacks(&worker_glue)?;

    let digests = [
        ("__WORKER_SHA256__", serde_json::to_string(&workers)?),
        ("__PAGE_SHA256__", serde_json::to_string(page.get("page.wasm").ok_or("no page.wasm")?)?),
        ("__PAGE_CACHE__", "\"shearwater page.wasm\"".to_owned()),
    ];
    for (entry, file, format, glue) in [
        ("sw/worker/classic.js", "worker.js", "iife", &worker_glue),
        ("sw/worker/module.js", "worker.mjs", "esm", &worker_glue),
        ("sw/adapters/import-workbox-classic.js", "import-workbox.js", "iife", &worker_glue),
        ("sw/adapters/import-workbox.js", "import-workbox.mjs", "esm", &worker_glue),
        ("sw/page/index.js", "page.js", "esm", &page_glue),
        ("sw/page/diagnose.js", "diagnose.js", "esm", &page_glue),
        ("sw/page/forms.js", "forms.js", "esm", &page_glue),
        ("sw/adapters/tanstack-db.js", "tanstack-db.js", "esm", &page_glue),
    ] {
        bundle(entry, &dist.join(file), format, glue, &digests)?;
    }

    for (from, to) in [
        ("sw/types/index.d.ts", "index.d.ts"),
        ("sw/types/worker.d.ts", "worker.d.ts"),
        ("sw/types/forms.d.ts", "forms.d.ts"),
        ("sw/types/tanstack-db.d.ts", "tanstack-db.d.ts"),
        ("sw/types/import-workbox.d.ts", "import-workbox.d.ts"),
        ("sw/package.json", "package.json"),
        ("README.md", "README.md"),
        ("LICENSE-MIT", "LICENSE-MIT"),
        ("LICENSE-APACHE", "LICENSE-APACHE"),
    ] {
        fs::copy(root.join(from), dist.join(to)).map_err(|error| format!("{from}: {error}"))?;
    }
    Ok(())
}

/// Builds variants of one crate into `dist`; returns where their glue is, and the SHA-256 of each file by its name.
fn compile_all(variants: &[Variant], faults: bool, work: &Path, dist: &Path) -> Outcome<(PathBuf, BTreeMap<String, String>)> {
    let builds: Vec<Build> = variants.iter().map(|variant| compile(variant, faults, work)).collect::<Outcome<_>>()?;
    let (glue, wasm) = names::unite(&builds)?;
    let mut digests = BTreeMap::new();
    for (variant, wasm) in variants.iter().zip(wasm) {
        let file = format!("{}.wasm", variant.name);
        fs::write(dist.join(&file), &wasm)?;
        digests.insert(file, hex(&Sha256::digest(&wasm)));
    }
    let path = work.join(format!("{}.js", variants.first().map_or("", |variant| variant.package)));
    fs::write(&path, glue)?;
    Ok((path, digests))
}

fn compile(variant: &Variant, faults: bool, work: &Path) -> Outcome<Build> {
    let Variant { package, name, debug, .. } = *variant;
    let profile = if debug { "wasm-debug" } else { "wasm" };
    let features = variant.features.iter().copied().chain(faults.then_some("faults")).collect::<Vec<_>>().join(",");
    // One crate type: cargo does no LTO for a library that is an rlib besides.
    let mut arguments = vec!["rustc", "-p", package, "--lib", "--crate-type", "cdylib"];
    arguments.extend(["--target", "wasm32-unknown-unknown", "--profile", profile, "--locked", "--features", &features]);
    arguments.extend(["--", MOST_MEMORY]);
    if !debug {
        arguments.extend(LEAN);
    }
    run_with("cargo", &arguments, &[("CARGO_ENCODED_RUSTFLAGS", &nameless())])?;
    let raw = target().join("wasm32-unknown-unknown").join(profile).join(format!("{}.wasm", package.replace('-', "_")));
    let file = format!("shearwater_{}", name.replace(['-', '/'], "_"));
    Bindgen::new()
        .input_path(raw)
        .out_name(&file)
        .web(true)?
        .omit_default_module_path(true)
        .typescript(false)
        .remove_name_section(false) // wasm-opt sorts by it, and strips it then
        .remove_producers_section(true)
        .generate(work)
        .map_err(|error| error.to_string())?;
    let (bound, optimised) = (work.join(format!("{file}_bg.wasm")), work.join(format!("{file}.wasm")));
    if debug {
        fs::copy(&bound, &optimised)?;
    } else {
        wasm_opt(&bound, &optimised)?;
    }
    let glue = fs::read_to_string(work.join(format!("{file}.js")))?;
    Ok(Build { name: format!("{name}.wasm"), glue, wasm: fs::read(optimised)? })
}

/// Has the glue tell of what the wasm throws in a callback of the platform, before that reports or swallows it: a trap
/// there is the wasm's death, and of an overflowing stack Firefox tells a worker nothing.
fn watch_callbacks(glue: &Path) -> Outcome {
    const CALL: &str = "return f(a, state.b, ...args);\n        } finally {";
    const WATCHED: &str = "return f(a, state.b, ...args);\n        } catch (thrown) {\n            watch(thrown);\n            throw thrown;\n        } finally {";
    const SETTER: &str = "\nlet watch = () => {};\nexport function watchCallbacks(watcher) {\n    watch = watcher;\n}\n";
    let text = fs::read_to_string(glue)?;
    if text.matches(CALL).count() != 1 {
        return Err("the glue calls closures in another way than it did: see watch_callbacks".into());
    }
    fs::write(glue, text.replace(CALL, WATCHED) + SETTER)?;
    Ok(())
}

/// Has panics of a dependency name its file without the folder of the machine that built it.
fn nameless() -> String {
    let home = |name| std::env::var_os(name).map(PathBuf::from);
    let cargo = home("CARGO_HOME").or_else(|| home("HOME").map(|home| home.join(".cargo"))).unwrap_or_default();
    let mut flags = format!("--remap-path-prefix={}=cargo", cargo.display());
    // Where a panic happened is told by crate and file.
    for name in ["core", "worker", "page", "web"] {
        flags.push_str(&format!("\u{1f}--remap-path-prefix=crates/{name}/src={name}"));
    }
    flags
}

fn wasm_opt(from: &Path, to: &Path) -> Outcome {
    let (from, to) = (from.display().to_string(), to.display().to_string());
    let mut arguments = vec!["node_modules/binaryen/bin/wasm-opt"];
    arguments.extend(FEATURES);
    arguments.extend(OPTIMISED);
    arguments.extend([from.as_str(), "-o", to.as_str()]);
    run("node", &arguments)
}

fn bundle(entry: &str, out: &Path, format: &str, glue: &Path, digests: &[(&str, String)]) -> Outcome {
    let mut arguments = vec![
        entry.to_owned(),
        "--bundle".to_owned(),
        "--minify".to_owned(),
        "--target=es2022".to_owned(),
        "--charset=utf8".to_owned(),
        "--log-level=warning".to_owned(),
        "--external:./diagnose.js".to_owned(), // loaded only when a worker does not start
        "--external:./forms.js".to_owned(),    // loaded only where a form is tracked
        format!("--format={format}"),
        format!("--outfile={}", out.display()),
        format!("--alias:shearwater-glue={}", glue.canonicalize()?.display()),
        format!("--define:__VERSION__=\"{}\"", env!("CARGO_PKG_VERSION")),
    ];
    arguments.extend(digests.iter().map(|(name, digest)| format!("--define:{name}={digest}")));
    run("node_modules/.bin/esbuild", &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
