//! References between records: a member of one is the id of another, which the server may not have yet.
//!
//! ```text
//!   written ──▶ refers to none but what the server has ──▶ queued
//!      │                          ▲
//!      └──▶ waits for the first that it has not ─────┘ created, given another id, or gone from here: looked at again
//!                  │
//!                  └─ that one waits for this one: queued without the member, which goes as an update afterwards
//! ```
//!
//! A record that waits is dirty and has no mutation; [`Record::waits_for`] says for which, and
//! [`WAITING_INDEX`](crate::store::WAITING_INDEX) finds it. What [`plan`](super::mutation) makes of it is decided here, so
//! whatever plans a record (a write, a reply, a pull, [`requeue`](super::mutation::requeue) after a start) comes to the same.
//!
//! # What always holds
//!
//! 1. No request names a record by an id that it has only here, as long as that record is here.
//! 2. A record that waits is looked at again in the transaction in which the one that it waits for gets a row of the server's,
//!    another id, or goes.
//! 3. Nobody waits in a circle.
//! 4. An id that a record had is replaced by the one that it has whenever a mutation is made.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    config::CollectionConfig,
    document,
    mutation::{find, look_up, plan, state_of, store},
    record::{PushOp, Record, RecordIndex},
};
use crate::{
    boxed::boxed,
    error::Error,
    queue::config::WorkerConfig,
    store::{Scan, Tx, bodies::Leaving, ledger::Ledger},
    time::Millis,
};

/// Records that wait for one another, at most: a longer row of them is taken for a circle.
const LONGEST_CHAIN: usize = 1_000;

/// Records that are looked at in one transaction.
const PAGE: u32 = 1_000;

/// A record that another refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referred {
    /// Its collection.
    pub collection: String,
    /// Its id.
    pub id: String,
}

/// What the references of a record say of its mutation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outlook {
    /// It is not made until this one is at the server.
    pub(crate) waits_for: Option<Referred>,
    /// It is made; this one is not known here.
    pub(crate) unknown: Option<Referred>,
    /// Members that are not sent yet.
    pub(crate) without: Vec<String>,
}

/// Whether a record is here and the server has no row of it.
#[must_use]
pub fn is_only_here(record: &Record) -> bool {
    // One that is deleted at the server and written again is made anew.
    if record.local.is_some() && record.push.as_ref().is_some_and(|push| push.op == PushOp::Delete) {
        return true;
    }
    // What was seen while its mutation is on its way may be dealt with when that comes back.
    let has_met = record.conflict && record.remote.as_ref().is_some_and(|row| row.text.is_some());
    let is_here = record.moved.is_none() && (record.local.is_some() || record.push.is_some());
    is_here && record.base.is_none() && record.sent.is_none() && !has_met
}

/// Puts the ids that records have now in place of those that they had, and says what the mutation waits for.
///
/// # Errors
/// What the transaction returns.
pub(crate) async fn look<T: Tx>(
    tx: &T,
    record: &mut Record,
    config: &CollectionConfig,
    worker: &WorkerConfig,
) -> Result<Outlook, Error> {
    let mut outlook = Outlook::default();
    if config.references.is_empty() {
        return Ok(outlook);
    }
    let Some(mut local) = record.local.as_deref().and_then(document::read) else { return Ok(outlook) };
    let (is_new, mut has_changed) = (is_only_here(record), false);
    for (member, collection) in &config.references {
        let ids: Vec<&mut Value> = match local.get_mut(member) {
            Some(Value::Array(ids)) => ids.iter_mut().collect(),
            Some(id) => vec![id],
            None => continue,
        };
        for id in ids {
            let text = match id {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => continue,
            };
            let (now, found) = look_up(tx, collection, &record.owner, &text).await?;
            // Of a record that is to be written, what is stored is what it was.
            let is_itself = *collection == record.collection && now == record.id;
            let found = if is_itself { Some(record.clone()) } else { found };
            let Some(referred) = found else {
                outlook.unknown.get_or_insert(Referred { collection: collection.clone(), id: text });
                continue;
            };
            let key = key_of(&referred, collection, worker);
            if *id != key {
                *id = key;
                has_changed = true;
            }
            if !is_only_here(&referred) {
                continue;
            }
            // Nobody waits for one that the server has, whatever is still written of them.
            if is_new && is_waited_for(tx, record, &referred).await? {
                if !outlook.without.contains(member) {
                    outlook.without.push(member.clone());
                }
            } else {
                outlook.waits_for.get_or_insert(Referred { collection: collection.clone(), id: referred.id });
            }
        }
    }
    if has_changed {
        record.local = Some(document::text(&local));
    }
    Ok(outlook)
}

/// A record's key as its row has it: a number, where the server has numbers.
fn key_of(record: &Record, collection: &str, worker: &WorkerConfig) -> Value {
    let config = worker.collections.iter().find(|(name, _)| name == collection).map(|(_, config)| config);
    let row = record.base.as_deref().or(record.local.as_deref()).and_then(document::read);
    let key = config.zip(row).and_then(|(config, row)| row.get(config.key()).cloned());
    let is_it = |key: &Value| match key {
        Value::String(text) => *text == record.id,
        Value::Number(number) => number.to_string() == record.id,
        _ => false,
    };
    key.filter(is_it).unwrap_or_else(|| Value::String(record.id.clone()))
}

/// Whether `other` is `record`, or waits for it, itself or by others.
async fn is_waited_for<T: Tx>(tx: &T, record: &Record, other: &Record) -> Result<bool, Error> {
    let is_it = |collection: &str, id: &str| collection == record.collection && id == record.id;
    if is_it(&other.collection, &other.id) {
        return Ok(true);
    }
    // For one that nobody waits for there is no circle, however long the row is.
    let waiting = Scan::of(RecordIndex::Waiting, vec![&record.owner, &record.collection, &record.id], 1);
    if tx.scan(&waiting).await?.is_empty() {
        return Ok(false);
    }
    let mut next = other.waits_for.clone().filter(|_| other.push.is_none());
    for _ in 0..LONGEST_CHAIN {
        let Some(Referred { collection, id }) = next else { return Ok(false) };
        if is_it(&collection, &id) {
            return Ok(true);
        }
        let found = find(tx, &collection, &record.owner, &id).await?;
        next = found.filter(|found| found.push.is_none()).and_then(|found| found.waits_for);
    }
    Ok(true)
}

/// The collections whose records refer to those of this one.
pub fn referring<'w>(worker: &'w WorkerConfig, collection: &str) -> impl Iterator<Item = &'w (String, CollectionConfig)> {
    worker.collections.iter().filter(move |(_, config)| config.references.iter().any(|(_, referred)| referred == collection))
}

/// Looks again at the records that wait for this one, by the id that it had. Returns their collections.
///
/// # Errors
/// What the transaction returns.
#[expect(clippy::too_many_arguments, reason = "the state of one cycle")]
pub(crate) async fn release<T: Tx>(
    tx: &T,
    now: Millis,
    ledger: &mut Ledger,
    leaving: &mut Leaving,
    collection: &str,
    owner: &str,
    id: &str,
    worker: &WorkerConfig,
) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    if referring(worker, collection).next().is_none() {
        return Ok(names);
    }
    let mut from = 0;
    loop {
        let scan = Scan::of(RecordIndex::Waiting, vec![owner, collection, id], PAGE).from(from);
        let waiting = tx.scan(&scan).await?;
        let (count, last) = (waiting.len(), waiting.last().map_or(0, |record| record.seq));
        for record in waiting {
            let Some((name, config)) = worker.collections.iter().find(|(name, _)| *name == record.collection) else { continue };
            // The one before it may have changed it.
            let Some(mut record) = find(tx, name, owner, &record.id).await? else { continue };
            boxed(plan(tx, now, ledger, leaving, &mut record, config, worker)).await?;
            let state = state_of(tx, name, owner).await?;
            store(tx, &mut record, &state)?;
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        // Of two collections, some may be of one number: those of the last are looked at twice.
        if count < PAGE as usize || last <= from {
            return Ok(names);
        }
        from = last;
    }
}
