//! Implements the core's transaction over the simulated database, with failures.
//!
//! What always holds: after [`SimTx::abort`] the database is as it was before the transaction began;
//! reads see the transaction's own writes; a row that does not parse leaves the store and its
//! indexes for the quarantine, or is passed over by a transaction that only reads.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use shearwater_core::{
    Error, ErrorCode, JobId, Millis,
    queue::{
        history::Outcome,
        job::{Job, State},
    },
    store::{Answer, Index, Scan, Session, Tx, ledger::Ledger},
};

use super::{Database, Pack, Row};
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

enum Undo {
    Row(JobId, Option<Row>),
    Body(JobId, Option<u64>),
    Pack(JobId, Option<Pack>),
    Outcome(JobId, Option<Outcome>),
    Ledger(Box<Option<Ledger>>),
    Session(Box<Option<Session>>),
    Receipt((Millis, String), Option<Answer>),
    Tombstone(JobId, Option<Millis>),
    Quarantine(JobId),
    Purge(Vec<Rc<Job>>),
}

/// One transaction.
pub(crate) struct SimTx<'a> {
    db: &'a RefCell<Database>,
    mode: Mode,
    log: RefCell<Vec<Undo>>,
    quarantined: Cell<u32>,
    /// Operations until the connection to the database is lost; `None` for never.
    breaks_after: Cell<Option<u64>>,
    flaw: Option<Flaw>,
    /// The owner that [`Flaw::IgnoresOwners`] takes for the current one.
    wrong_owner: Option<String>,
}

impl<'a> SimTx<'a> {
    pub(crate) fn begin(db: &'a RefCell<Database>, mode: Mode, breaks_after: Option<u64>, flaw: Option<Flaw>) -> Self {
        Self {
            db,
            mode,
            log: RefCell::default(),
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

    /// Keeps everything, and says what changed.
    pub(crate) fn commit(self) -> Changes {
        let mut changes = Changes::default();
        let mut db = self.db.borrow_mut();
        let log = self.log.into_inner();
        db.commits += u64::from(!log.is_empty());
        for undo in log {
            match undo {
                Undo::Row(id, before) => {
                    let after = db.rows.get(&id).map(|row| Rc::clone(&row.job));
                    changes.jobs.entry(id).or_insert_with(|| (before.map(|row| row.job), after));
                }
                Undo::Quarantine(id) => changes.quarantined.push(id),
                Undo::Outcome(id, None) if db.history.contains_key(&id) => changes.outcomes.push(id),
                Undo::Outcome(..)
                | Undo::Body(..)
                | Undo::Pack(..)
                | Undo::Purge(_)
                | Undo::Ledger(_)
                | Undo::Session(_)
                | Undo::Receipt(..)
                | Undo::Tombstone(..) => {}
            }
        }
        changes
    }

    /// Undoes everything.
    pub(crate) fn abort(self) {
        let mut db = self.db.borrow_mut();
        for undo in self.log.into_inner().into_iter().rev() {
            match undo {
                Undo::Row(id, before) => db.set_row(&id, before),
                Undo::Body(id, Some(before)) => drop(db.bodies.insert(id, before)),
                Undo::Body(id, None) => drop(db.bodies.remove(&id)),
                Undo::Outcome(id, before) => drop(db.set_outcome(&id, before)),
                Undo::Ledger(before) => db.ledger = *before,
                Undo::Session(before) => db.session = *before,
                Undo::Receipt(key, Some(before)) => drop(db.receipts.insert(key, before)),
                Undo::Receipt(key, None) => drop(db.receipts.remove(&key)),
                Undo::Tombstone(id, Some(before)) => drop(db.tombstones.insert(id, before)),
                Undo::Tombstone(id, None) => drop(db.tombstones.remove(&id)),
                Undo::Pack(id, before) => drop(db.set_pack(&id, before)),
                Undo::Purge(before) => db.quarantine = before,
                Undo::Quarantine(_) => drop(db.quarantine.pop()),
            }
        }
    }

    fn read(&self) -> Result<(), Error> {
        match self.breaks_after.get() {
            Some(0) => Err(Error::new(ErrorCode::StorageUnavailable, "the simulated connection was lost")),
            Some(left) => {
                self.breaks_after.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn set_pack(&self, id: &JobId, pack: Option<Pack>) {
        let before = self.db.borrow_mut().set_pack(id, pack);
        self.note(Undo::Pack(id.clone(), before));
    }

    fn write(&self) -> Result<(), Error> {
        match self.mode {
            Mode::Write => Ok(()),
            Mode::Read => Err(Error::internal("a transaction that only reads was told to write")),
        }
    }

    fn note(&self, undo: Undo) {
        self.log.borrow_mut().push(undo);
    }

    /// Gives the row's job, or moves the row away where it does not parse.
    fn parse(&self, id: &JobId) -> Option<Job> {
        let row = self.db.borrow().rows.get(id).cloned()?;
        if !row.corrupt {
            return Some((*row.job).clone());
        }
        self.quarantined.set(self.quarantined.get() + 1);
        if self.mode == Mode::Read {
            return None;
        }
        let mut db = self.db.borrow_mut();
        db.remove_row(id);
        db.quarantine.push(Rc::clone(&row.job));
        self.note(Undo::Row(id.clone(), Some(row)));
        self.note(Undo::Quarantine(id.clone()));
        None
    }

    /// A page of rows, as the worker's store reads it: corrupt rows make it shorter, but only the last
    /// page is empty.
    fn page(&self, limit: u32, ids: impl Fn(&Database) -> Vec<JobId>) -> Vec<Job> {
        loop {
            let ids = ids(&self.db.borrow());
            let jobs: Vec<Job> = ids.iter().filter_map(|id| self.parse(id)).collect();
            if !jobs.is_empty() || ids.len() < limit as usize || self.mode == Mode::Read {
                return jobs;
            }
        }
    }
}

impl Tx for SimTx<'_> {
    type Body = u64;

    async fn ledger(&self) -> Result<Option<Ledger>, Error> {
        self.read()?;
        let mut ledger = self.db.borrow().ledger.clone();
        if let (Some(ledger), Some(owner)) = (&mut ledger, &self.wrong_owner) {
            ledger.owner.clone_from(owner);
        }
        Ok(ledger)
    }

    fn first_version(&self) -> u64 {
        if self.flaw == Some(Flaw::RestartsVersions) { 0 } else { self.db.borrow().latest_version }
    }

    fn put_ledger(&self, ledger: &Ledger) -> Result<(), Error> {
        self.write()?;
        if self.flaw == Some(Flaw::DropsLedgers) && ledger.version.is_multiple_of(16) {
            return Ok(());
        }
        let mut db = self.db.borrow_mut();
        let mut ledger = ledger.clone();
        if self.wrong_owner.is_some()
            && let Some(before) = &db.ledger
        {
            ledger.owner.clone_from(&before.owner);
        }
        db.latest_version = db.latest_version.max(ledger.version);
        let before = db.ledger.replace(ledger);
        self.note(Undo::Ledger(Box::new(before)));
        Ok(())
    }

    async fn session(&self) -> Result<Option<Session>, Error> {
        self.read()?;
        Ok(self.db.borrow().session.clone())
    }

    fn put_session(&self, session: &Session) -> Result<(), Error> {
        self.write()?;
        let before = self.db.borrow_mut().session.replace(session.clone());
        self.note(Undo::Session(Box::new(before)));
        Ok(())
    }

    async fn receipt(&self, at: Millis, re: &str) -> Result<Option<Answer>, Error> {
        self.read()?;
        Ok(self.db.borrow().receipts.get(&(at, re.to_owned())).cloned())
    }

    fn put_receipt(&self, at: Millis, re: &str, answer: &Answer) -> Result<(), Error> {
        self.write()?;
        if self.flaw == Some(Flaw::ForgetsReceipts) {
            return Ok(());
        }
        let key = (at, re.to_owned());
        let before = self.db.borrow_mut().receipts.insert(key.clone(), answer.clone());
        self.note(Undo::Receipt(key, before));
        Ok(())
    }

    async fn prune_receipts(&self, before: Millis, keep: u32) -> Result<(), Error> {
        self.write()?;
        let excess = self.db.borrow().receipts.len().saturating_sub(keep as usize);
        let old: Vec<_> = self.db.borrow().receipts.keys().take(excess).filter(|(at, _)| *at < before).cloned().collect();
        for key in old {
            let answer = self.db.borrow_mut().receipts.remove(&key);
            self.note(Undo::Receipt(key, answer));
        }
        Ok(())
    }

    async fn is_removed(&self, id: &JobId) -> Result<bool, Error> {
        self.read()?;
        Ok(self.db.borrow().tombstones.contains_key(id))
    }

    fn put_tombstone(&self, id: &JobId, at: Millis) -> Result<(), Error> {
        self.write()?;
        let before = self.db.borrow_mut().tombstones.insert(id.clone(), at);
        self.note(Undo::Tombstone(id.clone(), before));
        Ok(())
    }

    async fn prune_tombstones(&self, before: Millis, keep: u32) -> Result<(), Error> {
        self.write()?;
        let excess = self.db.borrow().tombstones.len().saturating_sub(keep as usize);
        let mut old: Vec<_> = self.db.borrow().tombstones.iter().map(|(id, at)| (*at, id.clone())).collect();
        old.sort_unstable();
        for (_, id) in old.into_iter().take(excess).filter(|(at, _)| *at < before) {
            let at = self.db.borrow_mut().tombstones.remove(&id);
            self.note(Undo::Tombstone(id, at));
        }
        Ok(())
    }

    async fn job(&self, id: &JobId) -> Result<Option<Job>, Error> {
        self.read()?;
        Ok(self.parse(id))
    }

    async fn jobs(&self, ids: &[&JobId]) -> Result<Vec<Option<Job>>, Error> {
        ids.iter().map(|id| self.read().map(|()| self.parse(id))).collect()
    }

    async fn scan(&self, scan: &Scan<'_>) -> Result<Vec<Job>, Error> {
        self.read()?;
        if self.flaw == Some(Flaw::LosesLines) && scan.index == Index::Line {
            return Ok(Vec::new());
        }
        if self.flaw == Some(Flaw::StarvesOneLane)
            && scan.index == Index::Ready
            && scan.texts.last().is_some_and(|lane| lane.contains("b."))
        {
            return Ok(Vec::new());
        }
        Ok(self.page(scan.limit, |db| db.range(scan).take(scan.limit as usize).cloned().collect()))
    }

    async fn all(&self, after: Option<&JobId>, limit: u32) -> Result<Vec<Job>, Error> {
        self.read()?;
        let beyond = |id: &&JobId| after.is_none_or(|after| *id > after);
        Ok(self.page(limit, |db| db.rows.keys().filter(beyond).take(limit as usize).cloned().collect()))
    }

    fn put_job(&self, job: &Job) -> Result<(), Error> {
        self.write()?;
        let mut db = self.db.borrow_mut();
        let before = if self.flaw == Some(Flaw::DeletesBeforeSending) && job.state == State::Syncing {
            db.remove_row(&job.id)
        } else {
            db.put_row(Row { job: Rc::new(job.clone()), corrupt: false })
        };
        self.note(Undo::Row(job.id.clone(), before));
        Ok(())
    }

    fn add_job(&self, job: &Job) -> Result<(), Error> {
        if self.db.borrow().rows().contains_key(&job.id) {
            return Err(Error::invalid_request("a job of this id is stored already"));
        }
        self.put_job(job)
    }

    fn delete_job(&self, id: &JobId) -> Result<(), Error> {
        self.write()?;
        let before = self.db.borrow_mut().remove_row(id);
        self.note(Undo::Row(id.clone(), before));
        Ok(())
    }

    fn put_body(&self, id: &JobId, body: &u64) -> Result<(), Error> {
        self.write()?;
        if self.flaw == Some(Flaw::DropsBodies) {
            return Ok(());
        }
        let before = self.db.borrow_mut().bodies.insert(id.clone(), *body);
        self.note(Undo::Body(id.clone(), before));
        Ok(())
    }

    fn add_pack(&self, pack: &JobId, bodies: &[(u64, &u64)]) -> Result<(), Error> {
        self.write()?;
        if self.db.borrow().packs.contains_key(pack) {
            return Err(Error::invalid_request("a pack of this name is stored already"));
        }
        let left = u32::try_from(bodies.len()).unwrap_or(u32::MAX);
        self.set_pack(pack, Some(Pack { bodies: bodies.iter().map(|(at, body)| (*at, **body)).collect(), left }));
        Ok(())
    }

    fn may_share(_: &u64) -> bool {
        true
    }

    async fn packs_left(&self, packs: &[&JobId]) -> Result<Vec<Option<u32>>, Error> {
        self.read()?;
        let db = self.db.borrow();
        Ok(packs.iter().map(|pack| db.packs.get(*pack).map(|pack| pack.left)).collect())
    }

    async fn packs(&self) -> Result<Vec<JobId>, Error> {
        self.read()?;
        Ok(self.db.borrow().packs.keys().cloned().collect())
    }

    async fn packs_aside(&self) -> Result<Vec<JobId>, Error> {
        self.read()?;
        Ok(self.db.borrow().quarantine().filter_map(|job| Some(job.work.request().packed.as_ref()?.pack.clone())).collect())
    }

    async fn purge_quarantine(&self, owner: &str) -> Result<Vec<JobId>, Error> {
        self.read()?;
        self.write()?;
        let before = self.db.borrow().quarantine.clone();
        self.db.borrow_mut().quarantine.retain(|job| job.owner != owner);
        let ids = before.iter().filter(|job| job.owner == owner).map(|job| job.id.clone()).collect();
        self.note(Undo::Purge(before));
        Ok(ids)
    }

    fn put_pack_left(&self, pack: &JobId, left: u32) -> Result<(), Error> {
        self.write()?;
        let left = if self.flaw == Some(Flaw::MiscountsPacks) { left.saturating_sub(1) } else { left };
        let changed = self.db.borrow().packs.get(pack).filter(|_| left > 0).map(|pack| Pack { left, ..pack.clone() });
        self.set_pack(pack, changed);
        Ok(())
    }

    fn delete_body(&self, id: &JobId) -> Result<(), Error> {
        self.write()?;
        let before = self.db.borrow_mut().bodies.remove(id);
        if before.is_some() {
            self.note(Undo::Body(id.clone(), before));
        }
        Ok(())
    }

    async fn outcome(&self, id: &JobId) -> Result<Option<Outcome>, Error> {
        self.read()?;
        Ok(self.db.borrow().history.get(id).cloned())
    }

    async fn oldest_outcomes(&self, limit: u32) -> Result<Vec<Outcome>, Error> {
        self.read()?;
        let db = self.db.borrow();
        Ok(db.by_delivery.iter().take(limit as usize).filter_map(|(_, id)| db.history.get(id).cloned()).collect())
    }

    fn put_outcome(&self, outcome: &Outcome) -> Result<(), Error> {
        self.write()?;
        if self.flaw == Some(Flaw::DropsOutcomes) {
            return Ok(());
        }
        let before = self.db.borrow_mut().set_outcome(&outcome.id, Some(outcome.clone()));
        self.note(Undo::Outcome(outcome.id.clone(), before));
        Ok(())
    }

    fn delete_outcome(&self, id: &JobId) -> Result<(), Error> {
        self.write()?;
        let before = self.db.borrow_mut().set_outcome(id, None);
        self.note(Undo::Outcome(id.clone(), before));
        Ok(())
    }

    fn quarantined(&self) -> u32 {
        self.quarantined.get()
    }
}
