//! Indexes that an app declares: by what values a record is found.
//!
//! ```text
//!   config ──adopted──▶ CollectionState.indexes: declared, pending from 0 ──rebuilt, page by page──▶ pending: none
//!                                    │                                                                    │
//!                         every write of a record               readers filter in memory until then, by the index afterwards
//! ```
//!
//! All declared indexes are one index of the store, [`VALUE_INDEX`](crate::store::VALUE_INDEX). An entry is `[owner, collection,
//! index, value…, id]`, and stands in the record's own row: it comes and goes with it.
//!
//! # What always holds
//!
//! 1. A record is written with the indexes that its collection's row names, not with those of the configuration: workers of two
//!    configurations may write side by side, and the page reads in that row what it may rely on.
//! 2. What is not pending is complete: each record that readers see has its entries. One that they do not see has none.
//! 3. A rebuild goes on from where it was after a kill. Each page is a transaction of its own, between which others write.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, SeqAccess, Visitor},
};
use serde_json::Value;

use super::{
    config::CollectionConfig,
    document::{self, Document},
    mutation::config_of,
    record::{CollectionKey, CollectionState, Record, RecordIndex},
};
use crate::{
    error::Error,
    queue::config::WorkerConfig,
    store::{IndexValue, Scan, Session, Tx, ValueKey, row::SessionKey},
    wire::{self, text::Text},
};

/// Indexes of a collection at most.
const MOST: usize = 16;

/// Paths of an index at most.
const MOST_PATHS: usize = 8;

/// Bytes of an index's name, and of a path.
const LONGEST_NAME: usize = 256;

/// UTF-16 code units by which a string is found; what comes after them does not count.
const LONGEST_TEXT: usize = 256;

/// Items of an array that count.
const MOST_ITEMS: usize = 1_000;

/// Records in one page of a rebuild. Others' writes wait for one page.
const PAGE: u32 = 200;

/// An index that an app declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// By which queries name it.
    pub name: String,
    /// Where the values are: names of members, joined by dots.
    pub paths: Vec<String>,
    /// Whether each item of an array is an entry.
    pub multi: bool,
}

/// The indexes that a collection's records are written with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indexes {
    /// They.
    pub declared: Vec<Declared>,
    /// From which record on, by `seq`, entries may be those of an earlier declaration; `None` for none.
    pub pending: Option<u64>,
}

impl CollectionState {
    /// The indexes that records are written with.
    #[must_use]
    pub fn declared(&self) -> &[Declared] {
        self.indexes.as_ref().map_or(&[], |indexes| &indexes.declared)
    }

    /// Has records written with the indexes of `config` from now on. Returns whether they were others.
    pub fn adopt(&mut self, config: &CollectionConfig) -> bool {
        let is_new = self.declared() != config.indexes;
        if is_new {
            self.indexes = Some(Indexes { declared: config.indexes.clone(), pending: Some(0) });
        }
        is_new
    }

    /// As [`CollectionState::adopt`], of a row that names none: what it names is changed by [`adopt`] alone.
    pub fn begin_indexes(&mut self, config: &CollectionConfig) {
        if self.indexes.is_none() {
            self.adopt(config);
        }
    }
}

impl Record {
    /// Makes its entries anew. Returns whether they were others.
    pub fn index(&mut self, state: &CollectionState) -> bool {
        let declared = state.declared();
        let local = self.local.as_deref().filter(|_| !declared.is_empty() && self.is_listed()).and_then(document::read);
        let mut values = Vec::new();
        for index in declared {
            index.entries(self, local.as_ref(), &mut values);
        }
        let is_changed = values != self.values;
        self.values = values;
        is_changed
    }
}

impl Declared {
    fn entries(&self, record: &Record, local: Option<&Document>, entries: &mut Vec<ValueKey>) {
        let Some(local) = local else { return };
        let values = self.paths.iter().map(|path| at(local, path));
        let keys: Vec<ValueKey> = match (values.clone().next(), self.multi) {
            (Some(Some(Value::Array(items))), true) => {
                items.iter().take(MOST_ITEMS).filter_map(|item| Some(vec![indexed(item)?])).collect()
            }
            _ => values.map(|value| indexed(value?)).collect::<Option<_>>().into_iter().collect(),
        };
        let text = |text: &str| IndexValue::Text(text.to_owned());
        // Of equal entries IndexedDB keeps one.
        for values in keys {
            let mut entry = vec![text(&record.owner), text(&record.collection), text(&self.name)];
            entry.extend(values);
            entry.push(text(&record.id));
            entries.push(entry);
        }
    }
}

/// The value at a path.
fn at<'r>(record: &'r Document, path: &str) -> Option<&'r Value> {
    let mut names = path.split('.');
    let first = record.get(names.next()?)?;
    names.try_fold(first, |value, name| value.as_object()?.get(name))
}

/// A value as it stands in an index, where it does.
fn indexed(value: &Value) -> Option<IndexValue> {
    match value {
        Value::String(text) => Some(IndexValue::Text(cut(text).to_owned())),
        // There is no -0 in an index.
        Value::Number(number) => number.as_f64().map(|number| IndexValue::Number(number + 0.0)),
        Value::Bool(truth) => Some(IndexValue::Number(f64::from(*truth))),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What counts of a string.
fn cut(text: &str) -> &str {
    let mut units = 0;
    let end = text.char_indices().find(|(_, char)| {
        units += char.len_utf16();
        units > LONGEST_TEXT
    });
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// Has the records of all collections, of all users, written with the indexes of the configuration. Returns the current user,
/// and the names of their collections that are to be rebuilt.
///
/// # Errors
/// What the transaction returns.
pub async fn adopt<T: Tx>(tx: &T, worker: &WorkerConfig) -> Result<(String, Vec<String>), Error> {
    let owner = tx.get::<Session>(&SessionKey).await?.unwrap_or_default().owner;
    let mut states = tx.page::<CollectionState>(None, u32::MAX).await?;
    for (name, config) in &worker.collections {
        // So that a query that names no index of it is told so from the first.
        if !config.indexes.is_empty() && !states.iter().any(|state| state.collection == *name && state.owner == owner) {
            states.push(CollectionState { collection: name.clone(), owner: owner.clone(), ..CollectionState::default() });
        }
    }
    let mut pending = Vec::new();
    for mut state in states {
        let Ok(config) = config_of(worker, &state.collection) else { continue };
        if state.adopt(config) {
            tx.put(&state)?;
        }
        if state.owner == owner && state.indexes.is_some_and(|indexes| indexes.pending.is_some()) {
            pending.push(state.collection);
        }
    }
    Ok((owner, pending))
}

/// Makes the entries of a page of records anew, where they may be old. Returns whether there may be more.
///
/// # Errors
/// What the transaction returns.
pub async fn rebuild<T: Tx>(tx: &T, collection: &str, owner: &str) -> Result<bool, Error> {
    let state = tx.get::<CollectionState>(&CollectionKey::new(collection, owner)).await?;
    let Some(mut state) = state else { return Ok(false) };
    let Some(from) = state.indexes.as_ref().and_then(|indexes| indexes.pending) else { return Ok(false) };
    let page = tx.scan(&Scan::of(RecordIndex::List, vec![owner, collection], PAGE).from(from)).await?;
    let next = page.last().map(|record| record.seq + 1);
    for mut record in page {
        if record.index(&state) {
            tx.put(&record)?;
        }
    }
    if let Some(indexes) = &mut state.indexes {
        indexes.pending = next;
    }
    tx.put(&state)?;
    Ok(next.is_some())
}

/// Reads `{name: path}`, where a path is a string, an array of them, or `{path, multi}`.
pub(crate) fn declared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Declared>, D::Error> {
    let entries: Vec<(String, Place)> = wire::entries(deserializer)?;
    let mut declared: Vec<Declared> = Vec::new();
    for (name, Place { paths, multi }) in entries {
        let at = declared.iter().position(|other| other.name > name).unwrap_or(declared.len());
        declared.insert(at, Declared { name, paths, multi });
    }
    Ok(declared)
}

/// Checks what the types cannot. Returns which option is wrong, and why.
pub(crate) fn check(declared: &[Declared]) -> Result<(), String> {
    if declared.len() > MOST {
        return Err("indexes: has at most 16".to_owned());
    }
    for index in declared {
        let refuse = |what: &str| Err(["indexes.", &index.name, ": ", what].text());
        let is_sound = |name: &str| !name.is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control);
        if !is_sound(&index.name) || index.name.starts_with('-') {
            return refuse("an index's name has 1 to 256 bytes, no control characters, and does not begin with \"-\"");
        }
        if index.paths.is_empty() || index.paths.len() > MOST_PATHS {
            return refuse("has 1 to 8 paths");
        }
        if index.paths.iter().any(|path| !is_sound(path) || path.split('.').any(str::is_empty)) {
            return refuse("a path is names of members, joined by dots");
        }
        if index.multi && index.paths.len() > 1 {
            return refuse("with multi, it has one path");
        }
    }
    Ok(())
}

/// Where the values of an index are.
struct Place {
    paths: Vec<String>,
    multi: bool,
}

#[derive(Deserialize)]
#[serde(rename = "!Placed")]
struct Placed {
    path: Paths,
    #[serde(default)]
    multi: bool,
}

struct Paths(Vec<String>);

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple_struct("", 0, PlaceVisitor)
    }
}

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple_struct("", 0, PathsVisitor)
    }
}

struct PlaceVisitor;

impl<'de> Visitor<'de> for PlaceVisitor {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a path, an array of paths, or an object")
    }

    fn visit_str<E: de::Error>(self, path: &str) -> Result<Place, E> {
        Ok(Place { paths: vec![path.to_owned()], multi: false })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, paths: A) -> Result<Place, A::Error> {
        PathsVisitor.visit_seq(paths).map(|Paths(paths)| Place { paths, multi: false })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Place, D::Error> {
        Placed::deserialize(deserializer).map(|Placed { path, multi }| Place { paths: path.0, multi })
    }
}

struct PathsVisitor;

impl<'de> Visitor<'de> for PathsVisitor {
    type Value = Paths;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a path or an array of paths")
    }

    fn visit_str<E: de::Error>(self, path: &str) -> Result<Paths, E> {
        Ok(Paths(vec![path.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Paths, A::Error> {
        let mut paths = Vec::new();
        while let Some(path) = items.next_element()? {
            paths.push(path);
        }
        Ok(Paths(paths))
    }
}

#[cfg(test)]
mod tests;
