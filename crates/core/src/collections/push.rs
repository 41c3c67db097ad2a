//! What becomes of a record when its mutation comes back.
//!
//! `verdict` says what the server did; `settle` does what follows, in the transaction of the drain's cycle that takes the job
//! out of the queue.

use super::{
    adapter::{self, Said},
    config::CollectionConfig,
    conflict::{Meeting, meet, rebase},
    document,
    mutation::{self, plan, store},
    record::{PushOp, Record, RecordKey, Row},
};
use crate::{
    boxed::boxed,
    error::Error,
    http::reply::AttemptResult,
    queue::{
        config::WorkerConfig,
        cycle::retry::Next,
        job::{Job, State},
        last_error::ErrorKind,
        manage::remove_job,
    },
    store::{Tx, bodies::Leaving, ledger::Ledger},
    time::Millis,
};

/// What the server did with a mutation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It did it; the row as it is now, where it says.
    Done(Option<(String, Row)>),
    /// It has another row than the mutation was for; which, where it says.
    Met(Option<Row>),
    /// It knows no such row.
    Unknown,
    /// A row of this id was there and is gone for good: the record wants another.
    NameTaken,
    /// What the queue makes of it.
    Other,
}

/// Whether a server may have carried the job out: then it is sent again as it is, or not at all.
pub(crate) fn may_have_arrived(job: &Job) -> bool {
    match job.state {
        State::Syncing => return true,
        // It was refused, or never sent.
        State::Conflict => return false,
        _ => {}
    }
    if job.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Unsendable) {
        return false;
    }
    let status = job.error.as_ref().filter(|error| error.kind == ErrorKind::Http).and_then(|error| error.status);
    let has_refused = match status {
        // By whoever stands before the server: says nothing of what became of an earlier send.
        Some(401 | 403 | 407 | 419 | 429 | 440) => {
            job.attempts.made <= 1 && job.attempts.unreachable == 0 && job.attempts.interruptions == 0
        }
        // Under a key that it has carried out it would have said so. Of one that waits for another try, it may have meant that
        // the first is still under way.
        Some(status) => (400..500).contains(&status) && !matches!(status, 408 | 425) && job.state != State::Pending,
        None => false,
    };
    job.attempts.last_tried_at.is_some() && !has_refused
}

/// What the result of a mutation says.
pub(crate) fn verdict(record: &Record, result: &AttemptResult, next: Next, config: &CollectionConfig) -> Verdict {
    let (Some(push), AttemptResult::Status(response)) = (&record.push, result) else { return Verdict::Other };
    let has_taken = (200..300).contains(&response.status);
    let said = adapter::answered(config, push, has_taken, response.body.as_deref());
    // Only a create may learn of another id.
    let is_other = |id: &str| push.op != PushOp::Create && id != record.id;
    let row = match &said {
        Said::Row(id, row) if !is_other(id) => Some((id.clone(), row.clone())),
        _ => None,
    };
    let met = || Verdict::Met(row.clone().filter(|(id, _)| *id == record.id).map(|(_, row)| row));
    // What the version was a condition of says not whether the row is there.
    let no_match = |otherwise| if record.version.is_some() { Verdict::Met(None) } else { otherwise };
    match (push.op, response.status, next) {
        (PushOp::Read, 404, _) if adapter::says_deleted(config, response.body.as_deref()) => Verdict::Met(Some(Row::GONE)),
        (PushOp::Read, 404, _) => Verdict::Unknown,
        (PushOp::Read, 410, _) => Verdict::Met(Some(Row::GONE)),
        (PushOp::Read, _, Next::Delivered) if said == Said::NoMatch => Verdict::Unknown,
        (PushOp::Read, _, Next::Delivered) => met(),
        (PushOp::Delete, _, Next::Delivered) if said == Said::NoMatch => no_match(Verdict::Done(None)),
        (PushOp::Update, _, Next::Delivered) if said == Said::NoMatch => no_match(Verdict::Unknown),
        // Whoever says so without a word may not be the server: it is asked once more.
        (PushOp::Delete, 404, Next::Delivered) if response.body.is_none() => Verdict::Met(None),
        (PushOp::Delete, _, Next::Delivered) => Verdict::Done(None),
        (_, _, Next::Delivered) => Verdict::Done(row),
        (PushOp::Create, 410, _) => Verdict::NameTaken,
        (PushOp::Update, 404, _) => Verdict::Met(None),
        (PushOp::Update, 410, _) => Verdict::Met(Some(row.map_or(Row::GONE, |(_, row)| Row { text: None, ..row }))),
        (PushOp::Create | PushOp::Update | PushOp::Delete, _, Next::Conflict) => met(),
        _ => Verdict::Other,
    }
}

/// Does what follows from a verdict for a record whose job has left the queue, delivered or taken back. Returns the job that is
/// queued next, if any.
///
/// # Errors
/// What the transaction returns.
#[expect(clippy::too_many_arguments, reason = "the state of one cycle")]
pub(crate) async fn settle<T: Tx>(
    tx: &T,
    now: Millis,
    ledger: &mut Ledger,
    leaving: &mut Leaving,
    mut record: Record,
    verdict: Verdict,
    config: &CollectionConfig,
    worker: &WorkerConfig,
    made: u32,
) -> Result<Option<Job>, Error> {
    let mut state = mutation::state_of(tx, &record.collection, &record.owner).await?;
    record.settled = state.tick();
    tx.put(&state)?;
    let push = record.push.take();
    let created = push.as_ref().filter(|push| push.op.is_of_create()).and_then(|push| push.data.clone());
    (record.unread, record.conflict) = (false, false);
    match verdict {
        Verdict::Done(answer) => {
            record.expired = None;
            let was_deletion = push.as_ref().is_some_and(|push| push.op == PushOp::Delete);
            let pushed = push.and_then(|push| push.data);
            if was_deletion {
                (record.base, record.version, record.remote, record.sent) = (None, None, None, None);
                if record.local.is_none() {
                    record.changed_at = None;
                }
            } else if let Some((id, row)) = answer {
                boxed(take(tx, now, ledger, leaving, &mut record, pushed.as_deref(), &id, row, config)).await?;
            } else {
                // Whether it was the server that said so shows by the row.
                (record.sent, record.unread) = (pushed, true);
            }
        }
        Verdict::Met(row) => {
            let (sent, seen) = (record.sent.take(), record.remote.take());
            match (sent, row.or_else(|| seen.clone())) {
                (sent, None) => (record.sent, record.unread) = (sent, true),
                (Some(sent), Some(row)) => {
                    record.sent = Some(sent);
                    boxed(met(tx, now, ledger, leaving, &mut record, row, config, worker)).await?;
                }
                (None, Some(row)) => {
                    // The reply may be older than what a pull has seen meanwhile.
                    let is_late = seen.is_some_and(|seen| seen.version != row.version || seen.version.is_none());
                    if record.base.is_none() && is_made_by(created.as_deref(), &row, config) {
                        let id = record.id.clone();
                        boxed(take(tx, now, ledger, leaving, &mut record, created.as_deref(), &id, row, config)).await?;
                    } else {
                        boxed(met(tx, now, ledger, leaving, &mut record, row, config, worker)).await?;
                    }
                    record.unread = is_late && !record.conflict;
                }
            }
        }
        Verdict::Unknown => (record.base, record.version, record.remote, record.sent) = (None, None, None, None),
        Verdict::NameTaken => {
            let id = record.mint().as_str().to_owned();
            boxed(rename(tx, now, ledger, leaving, &mut record, &id, None, None, config)).await?;
        }
        Verdict::Other => {}
    }
    let mut next = boxed(plan(tx, now, ledger, leaving, &mut record, config, worker)).await?;
    if let Some(job) = &mut next
        && made > 0
    {
        job.attempts.made = made;
        tx.put(job)?;
    }
    // What a create has sent tells its row from another's when that is read.
    if let Some(push) = record.push.as_mut().filter(|push| push.op == PushOp::Read && record.base.is_none()) {
        push.data = created;
    }
    if record.conflict
        && let Some(push) = &record.push
    {
        next = tx.get::<Job>(&push.job).await?;
    }
    store(tx, &mut record, &state)?;
    Ok(next)
}

/// Whether a row is the one that a create of ours has made, whose reply was lost: it has all that was sent.
fn is_made_by(created: Option<&str>, row: &Row, config: &CollectionConfig) -> bool {
    let of = |text: Option<&str>| text.and_then(document::read);
    of(created).zip(of(row.text.as_deref())).is_some_and(|(created, row)| document::has_all(&row, &created, config))
}

/// Takes the row that came of a mutation: it is what the record begins from; what was written since `pushed` stays.
#[expect(clippy::too_many_arguments, reason = "the state of one cycle")]
async fn take<T: Tx>(
    tx: &T,
    now: Millis,
    ledger: &mut Ledger,
    leaving: &mut Leaving,
    record: &mut Record,
    pushed: Option<&str>,
    id: &str,
    row: Row,
    config: &CollectionConfig,
) -> Result<(), Error> {
    // Somebody else's may be later than ours.
    record.unread = record.remote.take().is_some_and(|seen| seen.version != row.version || seen.version.is_none());
    if id != record.id {
        boxed(rename(tx, now, ledger, leaving, record, id, row.version.as_deref(), pushed, config)).await?;
        if record.push.is_some() {
            return Ok(());
        }
    }
    let is_written_since = document::differ(pushed, record.local.as_deref(), config);
    if let (Some(local), Some(text)) = (&record.local, &row.text) {
        record.local = Some(if is_written_since { rebase(pushed, local, text, config) } else { text.clone() });
    }
    if is_written_since {
        record.changed_at.get_or_insert(now);
    } else {
        record.changed_at = None;
    }
    (record.base, record.version) = (row.text, row.version);
    Ok(())
}

/// A record that has no mutation on its way meets a row of the server. The caller plans and writes.
#[expect(clippy::too_many_arguments, reason = "the state of one cycle")]
pub(crate) async fn met<T: Tx>(
    tx: &T,
    now: Millis,
    ledger: &mut Ledger,
    leaving: &mut Leaving,
    record: &mut Record,
    row: Row,
    config: &CollectionConfig,
    worker: &WorkerConfig,
) -> Result<(), Error> {
    record.remote = None;
    if let Some(sent) = record.sent.take().filter(|_| row.text.is_some()) {
        // It is the row that a mutation was answered without.
        let (base, text) = (record.base.as_deref(), row.text.as_deref());
        if document::differ(base, text, config) || !document::differ(base, Some(&sent), config) {
            let id = record.id.clone();
            return boxed(take(tx, now, ledger, leaving, record, Some(&sent), &id, row, config)).await;
        }
        // Nothing of what was sent is there: it is sent again.
        (record.base, record.version, record.unread) = (row.text, row.version, false);
        return Ok(());
    }
    match meet(record, &row, config) {
        Meeting::Ask => boxed(mutation::ask(tx, now, ledger, leaving, record, row, config, worker)).await,
        Meeting::Local(local) => {
            record.local = local;
            (record.base, record.version) = (row.text, row.version);
            record.conflict = false;
            Ok(())
        }
    }
}

/// Gives a record another id; under the one that it had, it is still found.
#[expect(clippy::too_many_arguments, reason = "the state of one cycle")]
async fn rename<T: Tx>(
    tx: &T,
    now: Millis,
    ledger: &mut Ledger,
    leaving: &mut Leaving,
    record: &mut Record,
    id: &str,
    version: Option<&str>,
    pushed: Option<&str>,
    config: &CollectionConfig,
) -> Result<(), Error> {
    let mut moved = Record::new(&record.collection, &record.owner, &record.id, record.seq);
    moved.moved = Some(id.to_owned());
    moved.settled = record.settled;
    tx.put(&moved)?;
    record.id = id.to_owned();
    let mut local = record.local.as_deref().and_then(document::read);
    if let Some(local) = &mut local {
        local.insert(config.key().to_owned(), id.into());
    }
    // A pull may have brought the row before the reply that says whose it is, and somebody may have written to it.
    if let Some(twin) = tx.get::<Record>(&RecordKey::new(&record.collection, &record.owner, id)).await? {
        let job = match &twin.push {
            Some(push) => tx.get::<Job>(&push.job).await?,
            None => None,
        };
        // What a pull has brought may be later than a reply that was remembered.
        record.unread |= twin.base.is_some() && (version.is_none() || twin.version.as_deref() != version);
        // One that may have arrived comes first: what it was refused or answered with decides.
        let is_under_way = job.as_ref().is_some_and(may_have_arrived);
        if is_under_way {
            record.push.clone_from(&twin.push);
            (record.base, record.version) = (twin.base.clone(), twin.version.clone());
        } else if let Some(job) = job {
            remove_job(tx, ledger, leaving, &job, now).await?;
        }
        let of = |text: Option<&str>| text.and_then(document::read);
        if let (Some(ours), Some(base), Some(theirs)) = (&local, of(twin.base.as_deref()), of(twin.local.as_deref())) {
            let pushed = of(pushed).unwrap_or_default();
            let mut written = [document::difference(&base, &theirs, config), document::difference(&pushed, ours, config)];
            if twin.changed_at > record.changed_at {
                written.reverse();
            }
            let mut folded = if is_under_way { base } else { pushed };
            folded.insert(config.key().to_owned(), id.into());
            written.iter().for_each(|written| document::apply(&mut folded, written));
            local = Some(folded);
        } else if twin.is_dirty() && twin.changed_at > record.changed_at {
            // One of them was deleted: the later counts.
            local = of(twin.local.as_deref());
        }
        record.changed_at = record.changed_at.max(twin.changed_at);
    }
    record.local = local.as_ref().map(document::text);
    Ok(())
}

/// Takes a refused mutation's job out of the queue.
pub(crate) async fn withdraw<T: Tx>(
    tx: &T,
    now: Millis,
    ledger: &mut Ledger,
    leaving: &mut Leaving,
    job: &Job,
) -> Result<(), Error> {
    remove_job(tx, ledger, leaving, job, now).await
}
