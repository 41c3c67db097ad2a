//! Shortens the names by which wasm and glue know each other: each carries a hash that does not compress.

use std::collections::HashMap;

use serde::Deserialize;

use crate::Outcome;

/// The module from which everything is imported, as `wasm-opt` calls it then.
const MODULE: &str = "a";

/// What `wasm-opt --minify-imports-and-exports-and-modules` prints: what each name has become.
#[derive(Deserialize)]
struct Renamed {
    /// Module, name, and its new name.
    imports: Vec<(String, String, String)>,
    /// Name, and its new name.
    exports: Vec<(String, String)>,
}

/// The glue with the names that `printed` tells of.
pub fn shorten(glue: &str, printed: &str) -> Outcome<String> {
    let renamed: Renamed = serde_json::from_str(printed)?;
    let mut imports: HashMap<&str, &str> = renamed.imports.iter().map(|(_, old, new)| (old.as_str(), new.as_str())).collect();
    let exports: HashMap<&str, &str> = renamed.exports.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
    let mut out = String::with_capacity(glue.len());
    let mut rest = glue;
    while let Some(start) = rest.find(is_word) {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let (word, after) = from.split_at(from.find(|char| !is_word(char)).unwrap_or(from.len()));
        // `wasm.old(…)` calls what is exported; `old: function (…)` is what is imported.
        let new = if out.ends_with("wasm.") {
            exports.get(word).copied()
        } else if after.starts_with(": ") {
            imports.remove(word)
        } else {
            None
        };
        out.push_str(new.unwrap_or(word));
        rest = after;
    }
    out.push_str(rest);
    if !imports.is_empty() {
        return Err(format!("the glue has none of these imports: {imports:?}").into());
    }
    let module = renamed.imports.first().map(|(module, ..)| format!("\"{module}\"")).unwrap_or_default();
    Ok(out.replace(&module, &format!("\"{MODULE}\"")))
}

fn is_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_' || char == '$'
}
