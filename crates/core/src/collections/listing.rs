//! Lists the server's rows in full, or those of a scope (D3, D5).
//!
//! ```text
//!   begin ──▶ asked for a page ──▶ applied: its rows ──▶ asked for the next … ──▶ the last: what was not listed is expired
//!                 └─ no answer, or no page: ended, nothing is expired
//! ```
//!
//! A snapshot finds what a pull cannot: rows that went without a word, and those of a server that keeps no order of changes.
//! What is here and was not listed is *expired*: marked with the time, out of what readers list, and kept until the app removes
//! it or the server lists it again.
//!
//! What was seen so far is the worker's alone. One that dies has expired nothing, and neither has a listing that failed, that
//! held a row which could not be read, or that was empty where the app does not say that it may be. Records that are dirty, that
//! came or were pushed since the listing began, or that the server has never had, are not expired.
//!
//! It runs as a pull runs: one at a time for each collection. It does not move the pull's cursor.

use std::collections::BTreeSet;

use super::{
    adapter::{self, Listed},
    mutation::{config_of, state_of, store},
    pull::{self, LEASE, take_row},
    record::{CollectionState, Cursor, Record, RecordIndex, RecordKey, Running},
};
use crate::{
    boxed::boxed,
    error::Error,
    protocol::records::{Reconciled, RecordCleanUp},
    queue::{config::WorkerConfig, request::RequestHead},
    store::{Caller, Scan, Tx, bodies::Leaving, load, save},
    time::Millis,
};

/// Records that are looked at in one page.
const PAGE: u32 = 1_000;

/// The most errors that are told.
const MOST_ERRORS: usize = 20;

/// Why none begins.
const IN_PROGRESS: &str = "Sync already in progress";

/// A listing that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    collection: String,
    holder: String,
    owner: String,
    /// The part of the rows that is listed: parameters of the request. The whole where there are none.
    scope: Vec<(String, String)>,
    /// The collection's counter when it began.
    began: u64,
    /// The same when the present page was asked for.
    asked: u64,
    from: Option<Cursor>,
    ids: BTreeSet<String>,
    report: Reconciled,
}

/// What comes after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask for this one.
    Page(Box<Listing>, RequestHead),
    /// There is no more.
    Done(Reconciled),
}

/// Whether a collection of the current owner is to be reconciled by itself.
///
/// # Errors
/// What the transaction returns.
pub async fn is_due<T: Tx>(tx: &T, now: Millis, collection: &str, owner: &str, worker: &WorkerConfig) -> Result<bool, Error> {
    let config = &config_of(worker, collection)?.reconcile;
    let state = state_of(tx, collection, owner).await?;
    // A clock that was set back makes none wait longer than it would have.
    Ok(config.every > 0 && state.reconcile_at.is_none_or(|at| at <= now || at.since(now) > config.longest()))
}

/// Begins one under `holder`, a name that no other ever has; with a scope, it expires nothing. None begins while another, or a
/// pull, runs; `alone`: none does, for the caller has the lock.
///
/// # Errors
/// What the transaction returns.
#[expect(clippy::too_many_arguments, reason = "what a listing is of")]
pub async fn begin<T: Tx>(
    tx: &T,
    now: Millis,
    collection: &str,
    holder: &str,
    owner: &str,
    alone: bool,
    scope: &[(String, String)],
    worker: &WorkerConfig,
) -> Result<Step, Error> {
    let config = config_of(worker, collection)?;
    let mut state = state_of(tx, collection, owner).await?;
    if !alone && pull::is_running(&state, now) {
        return Ok(Step::Done(in_progress()));
    }
    state.begin_indexes(config);
    let listing = Listing {
        collection: collection.to_owned(),
        holder: holder.to_owned(),
        owner: owner.to_owned(),
        scope: scope.to_owned(),
        began: state.clock,
        asked: state.clock,
        from: None,
        ids: BTreeSet::new(),
        report: Reconciled::default(),
    };
    state.running = Some(Running::new(&listing.holder, now, LEASE, listing.asked));
    tx.put(&state)?;
    let head = if config.reconcile.paged { adapter::page(config, None, scope) } else { adapter::everything(config, scope) };
    Ok(Step::Page(Box::new(listing), head))
}

/// What is answered where none begins.
#[must_use]
pub fn in_progress() -> Reconciled {
    Reconciled { errors: vec![IN_PROGRESS.to_owned()], ..Reconciled::default() }
}

/// Ends one that got no page.
///
/// # Errors
/// What the transaction returns.
pub async fn failed<T: Tx>(tx: &T, now: Millis, listing: &Listing, why: &str, worker: &WorkerConfig) -> Result<Step, Error> {
    let mut listing = listing.clone();
    let mut state = state_of(tx, &listing.collection, &listing.owner).await?;
    listing.trouble(why);
    if is_held(&state, &listing) {
        state.running = None;
        end(&mut state, now, &listing, worker)?;
        tx.put(&state)?;
    }
    Ok(Step::Done(listing.report))
}

/// Applies a page; the last one expires what was not listed.
///
/// # Errors
/// What the transaction returns.
pub async fn apply<T: Tx>(tx: &T, now: Millis, listing: &Listing, body: &str, worker: &WorkerConfig) -> Result<Step, Error> {
    let config = config_of(worker, &listing.collection)?;
    let mut listing = listing.clone();
    let mut state = state_of(tx, &listing.collection, &listing.owner).await?;
    if !is_held(&state, &listing) {
        listing.trouble("another sync has begun, or another user signed in");
        return Ok(Step::Done(listing.report));
    }
    let items = match adapter::items(config, body) {
        Ok(items) => items,
        Err(why) => return failed(tx, now, &listing, &why, worker).await,
    };
    let is_last = items.is_empty() || !config.reconcile.paged;
    let (mut ledger, mut leaving, mut at) = (load(tx).await?, Leaving::default(), listing.from.clone());
    let before = ledger.clone();
    let known = listing.ids.len();
    for item in items {
        let Listed { id, row, place } = match adapter::listed(config, item) {
            Ok(listed) => listed,
            Err(why) => {
                listing.trouble(&why);
                continue;
            }
        };
        at = place.or(at);
        // Of a row that a listing has twice, for it changed meanwhile, the later is applied, and it is counted once.
        let is_first = row.as_ref().is_some_and(|row| row.text.is_some()) && listing.ids.insert(id.clone());
        let Some(row) = row else { continue };
        let found = tx.get::<Record>(&RecordKey::new(&listing.collection, &listing.owner, &id)).await?;
        let is_new = found.as_ref().is_none_or(|record| record.local.is_none() && record.moved.is_none());
        // From before its own push: what the push returned is later.
        let is_late = found.as_ref().is_some_and(|record| record.settled > listing.asked && record.version != row.version);
        let (ledger, leaving) = (&mut ledger, &mut leaving);
        let has_changed = !is_late
            && boxed(take_row(tx, now, ledger, leaving, &mut state, found, &id, row, &listing.owner, config, worker)).await?;
        let report = &mut listing.report;
        match (is_first, has_changed) {
            (true, true) if is_new => report.added += 1,
            (_, true) => report.updated += 1,
            (true, false) => report.unchanged += 1,
            (false, false) => {}
        }
    }
    leaving.count_out(tx).await?;
    if ledger != before {
        save(tx, &mut ledger).await?;
    }
    if is_last {
        if listing.scope.is_empty() && listing.report.errors.is_empty() {
            if listing.ids.is_empty() && !config.reconcile.allow_empty {
                listing.trouble("the server lists no row; where that may be, say so by reconcile.allowEmpty");
            } else {
                listing.report.expired = expire(tx, now, &listing, &state).await?;
            }
        }
        listing.report.synced_at = listing.report.errors.is_empty().then_some(now);
        state.running = None;
        end(&mut state, now, &listing, worker)?;
        tx.put(&state)?;
        return Ok(Step::Done(listing.report));
    }
    if listing.ids.len() == known && at == listing.from {
        let why = "the server sends the same page again; where it lists all rows at once, say so by reconcile.paged: false";
        return failed(tx, now, &listing, why, worker).await;
    }
    listing.from = at;
    listing.asked = state.clock;
    state.running = Some(Running::new(&listing.holder, now, LEASE, listing.asked));
    tx.put(&state)?;
    let head = adapter::page(config, listing.from.as_ref(), &listing.scope);
    Ok(Step::Page(Box::new(listing), head))
}

impl Listing {
    fn trouble(&mut self, why: &str) {
        let errors = &mut self.report.errors;
        if errors.len() < MOST_ERRORS && !errors.iter().any(|known| known == why) {
            errors.push(why.to_owned());
        }
    }
}

fn is_held(state: &CollectionState, listing: &Listing) -> bool {
    state.running.as_ref().is_some_and(|running| running.holder == listing.holder)
}

/// Ends one: the next of the whole is due the later the less there was to find.
fn end(state: &mut CollectionState, now: Millis, listing: &Listing, worker: &WorkerConfig) -> Result<(), Error> {
    let config = &config_of(worker, &listing.collection)?.reconcile;
    let report = &listing.report;
    if listing.scope.is_empty() {
        let is_quiet = report.added + report.updated + report.expired == 0 && report.errors.is_empty();
        let wait = state.reconcile_wait.saturating_mul(2);
        state.reconcile_wait = if is_quiet { wait.clamp(config.every, config.longest()) } else { config.every };
        state.reconcile_at = (config.every > 0).then(|| now.after(state.reconcile_wait));
        state.error = report.errors.first().cloned();
        state.reconciled_at = report.synced_at.or(state.reconciled_at);
    }
    Ok(())
}

/// Marks what was not listed. Returns how many.
async fn expire<T: Tx>(tx: &T, now: Millis, listing: &Listing, state: &CollectionState) -> Result<u64, Error> {
    let (mut expired, mut from) = (0, 0);
    loop {
        let scan = Scan::of(RecordIndex::List, vec![&listing.owner, &listing.collection], PAGE);
        let page = tx.scan(&scan.from(from)).await?;
        let Some(last) = page.last() else { return Ok(expired) };
        from = last.seq + 1;
        for mut record in page {
            let is_settled = record.base.is_some() && !record.is_dirty() && record.settled.max(record.seq) <= listing.began;
            if is_settled && !listing.ids.contains(&record.id) {
                record.expired = Some(now);
                store(tx, &mut record, state)?;
                expired += 1;
            }
        }
    }
}

/// Removes what has been expired for so long. Returns how many records.
///
/// # Errors
/// `invalid-request` for a collection that is not configured; what the transaction returns.
pub async fn clean_up<T: Tx>(
    tx: &T,
    now: Millis,
    request: &RecordCleanUp,
    caller: &Caller,
    worker: &WorkerConfig,
) -> Result<u32, Error> {
    config_of(worker, &request.collection)?;
    let ledger = load(tx).await?;
    let owner = caller.owner_or(&ledger.owner);
    let upto = now.0.saturating_sub(request.for_ms);
    let mut removed = 0;
    for record in tx.scan(&Scan::of(RecordIndex::Expired, vec![owner, &request.collection], u32::MAX).upto(upto)).await? {
        tx.delete::<Record>(&RecordKey::new(&record.collection, &record.owner, &record.id))?;
        removed += 1;
    }
    Ok(removed)
}
