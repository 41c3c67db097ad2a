//! Implements the core's transaction over the simulated database, with failures.
//!
//! What always holds: after [`SimTx::abort`] the database is as it was before the transaction began;
//! reads see the transaction's own writes; a row that does not parse leaves the store and its
//! indexes for the quarantine, or is passed over by a transaction that only reads; a store that the transaction has not
//! named is neither read nor written, and [`SimTx::strayed`] says that it was tried.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use shearwater_core::{
    Error, ErrorCode, JobId,
    collections::{self, record::CollectionState},
    drafts::Draft,
    queue::{
        history::Outcome,
        job::{Job, State},
    },
    schedule::periodic::PeriodicRun,
    store::{
        Answer, Aside, Index, Key, Keyed, Record, Row, RowIndex, Scan, Scope, Session, Store, Tombstone, Tx,
        ledger::Ledger,
        row::{DraftFileKey, PackKey, PackUse, PackUseKey},
    },
};

use super::{Database, table::Stored};
use crate::flaw::Flaw;

/// A job's row before a transaction and after it.
pub(crate) type Change = (Option<Rc<Job>>, Option<Rc<Job>>);

/// What a committed transaction did.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) jobs: BTreeMap<JobId, Change>,
    pub(crate) quarantined: Vec<JobId>,
    /// Entries written to the history.
    pub(crate) outcomes: Vec<JobId>,
}

/// What a transaction may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Read,
    Write,
}

/// Takes one write back.
type Undo = Box<dyn FnOnce(&mut Database)>;

/// One transaction.
pub(crate) struct SimTx<'a> {
    db: &'a RefCell<Database>,
    mode: Mode,
    scope: Scope,
    strayed: Cell<Option<Store>>,
    log: RefCell<Vec<Undo>>,
    /// As they will be noted at the commit, with the jobs as they were before.
    changes: RefCell<Changes>,
    quarantined: Cell<u32>,
    /// Operations until the connection to the database is lost; `None` for never.
    breaks_after: Cell<Option<u64>>,
    flaw: Option<Flaw>,
    /// The owner that [`Flaw::IgnoresOwners`] takes for the current one.
    wrong_owner: Option<String>,
}

impl<'a> SimTx<'a> {
    /// Begins a transaction on these stores. As a shell does, it takes those of the ledger in where that is missing: it runs
    /// on them in the end.
    pub(crate) fn begin(
        db: &'a RefCell<Database>,
        mode: Mode,
        scope: Scope,
        breaks_after: Option<u64>,
        flaw: Option<Flaw>,
    ) -> Self {
        let scope = if db.borrow().ledger().is_none() { scope.without_ledger() } else { scope };
        Self {
            db,
            mode,
            scope,
            strayed: Cell::new(None),
            log: RefCell::default(),
            changes: RefCell::default(),
            quarantined: Cell::new(0),
            breaks_after: Cell::new(breaks_after),
            flaw,
            wrong_owner: None,
        }
    }

    /// Makes the transaction see another owner than the current one.
    pub(crate) fn mistake_owner(&mut self, owner: Option<String>) {
        self.wrong_owner = owner;
    }

    /// A store that it was told to touch and had not named.
    pub(crate) fn strayed(&self) -> Option<Store> {
        self.strayed.get()
    }

    /// Keeps everything, and says what changed.
    pub(crate) fn commit(self) -> Changes {
        let mut changes = self.changes.into_inner();
        let mut db = self.db.borrow_mut();
        db.commits += u64::from(!self.log.borrow().is_empty());
        for (id, (_, after)) in &mut changes.jobs {
            *after = db.rows().get(id).map(|stored| Rc::clone(&stored.row));
        }
        changes.outcomes.retain(|id| db.outcome(id).is_some());
        changes
    }

    /// Undoes everything.
    pub(crate) fn abort(self) {
        let mut db = self.db.borrow_mut();
        self.log.into_inner().into_iter().rev().for_each(|undo| undo(&mut db));
    }

    fn touch(&self, store: Store) -> Result<(), Error> {
        if !self.scope.has(store) {
            self.strayed.set(Some(store));
        }
        self.scope.check(store)
    }

    fn read(&self, store: Store) -> Result<(), Error> {
        self.touch(store)?;
        // Whatever it reads may have to be put aside.
        if self.mode == Mode::Write && store.is_quarantined() {
            self.touch(Store::Quarantine)?;
        }
        match self.breaks_after.get() {
            Some(0) => Err(Error::new(ErrorCode::StorageUnavailable, "the simulated connection was lost")),
            Some(left) => {
                self.breaks_after.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn write(&self, store: Store) -> Result<(), Error> {
        self.touch(store)?;
        match self.mode {
            Mode::Write => Ok(()),
            Mode::Read => Err(Error::internal("a transaction that only reads was told to write")),
        }
    }

    fn note(&self, undo: impl FnOnce(&mut Database) + 'static) {
        self.log.borrow_mut().push(Box::new(undo));
    }

    /// Writes or removes a row, and keeps what undoes it.
    fn set<R: Row>(&self, key: &R::Key, row: Option<R>) {
        let stored = row.map(|row| Stored { row: Rc::new(row), corrupt: false });
        let before = self.db.borrow_mut().table_mut::<R>().and_then(|table| table.set(key, stored));
        if let Some(id) = (key as &dyn Any).downcast_ref::<JobId>() {
            let mut changes = self.changes.borrow_mut();
            match R::STORE {
                Store::Jobs if !changes.jobs.contains_key(id) => {
                    let before = before.as_ref().and_then(|before| (Rc::clone(&before.row) as Rc<dyn Any>).downcast().ok());
                    changes.jobs.insert(id.clone(), (before, None));
                }
                Store::History if before.is_none() && !changes.outcomes.contains(id) => changes.outcomes.push(id.clone()),
                _ => {}
            }
        }
        let key = key.clone();
        self.note(move |db| drop(db.table_mut::<R>().and_then(|table| table.set(&key, before))));
    }

    fn remove<R: Row>(&self, key: &dyn Any) {
        if let Some(key) = key.downcast_ref::<R::Key>()
            && self.db.borrow().table::<R>().is_some_and(|table| table.row(key).is_some())
        {
            self.set::<R>(key, None);
        }
    }

    fn remove_body(&self, id: &JobId) {
        let before = self.db.borrow_mut().bodies.remove(id);
        if let Some(before) = before {
            let id = id.clone();
            self.note(move |db| {
                db.bodies.insert(id, before);
            });
        }
    }

    fn remove_file(&self, id: &JobId) {
        let before = self.db.borrow_mut().draft_files.remove(id);
        if let Some(before) = before {
            let id = id.clone();
            self.note(move |db| {
                db.draft_files.insert(id, before);
            });
        }
    }

    fn remove_pack(&self, pack: &JobId) {
        let before = self.db.borrow_mut().packs.remove(pack);
        if let Some(before) = before {
            let pack = pack.clone();
            self.note(move |db| drop(db.packs.insert(pack, before)));
        }
    }

    /// The keys of a store that begin with `prefix`, as they would be on the disk.
    fn texts(&self, store: Store, prefix: &str) -> Vec<String> {
        fn all<R: Row>(db: &Database) -> Vec<String> {
            db.table::<R>().into_iter().flat_map(|table| table.rows().keys().map(|key| key.text().into_owned())).collect()
        }
        let db = self.db.borrow();
        let mut texts = match store {
            Store::Jobs => all::<Job>(&db),
            Store::History => all::<Outcome>(&db),
            Store::Meta => all::<Ledger>(&db),
            Store::Session => all::<Session>(&db),
            Store::Receipts => all::<Answer>(&db),
            Store::Tombstones => all::<Tombstone>(&db),
            Store::Drafts => all::<Draft>(&db),
            Store::Periodic => all::<PeriodicRun>(&db),
            Store::Records => all::<collections::Record>(&db),
            Store::Collections => all::<CollectionState>(&db),
            Store::Quarantine => db.quarantine.keys().map(u64::to_string).collect(),
            Store::Bodies => {
                let mut texts = all::<PackUse>(&db);
                texts.extend(db.bodies.keys().map(|id| id.as_str().to_owned()));
                texts.extend(db.draft_files.keys().map(|id| DraftFileKey(id.clone()).text().into_owned()));
                texts.extend(db.packs.keys().map(|pack| PackKey(pack.clone()).text().into_owned()));
                texts.sort_unstable();
                texts
            }
        };
        texts.retain(|text| text.starts_with(prefix));
        texts
    }

    /// Gives the row, or moves it away where it does not parse.
    fn parse<R: Row>(&self, key: &R::Key) -> Option<R> {
        let stored = self.db.borrow().table::<R>()?.rows().get(key).cloned()?;
        if !stored.corrupt {
            return Some((*stored.row).clone());
        }
        self.quarantined.set(self.quarantined.get() + 1);
        if self.mode == Mode::Read {
            return None;
        }
        self.set::<R>(key, None);
        if let Ok(job) = (stored.row as Rc<dyn Any>).downcast::<Job>() {
            self.changes.borrow_mut().quarantined.push(job.id.clone());
            let mut db = self.db.borrow_mut();
            let at = db.put_aside;
            db.put_aside += 1;
            db.quarantine.insert(at, job);
            self.note(move |db| drop(db.quarantine.remove(&at)));
        }
        None
    }

    /// A page of rows, as the worker's store reads it: corrupt rows make it shorter, but only the last
    /// page is empty.
    fn rows<R: Row>(&self, limit: u32, keys: impl Fn(&Database) -> Vec<R::Key>) -> Vec<R> {
        loop {
            let keys = keys(&self.db.borrow());
            let rows: Vec<R> = keys.iter().filter_map(|key| self.parse(key)).collect();
            if !rows.is_empty() || keys.len() < limit as usize || self.mode == Mode::Read {
                return rows;
            }
        }
    }

    /// Whether a flaw has this row of a store lost.
    fn loses<R: Row>(&self, row: &R) -> bool {
        let row: &dyn Any = row;
        match self.flaw {
            Some(Flaw::DropsLedgers) => row.downcast_ref::<Ledger>().is_some_and(|ledger| ledger.version.is_multiple_of(16)),
            Some(Flaw::ForgetsReceipts) => R::STORE == Store::Receipts,
            Some(Flaw::DropsOutcomes) => R::STORE == Store::History,
            Some(Flaw::RevivesDrafts) => R::STORE == Store::Tombstones,
            Some(Flaw::LosesDrafts) => R::STORE == Store::Drafts,
            Some(Flaw::ForgetsDeletions) => {
                row.downcast_ref::<collections::Record>().is_some_and(collections::Record::is_tombstone)
            }
            Some(Flaw::DropsTaskLeases) => row.downcast_ref::<PeriodicRun>().is_some_and(|run| run.holder.is_some()),
            _ => false,
        }
    }

    /// Does with this row what a flaw does with it, in place of writing it; returns whether that was so.
    fn spoils(&self, key: &dyn Any, row: &dyn Any) -> bool {
        match (self.flaw, row.downcast_ref::<Job>(), row.downcast_ref::<PackUse>()) {
            (Some(Flaw::DeletesBeforeSending), Some(job), _) if job.state == State::Syncing => {
                self.set::<Job>(&job.id, None);
                true
            }
            (Some(Flaw::MiscountsPacks), _, Some(PackUse(left))) => {
                let Some(key) = key.downcast_ref::<PackUseKey>() else { return false };
                if self.db.borrow().pack_uses.row(key).is_none() {
                    return false;
                }
                self.set(key, (*left > 1).then(|| PackUse(left - 1)));
                if *left <= 1 {
                    self.remove_pack(&key.0);
                }
                true
            }
            _ => false,
        }
    }
}

impl Tx for SimTx<'_> {
    type Body = u64;

    fn scope(&self) -> Scope {
        self.scope
    }

    async fn get<R: Row>(&self, key: &R::Key) -> Result<Option<R>, Error> {
        self.read(R::STORE)?;
        let mut row = self.parse::<R>(key);
        if let Some(owner) = &self.wrong_owner
            && let Some(row) = &mut row
            && let Some(ledger) = (row as &mut dyn Any).downcast_mut::<Ledger>()
        {
            ledger.owner.clone_from(owner);
        }
        Ok(row)
    }

    async fn get_each<R: Row>(&self, keys: &[&R::Key]) -> Result<Vec<Option<R>>, Error> {
        keys.iter().map(|key| self.read(R::STORE).map(|()| self.parse::<R>(key))).collect()
    }

    async fn scan<I: RowIndex>(&self, scan: &Scan<'_, I>) -> Result<Vec<I::Row>, Error> {
        self.read(I::Row::STORE)?;
        let index = scan.index.as_str();
        if self.flaw == Some(Flaw::LosesLines) && index == Index::Line.as_str() {
            return Ok(Vec::new());
        }
        if self.flaw == Some(Flaw::StarvesOneLane)
            && index == Index::Ready.as_str()
            && scan.texts.last().is_some_and(|lane| lane.contains("b."))
        {
            return Ok(Vec::new());
        }
        Ok(self.rows(scan.limit, |db| db.table::<I::Row>().map(|table| table.range(scan)).unwrap_or_default()))
    }

    async fn page<R: Row>(&self, after: Option<&R::Key>, limit: u32) -> Result<Vec<R>, Error> {
        self.read(R::STORE)?;
        let beyond = |key: &&R::Key| after.is_none_or(|after| *key > after);
        Ok(self.rows(limit, |db| {
            let keys = db.table::<R>().into_iter().flat_map(|table| table.rows().keys());
            keys.filter(beyond).take(limit as usize).cloned().collect()
        }))
    }

    async fn keys<R: Record>(&self, upto: Option<&R::Key>, limit: u32) -> Result<Vec<R::Key>, Error> {
        self.read(R::STORE)?;
        let texts = self.texts(R::STORE, R::Key::PREFIX).into_iter();
        let within = texts.filter(|text| upto.is_none_or(|upto| **text <= *upto.text()));
        Ok(within.take(limit as usize).filter_map(|text| R::Key::parse(&text)).collect())
    }

    async fn count<R: Record>(&self) -> Result<u32, Error> {
        self.read(R::STORE)?;
        let db = self.db.borrow();
        let count = match R::STORE {
            Store::Receipts => db.receipts.rows().len(),
            Store::Tombstones => db.tombstones.rows().len(),
            store => self.texts(store, "").len(),
        };
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn put_at<R: Row>(&self, key: &R::Key, row: &R) -> Result<(), Error> {
        self.write(R::STORE)?;
        if self.loses(row) || self.spoils(key, row) {
            return Ok(());
        }
        let mut row = row.clone();
        if let Some(ledger) = (&mut row as &mut dyn Any).downcast_mut::<Ledger>() {
            let mut db = self.db.borrow_mut();
            if self.wrong_owner.is_some()
                && let Some(before) = db.ledger()
            {
                ledger.owner.clone_from(&before.owner);
            }
            db.latest_version = db.latest_version.max(ledger.version);
        }
        if self.flaw == Some(Flaw::ForgetsBatches)
            && let Some(job) = (&mut row as &mut dyn Any).downcast_mut::<Job>()
            && job.state == State::Pending
        {
            job.batch = None;
        }
        if self.flaw == Some(Flaw::SkipsRebuilds)
            && let Some(state) = (&mut row as &mut dyn Any).downcast_mut::<CollectionState>()
            && let Some(indexes) = &mut state.indexes
        {
            indexes.pending = None;
        }
        if self.flaw == Some(Flaw::ForgetsWhatIsWaitedFor)
            && let Some(record) = (&mut row as &mut dyn Any).downcast_mut::<collections::Record>()
        {
            record.waits_for = None;
        }
        if self.flaw == Some(Flaw::ForgetsPolicies)
            && let Some(ledger) = (&mut row as &mut dyn Any).downcast_mut::<Ledger>()
        {
            ledger.network = None;
        }
        if let Some(job) = (&mut row as &mut dyn Any).downcast_mut::<Job>() {
            match (self.flaw, &mut job.captures) {
                (Some(Flaw::ForgetsDependents), Some(captures)) => captures.dependents.clear(),
                (Some(Flaw::ForgetsBindings), _) => job.bind = None,
                _ => {}
            }
        }
        self.set(key, Some(row));
        Ok(())
    }

    fn add<R: Keyed>(&self, row: &R) -> Result<(), Error> {
        self.write(R::STORE)?;
        let key = row.key();
        if self.db.borrow().table::<R>().is_some_and(|table| table.row(&key).is_some()) {
            return Err(Error::invalid_request("a job of this id is stored already"));
        }
        self.put_at(&key, row)
    }

    fn delete<R: Record>(&self, key: &R::Key) -> Result<(), Error> {
        self.write(R::STORE)?;
        match R::STORE {
            Store::Jobs => self.remove::<Job>(key),
            Store::History => self.remove::<Outcome>(key),
            Store::Meta => self.remove::<Ledger>(key),
            Store::Session => self.remove::<Session>(key),
            Store::Receipts => self.remove::<Answer>(key),
            Store::Tombstones => self.remove::<Tombstone>(key),
            Store::Drafts => self.remove::<Draft>(key),
            Store::Periodic => self.remove::<PeriodicRun>(key),
            Store::Records => self.remove::<collections::Record>(key),
            Store::Collections => self.remove::<CollectionState>(key),
            Store::Quarantine => {}
            Store::Bodies => {
                self.remove::<PackUse>(key);
                let key: &dyn Any = key;
                key.downcast_ref().into_iter().for_each(|id| self.remove_body(id));
                key.downcast_ref().into_iter().for_each(|PackKey(pack)| self.remove_pack(pack));
                key.downcast_ref().into_iter().for_each(|DraftFileKey(id)| self.remove_file(id));
            }
        }
        Ok(())
    }

    fn delete_upto<R: Record>(&self, key: &R::Key) -> Result<(), Error> {
        self.write(R::STORE)?;
        for text in self.texts(R::STORE, R::Key::PREFIX) {
            if *text <= *key.text()
                && let Some(key) = R::Key::parse(&text)
            {
                self.delete::<R>(&key)?;
            }
        }
        Ok(())
    }

    fn put_body(&self, id: &JobId, body: &u64) -> Result<(), Error> {
        self.write(Store::Bodies)?;
        if self.flaw == Some(Flaw::DropsBodies) {
            return Ok(());
        }
        let before = self.db.borrow_mut().bodies.insert(id.clone(), *body);
        let id = id.clone();
        self.note(move |db| {
            match before {
                Some(before) => db.bodies.insert(id, before),
                None => db.bodies.remove(&id),
            };
        });
        Ok(())
    }

    fn put_file(&self, id: &JobId, file: &u64) -> Result<(), Error> {
        self.write(Store::Bodies)?;
        let before = self.db.borrow_mut().draft_files.insert(id.clone(), *file);
        let id = id.clone();
        self.note(move |db| {
            match before {
                Some(before) => db.draft_files.insert(id, before),
                None => db.draft_files.remove(&id),
            };
        });
        Ok(())
    }

    fn add_pack(&self, pack: &JobId, bodies: &[(u64, &u64)]) -> Result<(), Error> {
        self.write(Store::Bodies)?;
        if self.db.borrow().packs.contains_key(pack) {
            return Err(Error::invalid_request("a pack of this name is stored already"));
        }
        self.db.borrow_mut().packs.insert(pack.clone(), bodies.iter().map(|(at, body)| (*at, **body)).collect());
        let pack = pack.clone();
        self.note(move |db| drop(db.packs.remove(&pack)));
        Ok(())
    }

    fn may_share(_: &u64) -> bool {
        true
    }

    async fn body_of(&self, job: &Job) -> Result<Option<u64>, Error> {
        self.read(Store::Bodies)?;
        let db = self.db.borrow();
        Ok(match &job.work.request().packed {
            Some(packed) => db.packs.get(&packed.pack).and_then(|pack| pack.get(&packed.at)).copied(),
            None => db.bodies.get(&job.id).copied(),
        })
    }

    /// A number that tells one text from another.
    fn text_body(text: &str) -> u64 {
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    fn merged(_: &u64, patch: &u64) -> Option<(u64, u64)> {
        Some((*patch, 1))
    }

    async fn aside(&self) -> Result<Vec<Aside>, Error> {
        self.read(Store::Quarantine)?;
        let aside = |(key, job): (&u64, &Rc<Job>)| Aside {
            key: *key,
            owner: Some(job.owner.clone()),
            id: Some(job.id.clone()),
            pack: job.work.request().packed.as_ref().map(|packed| packed.pack.clone()),
        };
        Ok(self.db.borrow().quarantine.iter().map(aside).collect())
    }

    fn delete_aside(&self, key: u64) -> Result<(), Error> {
        self.write(Store::Quarantine)?;
        let before = self.db.borrow_mut().quarantine.remove(&key);
        if let Some(before) = before {
            self.note(move |db| drop(db.quarantine.insert(key, before)));
        }
        Ok(())
    }

    fn quarantined(&self) -> u32 {
        self.quarantined.get()
    }

    fn first_version(&self) -> u64 {
        if self.flaw == Some(Flaw::RestartsVersions) { 0 } else { self.db.borrow().latest_version + 1 }
    }
}
