//! Holds the simulated database: the rows, the indexes over them, and what a transaction undoes.
//!
//! There is one [`Database`]; a [`SimTx`] changes it in place and keeps a log to undo it all, so a
//! transaction costs what it touches. Transactions do not overlap, as two read-write transactions on
//! the same stores do not in IndexedDB.

mod table;
mod tx;

use std::{any::Any, collections::BTreeMap, rc::Rc};

use shearwater_core::{
    JobId,
    collections::record::{CollectionKey, CollectionState, Record},
    drafts::Draft,
    queue::{history::Outcome, job::Job},
    schedule::periodic::{PeriodicRun, TagKey},
    store::{
        Answer, Row, Session, Store, Tombstone,
        ledger::Ledger,
        row::{LedgerKey, PackUse, PackUseKey, SessionKey},
    },
};

use table::{Stored, Table};

pub(crate) use tx::{Changes, Mode, SimTx};

/// Everything that is stored.
#[derive(Default)]
pub(crate) struct Database {
    jobs: Table<Job>,
    history: Table<Outcome>,
    ledger: Table<Ledger>,
    session: Table<Session>,
    receipts: Table<Answer>,
    tombstones: Table<Tombstone>,
    drafts: Table<Draft>,
    draft_files: BTreeMap<JobId, u64>,
    periodic: Table<PeriodicRun>,
    records: Table<Record>,
    collections: Table<CollectionState>,
    bodies: BTreeMap<JobId, u64>,
    /// Small bodies that share a record, by the bytes before each.
    packs: BTreeMap<JobId, BTreeMap<u64, u64>>,
    pack_uses: Table<PackUse>,
    quarantine: BTreeMap<u64, Rc<Job>>,
    /// Rows that were ever put aside: the next key there.
    put_aside: u64,
    /// The highest version of any ledger, also of one that was lost.
    latest_version: u64,
    /// Committed transactions that wrote anything.
    commits: u64,
}

impl Database {
    pub(crate) fn rows(&self) -> &BTreeMap<JobId, Stored<Job>> {
        self.jobs.rows()
    }

    pub(crate) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.rows().values().map(|stored| &*stored.row)
    }

    pub(crate) fn job(&self, id: &JobId) -> Option<&Job> {
        self.jobs.row(id)
    }

    pub(crate) fn body(&self, job: &Job) -> Option<u64> {
        match &job.work.request().packed {
            Some(packed) => self.packs.get(&packed.pack)?.get(&packed.at).copied(),
            None => self.bodies.get(&job.id).copied(),
        }
    }

    /// All packs, and how many jobs need each as far as the store knows.
    pub(crate) fn packs(&self) -> impl Iterator<Item = (&JobId, u32)> {
        self.packs.keys().map(|pack| (pack, self.pack_uses.row(&PackUseKey(pack.clone())).map_or(0, |PackUse(left)| *left)))
    }

    /// Rows that were put aside.
    pub(crate) fn quarantine(&self) -> impl Iterator<Item = &Job> {
        self.quarantine.values().map(|job| &**job)
    }

    pub(crate) fn bodies(&self) -> impl Iterator<Item = &JobId> {
        self.bodies.keys()
    }

    pub(crate) fn drafts(&self) -> impl Iterator<Item = &Draft> {
        self.drafts.rows().values().map(|stored| &*stored.row)
    }

    pub(crate) fn draft(&self, id: &JobId) -> Option<&Draft> {
        self.drafts.row(id)
    }

    pub(crate) fn draft_files(&self) -> &BTreeMap<JobId, u64> {
        &self.draft_files
    }

    pub(crate) fn outcome(&self, id: &JobId) -> Option<&Outcome> {
        self.history.row(id)
    }

    pub(crate) fn delivered(&self) -> usize {
        self.history.rows().len()
    }

    pub(crate) fn ledger(&self) -> Option<&Ledger> {
        self.ledger.row(&LedgerKey)
    }

    /// Who is signed in, as far as the store knows.
    pub(crate) fn owner(&self) -> &str {
        self.session().map_or("", |session| &session.owner)
    }

    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.row(&SessionKey)
    }

    pub(crate) fn periodic(&self, tag: &TagKey) -> Option<&PeriodicRun> {
        self.periodic.row(tag)
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.rows().values().map(|stored| &*stored.row)
    }

    #[cfg(test)]
    /// Ids of records in the order of the index of values, once for each entry.
    pub(crate) fn records_by_value(&self) -> impl Iterator<Item = &str> {
        self.records.by_value().map(|key| key.id.as_str())
    }

    pub(crate) fn collection(&self, key: &CollectionKey) -> Option<&CollectionState> {
        self.collections.row(key)
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits
    }

    /// Makes a row unreadable, as a failing disk does.
    pub(crate) fn corrupt(&mut self, id: &JobId) {
        self.jobs.corrupt(id);
    }

    /// Makes the ledger unreadable.
    pub(crate) fn lose_ledger(&mut self) {
        self.ledger = Table::default();
    }

    fn table<R: Row>(&self) -> Option<&Table<R>> {
        let table: &dyn Any = match R::STORE {
            Store::Jobs => &self.jobs,
            Store::History => &self.history,
            Store::Meta => &self.ledger,
            Store::Session => &self.session,
            Store::Receipts => &self.receipts,
            Store::Tombstones => &self.tombstones,
            Store::Drafts => &self.drafts,
            Store::Periodic => &self.periodic,
            Store::Records => &self.records,
            Store::Collections => &self.collections,
            Store::Bodies => &self.pack_uses,
            Store::Quarantine => return None,
        };
        table.downcast_ref()
    }

    fn table_mut<R: Row>(&mut self) -> Option<&mut Table<R>> {
        let table: &mut dyn Any = match R::STORE {
            Store::Jobs => &mut self.jobs,
            Store::History => &mut self.history,
            Store::Meta => &mut self.ledger,
            Store::Session => &mut self.session,
            Store::Receipts => &mut self.receipts,
            Store::Tombstones => &mut self.tombstones,
            Store::Drafts => &mut self.drafts,
            Store::Periodic => &mut self.periodic,
            Store::Records => &mut self.records,
            Store::Collections => &mut self.collections,
            Store::Bodies => &mut self.pack_uses,
            Store::Quarantine => return None,
        };
        table.downcast_mut()
    }
}
