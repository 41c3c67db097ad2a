//! What is written here: local writes, taking them back, settling a conflict by hand; and the mutation that a record queues.

use serde_json::Value;

use super::{
    adapter,
    config::CollectionConfig,
    conflict, document,
    push::may_have_arrived,
    record::{CollectionKey, CollectionState, Push, PushOp, Record, RecordIndex, RecordKey, Row},
    references::{self, Outlook},
};
use crate::{
    boxed::boxed,
    error::Error,
    id::JobId,
    protocol::records::{Change, Choice, RecordEdit, RecordName, RecordWrite, Resolve},
    queue::{
        config::WorkerConfig,
        job::{Job, Order, State, rank},
        key_order,
        last_error::LastError,
        manage::remove_job,
    },
    store::{Caller, Scan, Tx, bodies::Leaving, ledger::Ledger, load, save},
    time::Millis,
    wire::text::Text,
};

/// The largest record, in bytes of JSON.
const LARGEST: usize = 16 << 20;

/// Ids that a record may have had, one after another.
const MOST_NAMES: u32 = 8;

/// Rows in one page.
const PAGE: u32 = 256;

/// The settings of a collection.
///
/// # Errors
/// `invalid-request` when the configuration does not name it.
pub fn config_of<'c>(config: &'c WorkerConfig, collection: &str) -> Result<&'c CollectionConfig, Error> {
    config
        .collections
        .iter()
        .find(|(name, _)| name == collection)
        .map(|(_, config)| config)
        .ok_or_else(|| Error::invalid_request(["no collection \"", collection, "\": name it in start({collections})"].text()))
}

/// The queue of a collection's mutations.
#[must_use]
pub fn queue_of(config: &CollectionConfig, collection: &str) -> String {
    config.queue.clone().unwrap_or_else(|| collection.to_owned())
}

/// How far a collection is synced.
pub(crate) async fn state_of<T: Tx>(tx: &T, collection: &str, owner: &str) -> Result<CollectionState, Error> {
    let state = tx.get::<CollectionState>(&CollectionKey::new(collection, owner)).await?;
    Ok(state.unwrap_or_else(|| CollectionState {
        collection: collection.to_owned(),
        owner: owner.to_owned(),
        ..CollectionState::default()
    }))
}

/// A record, by its id or one that it had.
///
/// # Errors
/// What the transaction returns.
pub async fn find<T: Tx>(tx: &T, collection: &str, owner: &str, id: &str) -> Result<Option<Record>, Error> {
    Ok(look_up(tx, collection, owner, id).await?.1)
}

/// The id that the record of an id has now, and the record, if it is here.
pub(crate) async fn look_up<T: Tx>(tx: &T, collection: &str, owner: &str, id: &str) -> Result<(String, Option<Record>), Error> {
    let mut key = RecordKey::new(collection, owner, id);
    for _ in 0..MOST_NAMES {
        match tx.get::<Record>(&key).await? {
            Some(Record { moved: Some(id), .. }) => key.id = id,
            found => return Ok((key.id, found)),
        }
    }
    Ok((key.id, None))
}

/// Writes a record. Returns whether it was there; a patch of one that is not does nothing.
///
/// # Errors
/// `invalid-request` for what is no record; what the transaction returns.
pub async fn write<T: Tx>(
    tx: &T,
    now: Millis,
    write: &RecordWrite,
    caller: &Caller,
    worker: &WorkerConfig,
) -> Result<bool, Error> {
    let config = config_of(worker, &write.collection)?;
    adapter::check_id(&write.id)?;
    let mut ledger = load(tx).await?;
    let owner = caller.owner_or(&ledger.owner).to_owned();
    let mut state = state_of(tx, &write.collection, &owner).await?;
    state.begin_indexes(config);
    let found = find(tx, &write.collection, &owner, &write.id).await?;
    let was_there = found.as_ref().is_some_and(|record| record.local.is_some());
    if !was_there && !matches!(write.change, Change::Put(_)) {
        return Ok(false);
    }
    let mut record = match found {
        Some(record) => record,
        None => Record::new(&write.collection, &owner, &write.id, state.tick()),
    };
    let local = match &write.change {
        Change::Put(text) => Some(parse(text)?),
        Change::Patch(patch) => {
            let patch = Value::Object(parse(patch)?);
            let mut target = Value::Object(record.local.as_deref().and_then(document::read).unwrap_or_default());
            document::merge_patch(&mut target, &patch);
            target.as_object().cloned()
        }
        Change::Edit(RecordEdit { from, to }) => {
            // What came since stays where the edit did not touch it, and lists of which the union counts keep what was added.
            let current = record.local.as_deref().and_then(document::read).unwrap_or_default();
            let to = parse(to)?;
            let mut merged = conflict::merge(&parse(from)?, &to, &current, config, true);
            if let Some(key) = to.get(config.key()) {
                merged.insert(config.key().to_owned(), key.clone());
            }
            Some(merged)
        }
        Change::Delete => None,
    };
    record.local = match local {
        Some(mut local) => {
            match local.get(config.key()) {
                None => {}
                Some(Value::String(key)) if *key == write.id || *key == record.id => {}
                Some(Value::Number(key)) if key.to_string() == record.id => {}
                Some(_) => {
                    return Err(Error::invalid_request(
                        ["the member \"", config.key(), "\" is the record's id, a string, and does not change"].text(),
                    ));
                }
            }
            if !local.get(config.key()).is_some_and(Value::is_number) {
                local.insert(config.key().to_owned(), Value::String(record.id.clone()));
            }
            Some(document::text(&local))
        }
        None => None,
    };
    record.seed.get_or_insert_with(|| write.seed.clone());
    record.changed_at = Some(now);
    let mut leaving = Leaving::default();
    boxed(plan(tx, now, &mut ledger, &mut leaving, &mut record, config, worker)).await?;
    store(tx, &mut record, &state)?;
    tx.put(&state)?;
    if record.base.is_none() && was_there != record.local.is_some() {
        // It came, or it goes and the server has never heard of it: those that refer to it are looked at.
        let Record { collection, owner, id, .. } = &record;
        boxed(references::release(tx, now, &mut ledger, &mut leaving, collection, owner, id, worker)).await?;
    }
    leaving.count_out(tx).await?;
    save(tx, &mut ledger).await?;
    Ok(was_there)
}

fn parse(text: &str) -> Result<document::Document, Error> {
    if text.len() > LARGEST {
        return Err(Error::invalid_request("a record is at most 16 MiB of JSON; store a file beside it"));
    }
    document::read(text).ok_or_else(|| Error::invalid_request("a record is a JSON object of valid Unicode, no lone surrogates"))
}

/// Takes back what was written here and is not on its way. Returns whether there was anything, in time.
///
/// # Errors
/// What the transaction returns.
pub async fn undo<T: Tx>(tx: &T, now: Millis, name: &RecordName, caller: &Caller, worker: &WorkerConfig) -> Result<bool, Error> {
    let config = config_of(worker, &name.collection)?;
    let mut ledger = load(tx).await?;
    let owner = caller.owner_or(&ledger.owner).to_owned();
    let Some(mut record) = find(tx, &name.collection, &owner, &name.id).await? else { return Ok(false) };
    if !record.is_dirty() {
        return Ok(false);
    }
    let mut leaving = Leaving::default();
    if let Some(push) = &record.push
        && let Some(job) = tx.get::<Job>(&push.job).await?
    {
        // A read changes nothing, but its response may be on its way.
        if may_have_arrived(&job) && (push.op != PushOp::Read || job.state == State::Syncing) {
            return Ok(false);
        }
        remove_job(tx, &mut ledger, &mut leaving, &job, now).await?;
    }
    revert(tx, &mut record).await?;
    if record.unread {
        // What the server has is still to be asked for.
        boxed(plan(tx, now, &mut ledger, &mut leaving, &mut record, config, worker)).await?;
        let state = state_of(tx, &record.collection, &record.owner).await?;
        store(tx, &mut record, &state)?;
    }
    let Record { collection, owner, id, .. } = &record;
    boxed(references::release(tx, now, &mut ledger, &mut leaving, collection, owner, id, worker)).await?;
    leaving.count_out(tx).await?;
    save(tx, &mut ledger).await?;
    Ok(true)
}

/// What a person does to a mutation's job by removing it: the write is taken back.
pub(crate) async fn discarded<T: Tx>(tx: &T, job: &Job) -> Result<(), Error> {
    if let Some(mut record) = of_job(tx, job).await? {
        revert(tx, &mut record).await?;
    }
    Ok(())
}

/// Makes a record what the server has, as far as is known.
async fn revert<T: Tx>(tx: &T, record: &mut Record) -> Result<(), Error> {
    if let Some(row) = record.remote.take() {
        (record.base, record.version) = (row.text, row.version);
    }
    // What was accepted is the server's, although its row is still to be read.
    record.local = record.sent.clone().or_else(|| record.base.clone());
    (record.push, record.changed_at, record.conflict, record.waits_for) = (None, None, false, None);
    if record.base.is_none() && !record.unread {
        return tx.delete::<Record>(&RecordKey::new(&record.collection, &record.owner, &record.id));
    }
    let state = state_of(tx, &record.collection, &record.owner).await?;
    store(tx, record, &state)
}

/// The record whose mutation a job is.
pub(crate) async fn of_job<T: Tx>(tx: &T, job: &Job) -> Result<Option<Record>, Error> {
    let Some(key) = job.record.as_deref().and_then(<RecordKey as crate::store::Key>::parse) else { return Ok(None) };
    let record = find(tx, &key.collection, &key.owner, &key.id).await?;
    Ok(record.filter(|record| record.push.as_ref().is_some_and(|push| push.job == job.id)))
}

/// Settles a conflict by hand. Returns whether there was one.
///
/// # Errors
/// `invalid-request` for what is no record; what the transaction returns.
pub async fn resolve<T: Tx>(
    tx: &T,
    now: Millis,
    resolve: &Resolve,
    caller: &Caller,
    worker: &WorkerConfig,
) -> Result<bool, Error> {
    let config = config_of(worker, &resolve.collection)?;
    let mut ledger = load(tx).await?;
    let owner = caller.owner_or(&ledger.owner).to_owned();
    let record = find(tx, &resolve.collection, &owner, &resolve.id).await?;
    let Some(mut record) = record.filter(|record| record.conflict) else { return Ok(false) };
    let row = record.remote.take().unwrap_or(Row::GONE);
    record.local = match &resolve.choice {
        Choice::Local => record.local.take(),
        Choice::Remote => row.text.clone(),
        Choice::Record(text) => {
            let mut document = parse(text)?;
            document.insert(config.key().to_owned(), Value::String(record.id.clone()));
            Some(document::text(&document))
        }
    };
    take_base(&mut record, row, config);
    record.conflict = false;
    let mut leaving = Leaving::default();
    boxed(plan(tx, now, &mut ledger, &mut leaving, &mut record, config, worker)).await?;
    let state = state_of(tx, &record.collection, &record.owner).await?;
    store(tx, &mut record, &state)?;
    let Record { collection, owner, id, .. } = &record;
    boxed(references::release(tx, now, &mut ledger, &mut leaving, collection, owner, id, worker)).await?;
    leaving.count_out(tx).await?;
    save(tx, &mut ledger).await?;
    Ok(true)
}

/// Makes a row the one that a record begins from; what the server owns of `local` is the row's.
pub(crate) fn take_base(record: &mut Record, row: Row, config: &CollectionConfig) {
    if let (Some(local), Some(text)) = (record.local.as_deref().and_then(document::read), row.text.as_deref()) {
        let row = document::read(text).unwrap_or_default();
        record.local = Some(document::text(&document::owned_by(local, &row, config)));
    }
    (record.base, record.version) = (row.text, row.version);
}

/// Writes a record, or what is left of it, with the entries of its collection's indexes.
pub(crate) fn store<T: Tx>(tx: &T, record: &mut Record, state: &CollectionState) -> Result<(), Error> {
    if record.is_tombstone() && record.settled == 0 {
        // Nobody but this device has ever heard of it.
        return tx.delete::<Record>(&RecordKey::new(&record.collection, &record.owner, &record.id));
    }
    record.index(state);
    tx.put(record)
}

/// Sees to it that the record's mutation is what differs between `base` and `local`. One that may have arrived stays as it is:
/// its outcome decides what comes next. Returns the job where it is a new one. The caller writes the record.
pub(crate) async fn plan<T: Tx>(
    tx: &T,
    now: Millis,
    ledger: &mut Ledger,
    leaving: &mut Leaving,
    record: &mut Record,
    config: &CollectionConfig,
    worker: &WorkerConfig,
) -> Result<Option<Job>, Error> {
    if record.conflict {
        return Ok(None);
    }
    let mut made = 0;
    if let Some(push) = &record.push
        && let Some(mut job) = tx.get::<Job>(&push.job).await?
    {
        if may_have_arrived(&job) {
            if job.state == State::Failed {
                let from = job.state;
                job.revive(now, worker.queue_or_default(&job.queue).max_age);
                key_order::enter(tx, &mut job, now).await?;
                ledger.shift(&job, from);
                ledger.add_origin(&job);
                tx.put(&job)?;
            }
            return Ok(None);
        }
        // Of one that was given up, a person's next word is tried anew.
        made = if job.state == State::Pending { job.attempts.made } else { 0 };
        remove_job(tx, ledger, leaving, &job, now).await?;
    }
    record.push = None;
    let Outlook { waits_for, unknown, without } = references::look(tx, record, config, worker).await?;
    record.waits_for = None;
    let local = record.local.as_deref().and_then(document::read);
    let base = record.base.as_deref().and_then(document::read);
    let op = match (&base, &local) {
        _ if record.unread => PushOp::Read,
        (None, Some(_)) => PushOp::Create,
        (Some(_), None) => PushOp::Delete,
        (Some(base), Some(local)) if !document::difference(base, local, config).is_empty() => PushOp::Update,
        _ => {
            record.changed_at = None;
            // What the server owns of it is the server's.
            record.local.clone_from(&record.base);
            return Ok(None);
        }
    };
    record.changed_at.get_or_insert(now);
    if op != PushOp::Read {
        if let Some(waits_for) = waits_for {
            record.waits_for = Some(waits_for);
            return Ok(None);
        }
        record.waits_for = unknown;
    }
    let id = record.mint();
    // What is left out of a create is written since, when it comes back.
    let whole = record.local.clone();
    if let (PushOp::Create, Some(mut local), false) = (op, local, without.is_empty()) {
        without.iter().for_each(|member| drop(local.remove(member)));
        record.local = Some(document::text(&local));
    }
    let job = enqueue(tx, now, ledger, record, op, id, made, config, worker).await?;
    record.local = whole;
    Ok(Some(job))
}

/// Queues a record's mutation, made from what `local` is.
#[expect(clippy::too_many_arguments, reason = "what a job is made of")]
async fn enqueue<T: Tx>(
    tx: &T,
    now: Millis,
    ledger: &mut Ledger,
    record: &mut Record,
    op: PushOp,
    id: JobId,
    made: u32,
    config: &CollectionConfig,
    worker: &WorkerConfig,
) -> Result<Job, Error> {
    let local = record.local.as_deref().and_then(document::read);
    let (head, body) = adapter::mutation(config, op, record, local.as_ref(), now);
    let queue = queue_of(config, &record.collection);
    let settings = worker.queue_or_default(&queue);
    let clock = ledger.tick(now);
    ledger.begin_time(now);
    let key = record_key(record);
    let size = body.as_ref().map(|body| body.len() as u64);
    let mut job = Job {
        metadata: Some(described(record, op)),
        order: Order {
            seq: ledger.next_seq,
            line: true,
            key: Some(key.clone()),
            priority: 5,
            rank: rank(clock, 5, settings.aging),
        },
        record: Some(key),
        ..Job::unstored(id, head, queue, record.owner.clone(), now)
    };
    job.work.request_mut().size = size;
    job.schedule.expires_at = now.max(ledger.seen).after(settings.max_age);
    // A server that refuses one rebased mutation after another is not asked for ever.
    job.attempts.made = made;
    ledger.next_seq += 1;
    key_order::enter(tx, &mut job, now).await?;
    ledger.enter(&job);
    if let Some(body) = &body {
        tx.put_body(&job.id, &T::text_body(body))?;
    }
    tx.add(&job)?;
    let data = record.local.clone().filter(|_| op != PushOp::Read);
    record.push = Some(Push { job: job.id.clone(), op, data, body });
    Ok(job)
}

/// A person is to decide: the mutation is listed in conflict, until they do.
#[expect(clippy::too_many_arguments, reason = "the state of one cycle")]
pub(crate) async fn ask<T: Tx>(
    tx: &T,
    now: Millis,
    ledger: &mut Ledger,
    leaving: &mut Leaving,
    record: &mut Record,
    row: Row,
    config: &CollectionConfig,
    worker: &WorkerConfig,
) -> Result<(), Error> {
    let has_job = match &record.push {
        Some(push) => tx.get::<Job>(&push.job).await?.is_some(),
        None => false,
    };
    if !has_job {
        (record.push, record.unread, record.conflict) = (None, false, false);
        boxed(plan(tx, now, ledger, leaving, record, config, worker)).await?;
    }
    (record.conflict, record.remote) = (true, Some(row));
    if let Some(push) = &record.push
        && let Some(mut job) = tx.get::<Job>(&push.job).await?
        && job.state != State::Conflict
    {
        let from = job.state;
        let error = LastError { kind: crate::queue::last_error::ErrorKind::Http, status: None, message: BOTH_CHANGED.to_owned() };
        job.dead_letter(State::Conflict, error, worker.queue_or_default(&job.queue).on_failure);
        job.attempts.ended_at = Some(now);
        ledger.shift(&job, from);
        tx.put(&job)?;
    }
    Ok(())
}

/// Why a record waits for a person.
const BOTH_CHANGED: &str = "the record was changed here and on the server; settle it with collection.resolve()";

fn record_key(record: &Record) -> String {
    crate::store::Key::text(&RecordKey::new(&record.collection, &record.owner, &record.id)).into_owned()
}

fn described(record: &Record, op: PushOp) -> String {
    let of = |text: &str| Value::String(text.to_owned());
    let members = [("collection", of(&record.collection)), ("id", of(&record.id)), ("change", of(op.as_str()))];
    document::text(&members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Removes all of an owner's.
///
/// # Errors
/// What the transaction returns.
pub(crate) async fn purge<T: Tx>(tx: &T, owner: &str) -> Result<(), Error> {
    loop {
        let page = tx.scan(&Scan::of(RecordIndex::Owner, vec![owner], PAGE)).await?;
        if page.is_empty() {
            break;
        }
        for record in page {
            tx.delete::<Record>(&RecordKey::new(&record.collection, &record.owner, &record.id))?;
        }
    }
    for state in tx.page::<CollectionState>(None, u32::MAX).await? {
        if state.owner == owner {
            tx.delete::<CollectionState>(&CollectionKey::new(&state.collection, owner))?;
        }
    }
    Ok(())
}

/// Queues the mutations of dirty records that have none: their jobs were lost, or settled by a build without collections.
/// What the server has of them is asked for first.
///
/// # Errors
/// What the transaction returns.
pub async fn requeue<T: Tx>(tx: &T, now: Millis, collection: &str, owner: &str, worker: &WorkerConfig) -> Result<u32, Error> {
    let config = config_of(worker, collection)?;
    let mut requeued = 0;
    let dirty = tx.scan(&Scan::of(RecordIndex::Dirty, vec![owner, collection], u32::MAX)).await?;
    let mut missing = Vec::new();
    for record in dirty.into_iter().filter(|record| !record.conflict) {
        let job = match &record.push {
            Some(push) => tx.get::<Job>(&push.job).await?,
            None => None,
        };
        if job.is_none() {
            missing.push(record);
        }
    }
    if missing.is_empty() {
        return Ok(0);
    }
    let (mut ledger, mut leaving) = (load(tx).await?, Leaving::default());
    let state = state_of(tx, collection, owner).await?;
    for mut record in missing {
        match record.push.take() {
            // It may have arrived: again as it was, under its key, so that it makes no second row.
            Some(Push { job, op: PushOp::Create, data, .. }) => {
                let local = std::mem::replace(&mut record.local, data);
                enqueue(tx, now, &mut ledger, &mut record, PushOp::Create, job, 0, config, worker).await?;
                record.local = local;
            }
            push => {
                record.unread |= push.is_some();
                boxed(plan(tx, now, &mut ledger, &mut leaving, &mut record, config, worker)).await?;
            }
        }
        store(tx, &mut record, &state)?;
        requeued += 1;
    }
    leaving.count_out(tx).await?;
    save(tx, &mut ledger).await?;
    Ok(requeued)
}
