//! Fetches what has changed on the server, page by page, in the order of (time, id) (D4).
//!
//! ```text
//!   begin ──▶ asked for a page ──▶ applied: rows and cursor in one transaction ──▶ asked for the next … ──▶ an empty page: done
//!                 │                        └─ a row is not to be believed: cut there, and asked for again from there
//!                 └─ no answer, or no page: failed; the next pull goes on from the cursor
//! ```
//!
//! One pull of a collection runs at a time, under a name of its own: a page that comes back after another has begun is dropped.
//! Each begins a little before the cursor (`overlap`), for rows that the server commits behind their time; and before that for
//! as long as the pull ran that moved the cursor, for its first page may have been without a row that its last is far beyond.
//!
//! A page was computed by the server some time after it was asked for. A record whose own push was settled in between may be in
//! it as it was before that push. Such a row, where it is not the version that the push returned, ends the page: the next is
//! asked for from there, by now after the push. So nothing is reverted, and nothing is skipped.

use serde_json::Value;

use super::{
    adapter::{self, Listed},
    config::{AdapterKind, CollectionConfig},
    document::{self, Document},
    instant,
    mutation::{config_of, plan, state_of, store},
    push::{may_have_arrived, met},
    record::{CollectionState, Record, RecordIndex, RecordKey, Row, Running},
    references::{self, is_only_here},
};
use crate::{
    boxed::boxed,
    error::Error,
    queue::{config::WorkerConfig, job::Job, request::RequestHead},
    store::{Scan, Tx, bodies::Leaving, ledger::Ledger, load, save},
    time::{Millis, unit},
    wire::text::Text,
};

/// Milliseconds after which a pull without a page counts as dead.
pub(super) const LEASE: u64 = 5 * unit::MINUTE;

/// Pages in a row that may be cut short before the pull rests: pushes are settled all the time.
const MOST_CUTS: u32 = 5;

/// The longest wait after pulls that failed, in milliseconds.
const LONGEST_WAIT: u64 = 5 * unit::MINUTE;

/// Tombstones that go at the end of one pull.
const PAGE: u32 = 1_000;

/// What comes after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask for this one.
    Page(RequestHead),
    /// There is no more.
    Done {
        /// Rows that were applied.
        applied: u64,
        /// What was wrong with another.
        trouble: Option<String>,
    },
    /// It failed, for this reason.
    Failed(String),
    /// Another pull has begun, or another user signed in.
    Lost,
}

/// Whether a collection of the current owner is to be pulled by itself.
///
/// # Errors
/// What the transaction returns.
pub async fn is_due<T: Tx>(tx: &T, now: Millis, collection: &str, owner: &str, worker: &WorkerConfig) -> Result<bool, Error> {
    let config = config_of(worker, collection)?;
    let state = state_of(tx, collection, owner).await?;
    // A clock that was set back makes none wait longer than it would have.
    let longest = config.pull.every.max(LONGEST_WAIT);
    Ok(config.pull.every > 0 && state.due_at.is_none_or(|at| at <= now || at.since(now) > longest))
}

/// Begins a pull under `holder`, a name that no other ever has. None begins while another runs; `alone`: none does, for the
/// caller has the lock.
///
/// # Errors
/// What the transaction returns.
pub async fn begin<T: Tx>(
    tx: &T,
    now: Millis,
    collection: &str,
    holder: &str,
    owner: &str,
    alone: bool,
    worker: &WorkerConfig,
) -> Result<Option<RequestHead>, Error> {
    let config = config_of(worker, collection)?;
    let mut state = state_of(tx, collection, owner).await?;
    if !alone && is_running(&state, now) {
        return Ok(None);
    }
    state.begin_indexes(config);
    let source = source_of(config);
    if state.source != source {
        // Of another list of rows.
        (state.source, state.cursor) = (source, None);
    }
    let from = state.cursor.as_ref().map(|cursor| adapter::overlapped(config, cursor, state.lasted));
    let head = adapter::page(config, from.as_ref(), &[]);
    state.running = Some(Running { from, ..Running::new(holder, now, LEASE, state.clock) });
    tx.put(&state)?;
    Ok(Some(head))
}

/// What a cursor belongs to.
fn source_of(config: &CollectionConfig) -> String {
    let CollectionConfig { url, adapter, .. } = config;
    let adapter = match adapter {
        AdapterKind::Rest => "rest",
        AdapterKind::Postgrest => "postgrest",
        AdapterKind::Couchdb => "couchdb",
    };
    [adapter, " ", url, " ", config.updated_at(), " ", config.key()].text()
}

/// Whether a pull or a listing runs.
pub(super) fn is_running(state: &CollectionState, now: Millis) -> bool {
    state.running.as_ref().is_some_and(|running| now < running.until && running.until.since(now) <= LEASE)
}

/// Ends a pull that got no page.
///
/// # Errors
/// What the transaction returns.
pub async fn failed<T: Tx>(tx: &T, now: Millis, collection: &str, holder: &str, owner: &str, why: &str) -> Result<Next, Error> {
    let mut state = state_of(tx, collection, owner).await?;
    if state.running.as_ref().is_none_or(|running| running.holder != holder) {
        return Ok(Next::Lost);
    }
    fail(&mut state, now, why);
    tx.put(&state)?;
    Ok(Next::Failed(why.to_owned()))
}

fn fail(state: &mut CollectionState, now: Millis, why: &str) {
    state.running = None;
    state.error = Some(why.to_owned());
    state.failures = state.failures.saturating_add(1);
    let wait = (unit::SECOND << state.failures.min(16)).min(LONGEST_WAIT);
    state.due_at = Some(now.after(wait));
}

/// Applies a page, with the cursor behind it.
///
/// # Errors
/// What the transaction returns.
pub async fn apply<T: Tx>(
    tx: &T,
    now: Millis,
    collection: &str,
    holder: &str,
    owner: &str,
    body: &str,
    worker: &WorkerConfig,
) -> Result<Next, Error> {
    let config = config_of(worker, collection)?;
    let mut ledger = load(tx).await?;
    let mut state = state_of(tx, collection, owner).await?;
    let Some(mut running) = state.running.take().filter(|running| running.holder == holder) else { return Ok(Next::Lost) };
    let rows = match adapter::items(config, body) {
        Ok(rows) => rows,
        Err(why) => {
            fail(&mut state, now, &why);
            tx.put(&state)?;
            return Ok(Next::Failed(why));
        }
    };
    let is_empty = rows.is_empty();
    let (mut leaving, mut at, mut cut) = (Leaving::default(), running.from.clone(), false);
    let mut trouble = running.trouble.take();
    let mut is_out_of_order = false;
    let before = ledger.clone();
    for item in rows {
        let (id, row, place) = match adapter::listed(config, item) {
            Ok(Listed { id, row, place }) => (id, row, place),
            Err(why) => {
                trouble.get_or_insert(why);
                continue;
            }
        };
        if place.is_some() && at == place {
            continue;
        }
        if place.is_some() && at.is_some() && !adapter::is_beyond(config, place.as_ref(), at.as_ref()) {
            trouble = Some(["the rows do not come in the order of \"", config.updated_at(), "\""].text());
            is_out_of_order = true;
            break;
        }
        let Some(row) = row else {
            at = place.or(at);
            continue;
        };
        let found = tx.get::<Record>(&RecordKey::new(collection, owner, &id)).await?;
        if let Some(record) = &found
            && record.settled > running.asked
            && record.version != row.version
        {
            cut = true;
            break;
        }
        if boxed(take_row(tx, now, &mut ledger, &mut leaving, &mut state, found, &id, row, owner, config, worker)).await? {
            running.applied += 1;
        }
        if place.is_some() {
            at = place;
        } else {
            trouble.get_or_insert(
                ["the row \"", &id, "\" does not say when it changed last, in \"", config.updated_at(), "\""].text(),
            );
        }
    }
    leaving.count_out(tx).await?;
    if ledger != before {
        save(tx, &mut ledger).await?;
    }
    if adapter::is_beyond(config, at.as_ref(), state.cursor.as_ref()) {
        state.cursor.clone_from(&at);
    }
    let lasted = now.since(running.began);
    state.lasted = state.lasted.max(lasted);
    running.cut = if cut { running.cut + 1 } else { 0 };
    if is_empty || (cut && running.cut > MOST_CUTS) {
        if is_empty {
            forget_tombstones(tx, collection, owner, running.asked).await?;
        }
        (state.pulled_at, state.failures, state.lasted) = (Some(now), 0, lasted);
        state.error.clone_from(&trouble);
        // What was cut short is fetched soon.
        state.due_at = if is_empty { (config.pull.every > 0).then(|| now.after(config.pull.every)) } else { Some(now) };
        tx.put(&state)?;
        return Ok(Next::Done { applied: running.applied, trouble });
    }
    if is_out_of_order || (!cut && at == running.from) {
        let why = trouble.unwrap_or_else(|| {
            "the server sends the same page again: it does not go by updatedSince and after; see the documentation of the adapter".to_owned()
        });
        fail(&mut state, now, &why);
        tx.put(&state)?;
        return Ok(Next::Failed(why));
    }
    running.trouble = trouble;
    running.asked = state.clock;
    running.until = now.after(LEASE);
    running.from = at;
    let head = adapter::page(config, running.from.as_ref(), &[]);
    state.running = Some(running);
    tx.put(&state)?;
    Ok(Next::Page(head))
}

/// Takes one row in. Returns whether it changed what is here.
#[expect(clippy::too_many_arguments, reason = "the state of one page")]
pub(super) async fn take_row<T: Tx>(
    tx: &T,
    now: Millis,
    ledger: &mut Ledger,
    leaving: &mut Leaving,
    state: &mut CollectionState,
    found: Option<Record>,
    id: &str,
    row: Row,
    owner: &str,
    config: &CollectionConfig,
    worker: &WorkerConfig,
) -> Result<bool, Error> {
    // An id that the record once had may be another's.
    let found = found.filter(|record| record.moved.is_none() || row.text.is_none());
    let Some(mut record) = found else {
        if row.text.is_none() {
            return Ok(false);
        }
        let seq = state.tick();
        let mut record = Record::new(&state.collection, owner, id, seq);
        record.local.clone_from(&row.text);
        (record.base, record.version) = (row.text, row.version);
        store(tx, &mut record, state)?;
        return Ok(true);
    };
    // When it changed last may name two versions of one moment.
    let is_same = config.has_version() || record.base == row.text;
    let is_known =
        record.base.is_some() == row.text.is_some() && record.version.is_some() && record.version == row.version && is_same;
    let is_back = row.text.is_some() && record.expired.take().is_some();
    if record.moved.is_some() || is_known || is_older(&row, &record, config) {
        if is_back {
            store(tx, &mut record, state)?;
        }
        return Ok(is_back);
    }
    if record.conflict {
        record.remote = Some(row);
        tx.put(&record)?;
        return Ok(true);
    }
    let job = match &record.push {
        Some(push) => tx.get::<Job>(&push.job).await?,
        None => None,
    };
    if job.is_some_and(|job| may_have_arrived(&job)) {
        record.remote = Some(row);
        tx.put(&record)?;
        return Ok(false);
    }
    let before = record.clone();
    boxed(met(tx, now, ledger, leaving, &mut record, row, config, worker)).await?;
    if record.is_dirty() {
        boxed(plan(tx, now, ledger, leaving, &mut record, config, worker)).await?;
    }
    if record.is_tombstone() {
        // The server says so itself.
        tx.delete::<Record>(&RecordKey::new(&record.collection, owner, &record.id))?;
    } else {
        store(tx, &mut record, state)?;
    }
    if is_only_here(&before) && !is_only_here(&record) {
        boxed(references::release(tx, now, ledger, leaving, &record.collection, owner, &record.id, worker)).await?;
    }
    Ok(record.local != before.local || record.conflict || is_back)
}

/// Whether a row is older than the one that is here, by its version and by its time: a copy that lags behind.
fn is_older(row: &Row, record: &Record, config: &CollectionConfig) -> bool {
    let (Some(row_text), Some(base)) = (&row.text, &record.base) else { return false };
    let (Some(row), Some(base)) = (document::read(row_text), document::read(base)) else { return false };
    let version = |document: &Document| document.get(config.version()).and_then(Value::as_u64);
    let at = |document: &Document| document.get(config.updated_at()).and_then(instant::parse);
    version(&row).zip(version(&base)).is_some_and(|(row, base)| row < base) && at(&row) <= at(&base)
}

/// Removes the tombstones that no page can contradict any more.
async fn forget_tombstones<T: Tx>(tx: &T, collection: &str, owner: &str, asked: u64) -> Result<(), Error> {
    for record in tx.scan(&Scan::of(RecordIndex::Gone, vec![owner, collection], PAGE).upto(asked)).await? {
        tx.delete::<Record>(&RecordKey::new(collection, owner, &record.id))?;
    }
    Ok(())
}
