//! One glue for several builds of a crate: the names by which wasm and glue know each other are made the same in all
//! of them, and short.
//!
//! wasm-bindgen numbers its conversions and hashes the functions that call closures, in each build anew. A conversion is
//! told by its text here, and a closure's function by the import that hands it out. The glue of the widest build, that
//! with all cargo features, then serves the others, for each of which is checked that whatever it has in its own glue is in
//! that one, word for word. Hashes do not compress either, so each name becomes a letter or two.

use std::collections::HashMap;

use wasm_encoder::{EntityType, ExportKind, ExportSection, ImportSection, Module, RawSection};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

use crate::Outcome;

/// The module from which everything is imported.
const MODULE: &str = "a";
const IMPORTS: &str = "    const import0 = {\n";
const IMPORTS_END: &str = "\n    };\n";
/// How the functions that call closures are named, before a hash.
const INVOKE: &str = "wasm_bindgen__convert__closures_____invoke__";

/// What wasm-bindgen and `wasm-opt` have made of one build.
pub struct Build {
    /// For error messages.
    pub name: String,
    /// JavaScript.
    pub glue: String,
    /// A module.
    pub wasm: Vec<u8>,
}

/// Names the same in all builds; returns their one glue and each one's wasm. The first build is the widest.
pub fn unite(builds: &[Build]) -> Outcome<(String, Vec<Vec<u8>>)> {
    let first = builds.first().ok_or("there is no build")?;
    let widest = Glue::read(&first.glue)?;
    let imports = short(widest.imports.iter().map(|import| import.same.as_str()));
    let exports = short(exports_of(&first.wasm)?.iter().map(String::as_str));
    let mut renamed = Vec::new();
    for build in builds {
        let glue = Glue::read(&build.glue)?;
        let closures = glue
            .served_by(&widest)
            .map_err(|what| format!("the glue of {} does not serve {}: {what}", first.name, build.name))?;
        let import = |name: &str| {
            let import = glue.imports.iter().find(|import| import.name == name)?;
            imports.get(&import.same).map(String::as_str)
        };
        let export = |name: &str| {
            // One function may be what two are in the widest.
            let theirs = closures.iter().filter(|(_, ours)| ours == name).map(|(theirs, _)| theirs.as_str());
            let all = theirs.chain((!name.starts_with(INVOKE)).then_some(name));
            all.filter_map(|name| exports.get(name).map(String::as_str)).collect()
        };
        renamed.push(rename(&build.wasm, import, export).map_err(|error| format!("{}: {error}", build.name))?);
    }
    Ok((widest.text(&imports, &exports), renamed))
}

/// The glue of one build.
struct Glue {
    /// What stands before the imports, and after them.
    around: (String, String),
    imports: Vec<Import>,
}

/// A function that the wasm imports.
struct Import {
    name: String,
    /// What it is called in whatever build.
    same: String,
    text: String,
}

impl Glue {
    fn read(glue: &str) -> Outcome<Self> {
        let (before, after) = glue.split_once(IMPORTS).ok_or("the glue has no object of imports")?;
        let (entries, after) = after.split_once(IMPORTS_END).ok_or("the object of imports has no end")?;
        // The module is called after the file.
        let (start, end) = after.split_once(": import0").ok_or("the imports are of no module")?;
        let (start, _) = start.rsplit_once(' ').ok_or("the imports are of no module")?;
        let around = (before.to_owned(), format!("{start} \"{MODULE}\": import0{end}"));
        let mut imports: Vec<Import> = Vec::new();
        for entry in format!("\n{entries}").split("\n        __").skip(1) {
            let (name, text) = entry.split_once(": ").ok_or("an import without a name")?;
            let text = without_indices(text.trim_end_matches(','));
            let same = if name.starts_with("wbindgen_generic_") { nameless(&text) } else { name.to_owned() };
            // Of those that are the same, one is as good as the other.
            let times = imports.iter().filter(|import| import.same.split('#').next() == Some(&same)).count();
            imports.push(Import { name: format!("__{name}"), same: format!("{same}#{times}"), text });
        }
        Ok(Self { around, imports })
    }

    /// The functions of closures: what each one of `other` is here. Fails where `other` lacks what this has.
    fn served_by(&self, other: &Self) -> Result<Vec<(String, String)>, String> {
        let mut closures: Vec<(String, String)> = Vec::new();
        for import in &self.imports {
            let text = nameless(&import.text);
            let theirs = other.imports.iter().find(|theirs| theirs.same == import.same && nameless(&theirs.text) == text);
            let theirs = theirs.ok_or_else(|| format!("it lacks the import {} of {text}", import.name))?;
            for (theirs, ours) in words(&theirs.text).zip(words(&import.text)).filter(|(_, ours)| ours.starts_with(INVOKE)) {
                match closures.iter().find(|(known, _)| known == theirs) {
                    Some((_, known)) if known != ours => return Err(format!("{theirs} would be {known} and {ours}")),
                    Some(_) => {}
                    None => closures.push((theirs.to_owned(), ours.to_owned())),
                }
            }
        }
        let there = nameless(&format!("{}\n{}", other.around.0, other.around.1));
        let here = nameless(&format!("{}\n{}", self.around.0, self.around.1));
        // What stands between two functions may stand elsewhere there.
        let functions =
            here.split_inclusive("\n}\n").filter_map(|item| item.find("function ").map(|start| item.split_at(start).1));
        for function in functions {
            if !there.contains(function) {
                return Err(format!("it lacks {function}"));
            }
        }
        for (theirs, ours) in &closures {
            if other.function(theirs) != self.function(ours) {
                return Err(format!("{theirs} is no {ours}"));
            }
        }
        Ok(closures)
    }

    /// The text of the function of a closure, without its name.
    fn function(&self, name: &str) -> Option<String> {
        let (_, text) = self.around.1.split_once(&format!("function {name}("))?;
        text.split_once("\n}\n").map(|(text, _)| nameless(text))
    }

    /// As JavaScript, with short names.
    fn text(&self, imports: &HashMap<String, String>, exports: &HashMap<String, String>) -> String {
        // `wasm.old(…)` calls what is exported.
        let exported = |text: &str| {
            replace_words(
                text,
                |word, before| if before.ends_with("wasm.") { exports.get(word).map(String::as_str) } else { None },
            )
        };
        let mut out = exported(&self.around.0) + IMPORTS;
        for Import { name, same, text } in &self.imports {
            out.push_str(&["        ", imports.get(same).unwrap_or(name), ": ", &exported(text), ",\n"].concat());
        }
        out + IMPORTS_END.trim_start() + &exported(&self.around.1)
    }
}

/// `text` with one name for the functions of all closures.
fn nameless(text: &str) -> String {
    replace_words(text, |word, _| word.starts_with(INVOKE).then_some("invoke"))
}

/// `text` without what wasm-bindgen counts in its comments.
fn without_indices(text: &str) -> String {
    let mut parts = text.split("shim_idx: ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.trim_start_matches(|char: char| char.is_ascii_digit()));
    }
    out
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char| !is_word(char)).filter(|word| !word.is_empty())
}

/// `text` with each word for which `new`, given what stands before it, has another.
fn replace_words<'a>(text: &str, new: impl Fn(&str, &str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let (word, after) = from.split_at(from.find(|char| !is_word(char)).unwrap_or(from.len()));
        let new = new(word, &out).unwrap_or(word);
        out.push_str(new);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_' || char == '$'
}

/// A short name for each.
fn short<'a>(names: impl Iterator<Item = &'a str>) -> HashMap<String, String> {
    const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let letter = |at: usize| LETTERS.get(at % LETTERS.len()).map_or('_', |letter| char::from(*letter));
    let name = |at: usize| match at.checked_sub(LETTERS.len()) {
        None => letter(at).to_string(),
        Some(at) => format!("{}{}", letter(at), "b".repeat(1 + at / LETTERS.len())),
    };
    names.enumerate().map(|(at, old)| (old.to_owned(), name(at))).collect()
}

fn exports_of(wasm: &[u8]) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::ExportSection(section) = payload? {
            for export in section {
                names.push(export?.name.to_owned());
            }
        }
    }
    Ok(names)
}

/// The module with another name of each import and with other names of each export; everything else as it is.
fn rename<'a>(
    wasm: &[u8],
    import_name: impl Fn(&str) -> Option<&'a str>,
    export_names: impl Fn(&str) -> Vec<&'a str>,
) -> Outcome<Vec<u8>> {
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => {
                let mut imports = ImportSection::new();
                for import in section.into_imports() {
                    let import = import?;
                    let name = import_name(import.name).ok_or_else(|| format!("the glue has no {}", import.name))?;
                    let TypeRef::Func(function) = import.ty else { return Err(format!("{} is no function", import.name).into()) };
                    imports.import(MODULE, name, EntityType::Function(function));
                }
                module.section(&imports);
            }
            Payload::ExportSection(section) => {
                let mut exports = ExportSection::new();
                for export in section {
                    let export = export?;
                    let kind = match export.kind {
                        ExternalKind::Func => ExportKind::Func,
                        ExternalKind::Memory => ExportKind::Memory,
                        ExternalKind::Table => ExportKind::Table,
                        ExternalKind::Global => ExportKind::Global,
                        kind => return Err(format!("{} is exported as {kind:?}", export.name).into()),
                    };
                    let names = export_names(export.name);
                    if names.is_empty() {
                        return Err(format!("the widest build has no {}", export.name).into());
                    }
                    for name in names {
                        exports.export(name, kind, export.index);
                    }
                }
                module.section(&exports);
            }
            payload => {
                if let Some((id, range)) = payload.as_section() {
                    let data = wasm.get(range).ok_or("a section beyond the end")?;
                    module.section(&RawSection { id, data });
                }
            }
        }
    }
    Ok(module.finish())
}
