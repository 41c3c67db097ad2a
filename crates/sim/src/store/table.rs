//! Holds the rows of one type, by key and by index.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use shearwater_core::store::{Key, Row, RowIndex, Scan, ValueKey};

/// A row as it lies in its store.
#[derive(Debug)]
pub(crate) struct Stored<R> {
    pub(crate) row: Rc<R>,
    /// It does not parse any more; nobody has noticed yet.
    pub(crate) corrupt: bool,
}

impl<R> Clone for Stored<R> {
    fn clone(&self) -> Self {
        Self { row: Rc::clone(&self.row), corrupt: self.corrupt }
    }
}

/// The rows of one type.
pub(crate) struct Table<R: Row> {
    rows: BTreeMap<R::Key, Stored<R>>,
    indexes: BTreeMap<&'static str, BTreeMap<Vec<u8>, R::Key>>,
    values: BTreeSet<(ValueKey, R::Key)>,
}

impl<R: Row> Default for Table<R> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), indexes: BTreeMap::new(), values: BTreeSet::new() }
    }
}

impl<R: Row> Table<R> {
    pub(crate) fn rows(&self) -> &BTreeMap<R::Key, Stored<R>> {
        &self.rows
    }

    pub(crate) fn row(&self, key: &R::Key) -> Option<&R> {
        self.rows.get(key).map(|stored| &*stored.row)
    }

    /// Makes a row unreadable.
    pub(crate) fn corrupt(&mut self, key: &R::Key) {
        if let Some(stored) = self.rows.get_mut(key) {
            stored.corrupt = true;
        }
    }

    /// Writes or removes a row; returns what was there.
    pub(crate) fn set(&mut self, key: &R::Key, stored: Option<Stored<R>>) -> Option<Stored<R>> {
        let before = self.rows.remove(key);
        let entries = |stored: &Option<Stored<R>>| -> Vec<(&'static str, Vec<u8>)> {
            let entries = stored.as_ref().map(|stored| stored.row.entries()).unwrap_or_default();
            entries.into_iter().map(|(index, (texts, numbers))| (index, entry(&texts, &numbers, key))).collect()
        };
        let (old, new) = (entries(&before), entries(&stored));
        for (index, entry) in old.iter().filter(|entry| !new.contains(entry)) {
            self.indexes.get_mut(index).map(|entries| entries.remove(entry));
        }
        for (index, entry) in new.into_iter().filter(|entry| !old.contains(entry)) {
            self.indexes.entry(index).or_default().insert(entry, key.clone());
        }
        for value in before.iter().flat_map(|stored| stored.row.values()) {
            self.values.remove(&(value.clone(), key.clone()));
        }
        if let Some(stored) = stored {
            self.values.extend(stored.row.values().iter().map(|value| (value.clone(), key.clone())));
            self.rows.insert(key.clone(), stored);
        }
        before
    }

    #[cfg(test)]
    /// The keys in the order of the index of values, once for each entry.
    pub(crate) fn by_value(&self) -> impl Iterator<Item = &R::Key> {
        self.values.iter().map(|(_, key)| key)
    }

    /// The keys in a range of an index, in its order.
    pub(crate) fn range<I: RowIndex<Row = R>>(&self, scan: &Scan<'_, I>) -> Vec<R::Key> {
        let (mut from, mut upto) = (texts(&scan.texts), texts(&scan.texts));
        from.extend(scan.from.to_be_bytes());
        upto.extend(scan.upto.to_be_bytes());
        upto.extend([0xff; 9]);
        // A range that ends before it begins has no rows, in IndexedDB an error.
        let entries = self.indexes.get(scan.index.as_str()).filter(|_| scan.from <= scan.upto);
        entries
            .into_iter()
            .flat_map(|entries| entries.range(from.clone()..=upto.clone()))
            .map(|(_, key)| key.clone())
            .take(scan.limit as usize)
            .collect()
    }
}

/// An index entry as bytes that order as the entry does, and rows of one entry as their keys do: names hold no control
/// characters.
fn entry(names: &[&str], numbers: &[u64], key: &impl Key) -> Vec<u8> {
    let mut bytes = texts(names);
    for number in numbers {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(key.text().as_bytes());
    bytes
}

fn texts(texts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    for text in texts {
        bytes.extend(text.as_bytes());
        bytes.push(0);
    }
    bytes
}
