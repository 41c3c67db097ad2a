//! The derives of serde keep to what `wire` can read: see its documentation.

#![expect(clippy::panic, clippy::expect_used, reason = "a test says by a panic what is wrong")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What only a reader by names would see.
const UNSEEN: [&str; 9] =
    ["flatten", "alias", "skip_deserializing", "deny_unknown_fields", "untagged", "tag", "content", "other", "remote"];

/// All files of the crates whose types `wire` reads.
fn sources() -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> = ["core", "web", "page", "worker"]
        .map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src"))
        .into();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                files.push((path, text));
            }
        }
    }
    files
}

/// What stands in the `#[serde(…)]` of each line, and the lines after it.
fn attributes(text: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let all: Vec<_> = lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| {
            let attribute = line.strip_prefix("#[serde(")?.strip_suffix(")]")?;
            Some((attribute, lines.iter().skip(at + 1).copied().collect()))
        })
        .collect();
    all.into_iter()
}

#[test]
fn no_type_asks_for_what_is_not_read() {
    let mut seen = 0;
    for (path, text) in sources() {
        assert!(!text.contains("#[serde(\n"), "{}: an attribute of serde in several lines is not checked", path.display());
        for (attribute, _) in attributes(&text) {
            seen += 1;
            for part in attribute.split([',', '(']) {
                let word = part.split('=').next().unwrap_or_default().trim();
                assert!(!UNSEEN.contains(&word), "{}: {attribute}", path.display());
            }
        }
    }
    assert!(seen > 50, "{seen} attributes");
}

#[test]
fn a_strict_type_is_marked_with_its_own_name_and_has_no_groups() {
    let mut strict = 0;
    for (path, text) in sources() {
        for (attribute, rest) in attributes(&text) {
            let Some((_, name)) = attribute.split_once("rename = \"!") else { continue };
            strict += 1;
            let name = name.split('"').next().unwrap_or_default();
            let item = rest.iter().find(|line| line.contains("struct ")).copied().unwrap_or_default();
            let own = item.split_once("struct ").map(|(_, own)| own.trim_end_matches([' ', '{'])).unwrap_or_default();
            assert_eq!(own, name, "{}", path.display());
            let fields = rest.iter().take_while(|line| !line.starts_with('}'));
            assert!(fields.copied().all(|line| !line.contains("rename = \"..")), "{}: {name} has a flat field", path.display());
        }
    }
    assert!(strict > 10, "{strict} strict types");
}

#[test]
fn a_flat_field_is_marked_with_its_own_name() {
    for (path, text) in sources() {
        for (attribute, rest) in attributes(&text) {
            let Some((_, name)) = attribute.split_once("rename = \"..") else { continue };
            let name = name.split('"').next().unwrap_or_default();
            let field = rest.first().copied().unwrap_or_default();
            assert!(field.trim_start_matches("pub ").starts_with(&format!("{name}:")), "{}: {name} is {field}", path.display());
        }
    }
}
