//! Fetches what has changed on the server, page by page, in the order of (time, id) (D4).
//!
//! ```text
//!   begin ──▶ asked for a page ──▶ applied: rows and cursor in one transaction ──▶ asked for the next … ──▶ an empty page: done
//!                 │                        └─ a row is not to be believed: cut there, and asked for again from there
//!                 └─ no answer, or no page: failed; the next pull goes on from the cursor
//! ```
//!
//! One pull of a collection runs at a time, under a name of its own: a page that comes back after another has begun is dropped.
//! Each begins a little before the cursor (`overlap`), for rows that the server commits behind their time. The cursor never
//! goes back.
//!
//! A page was computed by the server some time after it was asked for. A record whose own push was settled in between may be in
//! it as it was before that push. Such a row, where it is not the version that the push returned, ends the page: the next is
//! asked for from there, by now after the push. So nothing is reverted, and nothing is skipped.

use serde_json::Value;

use super::{
    adapter,
    config::CollectionConfig,
    instant,
    mutation::{config_of, plan, state_of, store},
    push::{may_have_arrived, met},
    record::{CollectionState, Cursor, Record, RecordIndex, RecordKey, Row, Running},
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
const LEASE: u64 = 5 * unit::MINUTE;

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
    /// There is no more; so many rows were applied.
    Done(u64),
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

/// Begins a pull under `holder`, a name that no other ever has. None begins while another runs.
///
/// # Errors
/// What the transaction returns.
pub async fn begin<T: Tx>(
    tx: &T,
    now: Millis,
    collection: &str,
    holder: &str,
    owner: &str,
    worker: &WorkerConfig,
) -> Result<Option<RequestHead>, Error> {
    let config = config_of(worker, collection)?;
    let mut state = state_of(tx, collection, owner).await?;
    if state.running.as_ref().is_some_and(|running| now < running.until && running.until.since(now) <= LEASE) {
        return Ok(None);
    }
    state.begin_indexes(config);
    let from = state.cursor.as_ref().map(|cursor| {
        let at = serde_json::from_str(&cursor.at).ok();
        let earlier = at.and_then(|at: Value| instant::before(&at, config.pull.overlap)).filter(|_| config.pull.overlap > 0);
        earlier.map_or_else(|| cursor.clone(), |at| Cursor { at: at.to_string(), id: String::new() })
    });
    let head = adapter::page(config, from.as_ref());
    let asked = state.clock;
    state.running = Some(Running { holder: holder.to_owned(), until: now.after(LEASE), asked, from, cut: 0, applied: 0 });
    tx.put(&state)?;
    Ok(Some(head))
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
    let rows = match adapter::rows(body) {
        Ok(rows) => rows,
        Err(why) => {
            fail(&mut state, now, &why);
            tx.put(&state)?;
            return Ok(Next::Failed(why));
        }
    };
    let is_empty = rows.is_empty();
    let (mut leaving, mut at, mut cut, mut trouble) = (Leaving::default(), running.from.clone(), false, None);
    let mut is_out_of_order = false;
    let before = ledger.clone();
    for value in rows {
        let changed = value.get(&config.updated_at).cloned().unwrap_or(Value::Null);
        let (id, row, _) = match adapter::row(config, value) {
            Ok(row) => row,
            Err(why) => {
                trouble.get_or_insert(why);
                continue;
            }
        };
        let place = Cursor { at: changed.to_string(), id: id.clone() };
        let has_place = instant::parse(&changed).is_some();
        if has_place && at.as_ref() == Some(&place) {
            continue;
        }
        if has_place && at.is_some() && !is_beyond(Some(&place), at.as_ref()) {
            trouble =
                Some(["the rows do not come in the order of \"", &config.updated_at, "\" and \"", &config.key, "\""].text());
            is_out_of_order = true;
            break;
        }
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
        if has_place {
            at = Some(place);
        } else {
            trouble.get_or_insert(
                ["the row \"", &id, "\" does not say when it changed last, in \"", &config.updated_at, "\""].text(),
            );
        }
    }
    leaving.count_out(tx).await?;
    if ledger != before {
        save(tx, &mut ledger).await?;
    }
    if is_beyond(at.as_ref(), state.cursor.as_ref()) {
        state.cursor.clone_from(&at);
    }
    running.cut = if cut { running.cut + 1 } else { 0 };
    if is_empty || (cut && running.cut > MOST_CUTS) {
        if is_empty {
            forget_tombstones(tx, collection, owner, running.asked).await?;
        }
        (state.pulled_at, state.failures, state.error) = (Some(now), 0, None);
        // What was cut short is fetched soon.
        state.due_at = if is_empty { (config.pull.every > 0).then(|| now.after(config.pull.every)) } else { Some(now) };
        tx.put(&state)?;
        return Ok(Next::Done(running.applied));
    }
    if is_out_of_order || (!cut && at == running.from) {
        let why = trouble.unwrap_or_else(|| {
            "the server sends the same page again: it does not go by updatedSince and after; see the documentation of the adapter".to_owned()
        });
        fail(&mut state, now, &why);
        tx.put(&state)?;
        return Ok(Next::Failed(why));
    }
    running.asked = state.clock;
    running.until = now.after(LEASE);
    running.from = at;
    let head = adapter::page(config, running.from.as_ref());
    state.running = Some(running);
    tx.put(&state)?;
    Ok(Next::Page(head))
}

/// Takes one row in. Returns whether it changed what is here.
#[expect(clippy::too_many_arguments, reason = "the state of one page")]
async fn take_row<T: Tx>(
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
    let is_known = record.base.is_some() == row.text.is_some() && record.version.is_some() && record.version == row.version;
    if record.moved.is_some() || is_known || is_older(&row, &record) {
        return Ok(false);
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
    met(tx, now, ledger, &mut record, row, config, worker).await?;
    if record.is_dirty() {
        boxed(plan(tx, now, ledger, leaving, &mut record, config, worker)).await?;
    }
    if record.is_tombstone() {
        // The server says so itself.
        tx.delete::<Record>(&RecordKey::new(&record.collection, owner, &record.id))?;
    } else {
        store(tx, &mut record, state)?;
    }
    Ok(record.local != before.local || record.conflict)
}

/// Whether a row is older than the one that is here: a copy that lags behind, where versions count.
fn is_older(row: &Row, record: &Record) -> bool {
    let number = |version: &Option<String>| version.as_deref().and_then(|version| version.parse::<u64>().ok());
    number(&row.version).zip(number(&record.version)).is_some_and(|(row, record)| row < record)
}

/// Whether a place in the server's order is behind another.
fn is_beyond(at: Option<&Cursor>, other: Option<&Cursor>) -> bool {
    let place = |cursor: &Cursor| {
        let at = serde_json::from_str::<Value>(&cursor.at).ok().and_then(|at| instant::parse(&at));
        // Finer than a millisecond, the text decides.
        (at, cursor.at.clone(), cursor.id.clone())
    };
    match (at, other) {
        (Some(at), Some(other)) => place(at) > place(other),
        (at, _) => at.is_some(),
    }
}

/// Removes the tombstones that no page can contradict any more.
async fn forget_tombstones<T: Tx>(tx: &T, collection: &str, owner: &str, asked: u64) -> Result<(), Error> {
    for record in tx.scan(&Scan::of(RecordIndex::Gone, vec![owner, collection], PAGE).upto(asked)).await? {
        tx.delete::<Record>(&RecordKey::new(collection, owner, &record.id))?;
    }
    Ok(())
}
