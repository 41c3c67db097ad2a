//! The table of operations, the published TypeScript types and the page's client have the same operations.

#![expect(clippy::panic, clippy::expect_used, reason = "a test says by a panic what is missing")]

use std::{collections::BTreeSet, fs, path::Path};

use shearwater_core::protocol::operations::OPERATIONS;

/// Methods that ask the worker for nothing.
const OF_THE_PAGE: [&str; 13] = [
    "registerPeriodic",
    "startAutoSync",
    "stopAutoSync",
    "getSnapshot",
    "subscribe",
    "on",
    "watch",
    "trackForm",
    "collection",
    "fullSync",
    "download",
    "queueMutation",
    "close",
];

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn asking() -> BTreeSet<&'static str> {
    OPERATIONS.iter().flat_map(|entry| entry.methods).copied().collect()
}

/// The methods of `interface Client`, each at the beginning of a line of its own.
fn published() -> BTreeSet<String> {
    let types = text("sw/types/index.d.ts");
    let (_, client) = types.split_once("export interface Client {\n").expect("has a client");
    let (client, _) = client.split_once("\n}").expect("ends");
    let name = |line: &str| {
        let line = line.strip_prefix("  ")?;
        let end = line.find(|letter: char| !letter.is_ascii_alphanumeric())?;
        let (name, rest) = line.split_at(end);
        (!name.is_empty() && rest.starts_with(['(', '<'])).then(|| name.to_owned())
    };
    client.lines().filter_map(name).collect()
}

#[test]
fn the_types_have_each_operation_and_no_other() {
    let published = published();
    let known: BTreeSet<String> = asking().into_iter().chain(OF_THE_PAGE).map(str::to_owned).collect();
    let missing: Vec<_> = known.difference(&published).collect();
    assert!(missing.is_empty(), "sw/types/index.d.ts lacks {missing:?}");
    let unknown: Vec<_> = published.difference(&known).collect();
    assert!(unknown.is_empty(), "no operation of the table has the methods {unknown:?}");
}

#[test]
fn the_pages_client_has_each_operation() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../page/src"));
    for method in asking() {
        let mut rust = String::new();
        for letter in method.chars() {
            if letter.is_ascii_uppercase() {
                rust.push('_');
            }
            rust.push(letter.to_ascii_lowercase());
        }
        assert!(sources.contains(&format!("pub fn {rust}(")), "crates/page has no method {rust}");
    }
}

#[test]
fn the_documentation_names_each_method() {
    let reference = text("ARCHITECTURE.md");
    for method in asking() {
        assert!(reference.contains(&format!("`{method}`")), "ARCHITECTURE.md does not name {method}");
    }
}

/// All of the Rust below `folder`.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.push_str(&sources(&path));
        } else {
            all.push_str(&fs::read_to_string(&path).expect("text"));
        }
    }
    all
}
