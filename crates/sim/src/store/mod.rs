//! Holds the simulated database: the rows, the indexes over them, and what a transaction undoes.
//!
//! There is one [`Database`]; a [`SimTx`] changes it in place and keeps a log to undo it all, so a
//! transaction costs what it touches. Transactions do not overlap, as two read-write transactions on
//! the same stores do not in IndexedDB.

mod tx;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use shearwater_core::{
    JobId, Millis,
    queue::{history::Outcome, job::Job},
    store::{Answer, Index, Scan, Session, ledger::Ledger},
};

pub(crate) use tx::{Changes, Mode, SimTx};

/// A row of the `jobs` store.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) job: Rc<Job>,
    /// It does not parse any more; nobody has noticed yet.
    pub(crate) corrupt: bool,
}

/// Small bodies that share a record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pack {
    /// By the bytes before each.
    bodies: BTreeMap<u64, u64>,
    /// How many jobs need it still.
    pub(crate) left: u32,
}

/// Everything that is stored.
#[derive(Default)]
pub(crate) struct Database {
    rows: BTreeMap<JobId, Row>,
    indexes: [BTreeMap<Vec<u8>, JobId>; Index::ALL.len()],
    bodies: BTreeMap<JobId, u64>,
    packs: BTreeMap<JobId, Pack>,
    history: BTreeMap<JobId, Outcome>,
    by_delivery: BTreeSet<(Millis, JobId)>,
    ledger: Option<Ledger>,
    /// The highest version of any ledger, also of one that was lost.
    latest_version: u64,
    session: Option<Session>,
    receipts: BTreeMap<(Millis, String), Answer>,
    tombstones: BTreeMap<JobId, Millis>,
    quarantine: Vec<Rc<Job>>,
    /// Committed transactions that wrote anything.
    commits: u64,
}

impl Database {
    pub(crate) fn rows(&self) -> &BTreeMap<JobId, Row> {
        &self.rows
    }

    pub(crate) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.rows.values().map(|row| &*row.job)
    }

    pub(crate) fn job(&self, id: &JobId) -> Option<&Job> {
        self.rows.get(id).map(|row| &*row.job)
    }

    pub(crate) fn body(&self, job: &Job) -> Option<u64> {
        match &job.work.request().packed {
            Some(packed) => self.packs.get(&packed.pack)?.bodies.get(&packed.at).copied(),
            None => self.bodies.get(&job.id).copied(),
        }
    }

    pub(crate) fn packs(&self) -> &BTreeMap<JobId, Pack> {
        &self.packs
    }

    /// Rows that were put aside.
    pub(crate) fn quarantine(&self) -> impl Iterator<Item = &Job> {
        self.quarantine.iter().map(|job| &**job)
    }

    pub(crate) fn bodies(&self) -> impl Iterator<Item = &JobId> {
        self.bodies.keys()
    }

    pub(crate) fn outcome(&self, id: &JobId) -> Option<&Outcome> {
        self.history.get(id)
    }

    pub(crate) fn delivered(&self) -> usize {
        self.history.len()
    }

    pub(crate) fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// Who is signed in, as far as the store knows.
    pub(crate) fn owner(&self) -> &str {
        self.session.as_ref().map_or("", |session| &session.owner)
    }

    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits
    }

    /// Makes a row unreadable, as a failing disk does.
    pub(crate) fn corrupt(&mut self, id: &JobId) {
        if let Some(row) = self.rows.get_mut(id) {
            row.corrupt = true;
        }
    }

    /// Makes the ledger unreadable.
    pub(crate) fn lose_ledger(&mut self) {
        self.ledger = None;
    }

    fn put_row(&mut self, row: Row) -> Option<Row> {
        let before = self.rows.get(&row.job.id).cloned();
        for (at, index) in Index::ALL.into_iter().enumerate() {
            let Some(entries) = self.indexes.get_mut(at) else { continue };
            let (old, new) = (before.as_ref().and_then(|row| entry(index, &row.job)), entry(index, &row.job));
            if old != new {
                old.map(|entry| entries.remove(&entry));
                new.map(|entry| entries.insert(entry, row.job.id.clone()));
            }
        }
        self.rows.insert(row.job.id.clone(), row);
        before
    }

    fn remove_row(&mut self, id: &JobId) -> Option<Row> {
        let row = self.rows.remove(id)?;
        for (at, index) in Index::ALL.into_iter().enumerate() {
            if let Some(entries) = self.indexes.get_mut(at)
                && let Some(entry) = entry(index, &row.job)
            {
                entries.remove(&entry);
            }
        }
        Some(row)
    }

    fn set_row(&mut self, id: &JobId, row: Option<Row>) {
        match row {
            Some(row) => drop(self.put_row(row)),
            None => drop(self.remove_row(id)),
        }
    }

    fn set_pack(&mut self, id: &JobId, pack: Option<Pack>) -> Option<Pack> {
        match pack {
            Some(pack) => self.packs.insert(id.clone(), pack),
            None => self.packs.remove(id),
        }
    }

    fn set_outcome(&mut self, id: &JobId, outcome: Option<Outcome>) -> Option<Outcome> {
        let before = self.history.remove(id);
        if let Some(before) = &before {
            self.by_delivery.remove(&(before.delivered_at, id.clone()));
        }
        if let Some(outcome) = outcome {
            self.by_delivery.insert((outcome.delivered_at, id.clone()));
            self.history.insert(id.clone(), outcome);
        }
        before
    }

    /// The ids in a range of an index, in its order.
    fn range(&self, scan: &Scan<'_>) -> impl Iterator<Item = &JobId> {
        let at = Index::ALL.iter().position(|index| *index == scan.index);
        let (mut from, mut upto) = (texts(&scan.texts), texts(&scan.texts));
        from.extend(scan.from.to_be_bytes());
        upto.extend(scan.upto.to_be_bytes());
        upto.extend([0xff; 9]);
        // A range that ends before it begins has no rows, in IndexedDB an error.
        at.filter(|_| scan.from <= scan.upto)
            .and_then(|at| self.indexes.get(at))
            .into_iter()
            .flat_map(move |entries| entries.range(from.clone()..=upto.clone()).map(|(_, id)| id))
    }
}

/// An index entry as bytes that order as the entry does: names hold no control characters.
fn entry(index: Index, job: &Job) -> Option<Vec<u8>> {
    let (names, numbers) = index.entry(job)?;
    let mut bytes = texts(&names);
    for number in numbers {
        bytes.extend(number.to_be_bytes());
    }
    Some(bytes)
}

fn texts(texts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    for text in texts {
        bytes.extend(text.as_bytes());
        bytes.push(0);
    }
    bytes
}
