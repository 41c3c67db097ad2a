//! What a person or the app can do to stored jobs: retry, discard, edit, clear, pause, sign in.
//!
//! Each says whether it came in time. A job that is being sent cannot be taken back: whether it arrived is not known
//! yet, so it is too late, and its outcome will tell. Only [`cancel`] stops one, and then lists it as failed.
//!
//! What concerns one job acts on the current owner's jobs only. What concerns many ([`clear`], [`compact`], [`pause`])
//! acts on those of the owner as whom it was asked: a message that comes late, after another user has signed in,
//! touches nothing of theirs.

use serde::{Deserialize, Serialize};

use crate::{
    boxed::boxed,
    drafts,
    error::{Error, ErrorCode},
    health::clock,
    id::JobId,
    queue::{
        batch::{self, LARGEST_ITEM},
        binding::{self, Bound},
        config::{DEFAULT_QUEUE, OnFailure, WorkerConfig},
        history::Outcome,
        job::{Job, Place, State},
        key_order,
        last_error::{ErrorKind, LastError},
        request::{RequestHead, takes_body},
    },
    schedule::{network::NetworkChange, periodic},
    store::{
        Caller, Index, Scan, Session, Tombstone, Tx,
        bodies::{self, Leaving},
        ledger::Ledger,
        load, oldest_outcomes, quarantine,
        read::Filter,
        receipts::KEPT_FOR,
        row::Body as BodyRecord,
        save,
    },
    time::Millis,
    wire::text::Text,
};

/// Jobs cleared in one transaction's page.
const PAGE: u32 = 256;

/// Tries a job again now: a dead letter afresh, a waiting one without waiting. An origin that is closed for trouble is
/// probed at once.
///
/// # Errors
/// `invalid-request` when it is bound to a value that can never be known; what the transaction returns.
pub async fn retry<T: Tx>(tx: &T, now: Millis, id: &JobId, config: &WorkerConfig) -> Result<Option<Job>, Error> {
    let mut ledger = load(tx).await?;
    let Some(mut job) = idle_job(tx, &mut ledger, id).await? else { return Ok(None) };
    if boxed(binding::examine(tx, &mut job, now, config)).await? == Bound::Failed {
        let why = job.error.map(|error| error.message).unwrap_or_default();
        return Err(Error::invalid_request(why));
    }
    let mut retried = None;
    // A batch that may have arrived goes again as it was, or not at all.
    for mut job in batch::members(tx, &job).await?.into_iter().filter(|member| member.state != State::Syncing) {
        let from = job.state;
        match job.state {
            State::Pending => {
                job.schedule.next_attempt_at = now;
                job.schedule.hold_until = Millis(0);
                job.attempts.last_delay = 0;
            }
            _ => job.revive(now, config.queue_or_default(&job.queue).max_age),
        }
        key_order::enter(tx, &mut job, now).await?;
        ledger.shift(&job, from);
        ledger.add_origin(&job);
        if ledger.origin(job.origin()).is_some() {
            ledger.change_origin(job.origin(), now, |health| health.allow_probe(now));
        }
        tx.put(&job)?;
        if job.id == *id {
            retried = Some(job);
        }
    }
    save(tx, &mut ledger).await?;
    Ok(retried)
}

/// Removes a job that is not being sent, and lets its successors go; `cascade` says that those that wait for its response go
/// too. Returns what was removed, that job first; nothing where it came too late.
///
/// # Errors
/// `has-dependents` when others wait for its response, and `cascade` does not say that they go; what the transaction returns.
pub async fn discard<T: Tx>(tx: &T, now: Millis, id: &JobId, cascade: bool) -> Result<Vec<Job>, Error> {
    let mut ledger = load(tx).await?;
    let Some(job) = idle_job(tx, &mut ledger, id).await? else { return Ok(Vec::new()) };
    if !cascade {
        boxed(binding::refuse_dependents(tx, &job)).await?;
    }
    let (mut leaving, mut removed, mut next) = (Leaving::default(), Vec::new(), vec![job]);
    while let Some(job) = next.pop() {
        // One may wait for several of those that go.
        if removed.iter().any(|other: &Job| other.id == job.id) {
            continue;
        }
        next.extend(boxed(binding::waiting(tx, &job)).await?);
        remove(tx, &mut ledger, &mut leaving, &job, now).await?;
        removed.push(job);
    }
    leaving.count_out(tx).await?;
    save(tx, &mut ledger).await?;
    Ok(removed)
}

/// Removes a job that a form's new submission stands for; those that wait for its response are told of the new one by
/// [`binding::hand_over`].
pub(crate) async fn replace<T: Tx>(tx: &T, now: Millis, id: &JobId) -> Result<Option<Job>, Error> {
    let mut ledger = load(tx).await?;
    let Some(job) = idle_job(tx, &mut ledger, id).await? else { return Ok(None) };
    let mut leaving = Leaving::default();
    remove(tx, &mut ledger, &mut leaving, &job, now).await?;
    leaving.count_out(tx).await?;
    save(tx, &mut ledger).await?;
    Ok(Some(job))
}

/// What [`cancel`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It was waiting, and is removed, with those that waited for its response where that was asked for.
    Removed(Vec<Job>),
    /// It was being sent, and is listed as failed: whether it arrived is not known.
    Stopped(Box<Job>),
    /// It came too late: there is no such job any more.
    TooLate,
}

/// Stops a job: removes one that waits, and makes a dead letter of one that is being sent. The shell aborts its send.
///
/// # Errors
/// As [`discard`].
pub async fn cancel<T: Tx>(tx: &T, now: Millis, id: &JobId, cascade: bool, config: &WorkerConfig) -> Result<Cancelled, Error> {
    let mut ledger = load(tx).await?;
    let job = tx.get::<Job>(id).await?.filter(|job| job.owner == ledger.owner);
    let Some(mut job) = job.filter(|job| job.state == State::Syncing) else {
        let removed = discard(tx, now, id, cascade).await?;
        return Ok(if removed.is_empty() { Cancelled::TooLate } else { Cancelled::Removed(removed) });
    };
    let error = LastError {
        kind: ErrorKind::Cancelled,
        status: None,
        message: "cancelled while it was being sent; whether it arrived is not known".to_owned(),
    };
    let on_failure = config.queue_or_default(&job.queue).on_failure;
    job.dead_letter(State::Failed, error, on_failure);
    // The others are not sent with it any more.
    job.batch = None;
    // A dead letter that came back by hand may stand further ahead.
    key_order::yield_to_earlier(tx, &mut job, now).await?;
    ledger.shift(&job, State::Syncing);
    tx.put(&job)?;
    if on_failure == OnFailure::Continue {
        key_order::promote_next(tx, &job, true, now).await?;
    }
    save(tx, &mut ledger).await?;
    Ok(Cancelled::Stopped(Box::new(job)))
}

/// Replaces a job's request, and its body where `body` says so, under a new idempotency key: to a
/// server it is another request. A dead letter is tried again.
///
/// # Errors
/// `invalid-request` when the new head cannot be sent; what the transaction returns.
pub async fn edit<T: Tx>(
    tx: &T,
    now: Millis,
    id: &JobId,
    change: Edit<T::Body>,
    config: &WorkerConfig,
) -> Result<Option<Job>, Error> {
    let mut ledger = load(tx).await?;
    let Some(mut job) = idle_job(tx, &mut ledger, id).await? else { return Ok(None) };
    if job.record.is_some() {
        return Err(Error::invalid_request("the job carries a change of a record; write the record instead"));
    }
    let from = job.state;
    let was_item = job.is_item().then(|| job.work.request().head.clone());
    let work = job.work.request_mut();
    let kept = matches!(change.body, Body::Keep).then(|| work.head.headers.clone()).unwrap_or_default();
    work.head.change(change.request, change.headers);
    if !work.head.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        // It is the body's, and goes with it: without its boundary a form is no form.
        work.head.headers.extend(kept.into_iter().filter(|(name, _)| name == "content-type"));
    }
    work.head.admit(&config.credentials)?;
    if let Some(item) = was_item {
        if (&item.url, &item.method) == (&work.head.url, &work.head.method) {
            work.head = item;
            match &change.body {
                Body::Keep => {}
                Body::Replace(_, 1..=LARGEST_ITEM) if change.is_json => {}
                _ => return Err(Error::invalid_request("an item of a batch is JSON of 1 byte to 64 KiB")),
            }
        } else {
            // From here on it is a request of its own.
            work.item = None;
        }
    }
    if let Some(origin) = change.origin {
        work.origin = origin;
    }
    let mut leaving = Leaving::default();
    let body_kept = matches!(change.body, Body::Keep);
    if !body_kept {
        leaving.body(tx, &job)?;
        let work = job.work.request_mut();
        (work.size, work.packed) = (None, None);
    }
    let work = job.work.request_mut();
    match change.body {
        Body::Keep => {}
        Body::None => {
            if !change.headers {
                work.head.headers.retain(|(name, _)| name != "content-type");
            }
        }
        Body::Replace(body, size) => {
            work.size = Some(size);
            tx.put_body(id, &body)?;
        }
    }
    if work.size.is_some() && !takes_body(&work.head.method) {
        return Err(Error::invalid_request([&work.head.method, " takes no body"].text()));
    }
    leaving.count_out(tx).await?;
    boxed(binding::forget_lost(tx, &mut job, body_kept, now, config)).await?;
    job.idempotency_key = change.idempotency_key;
    job.batch = None;
    job.error = None;
    if from != State::Pending {
        job.revive(now, config.queue_or_default(&job.queue).max_age);
    }
    key_order::enter(tx, &mut job, now).await?;
    ledger.shift(&job, from);
    ledger.add_origin(&job);
    tx.put(&job)?;
    save(tx, &mut ledger).await?;
    Ok(Some(job))
}

/// A change of a stored job's request.
#[derive(Debug)]
pub struct Edit<B> {
    /// The change of its head; see [`RequestHead::change`].
    pub request: RequestHead,
    /// Whether its headers are all.
    pub headers: bool,
    /// The new URL's origin, where there is a new one.
    pub origin: Option<String>,
    /// What becomes of the body.
    pub body: Body<B>,
    /// Whether the new body is JSON.
    pub is_json: bool,
    /// The new idempotency key.
    pub idempotency_key: String,
}

/// What an edit does to the body.
#[derive(Debug)]
pub enum Body<B> {
    /// It stays.
    Keep,
    /// There is none any more.
    None,
    /// Another, and its size in bytes.
    Replace(B, u64),
}

/// Removes all of the caller's owner's jobs that match and are not being sent; returns how many. Others that waited for the
/// response of one of them have failed by that.
///
/// # Errors
/// What the transaction returns.
pub async fn clear<T: Tx>(tx: &T, now: Millis, filter: &Filter, caller: &Caller, config: &WorkerConfig) -> Result<u32, Error> {
    let mut ledger = load(tx).await?;
    let owner = caller.owner_or(&ledger.owner).to_owned();
    let queues: Vec<String> =
        ledger.queues_of(&owner).map(|queue| queue.queue.clone()).filter(|queue| filter.takes_queue(queue)).collect();
    let (mut cleared, mut leaving, mut orphans) = (0, Leaving::default(), Vec::new());
    for queue in queues {
        for state in State::ALL.into_iter().filter(|state| *state != State::Syncing && filter.takes_state(*state)) {
            loop {
                let page = tx.scan(&Scan::of(Index::State, vec![&owner, &queue, state.as_str()], PAGE)).await?;
                if page.is_empty() {
                    break;
                }
                for job in &page {
                    remove(tx, &mut ledger, &mut leaving, job, now).await?;
                    orphans.extend_from_slice(job.dependents());
                    cleared += 1;
                }
            }
        }
    }
    boxed(binding::orphan(tx, &mut ledger, &orphans, now, config)).await?;
    leaving.count_out(tx).await?;
    save(tx, &mut ledger).await?;
    Ok(cleared)
}

/// Stops or resumes sending the caller's owner's jobs, of one queue or of all. Survives restarts.
///
/// # Errors
/// `unknown-queue` when neither the configuration nor any of that owner's jobs names the queue; what the transaction
/// returns.
pub async fn pause<T: Tx>(
    tx: &T,
    queue: Option<&str>,
    paused: bool,
    caller: &Caller,
    config: &WorkerConfig,
) -> Result<(), Error> {
    let mut ledger = load(tx).await?;
    let owner = caller.owner_or(&ledger.owner).to_owned();
    if let Some(queue) = queue {
        check_queue(&ledger, &owner, queue, config)?;
    }
    ledger.change_pauses(&owner, |everything, queues| match queue {
        None => {
            *everything = paused;
            if !paused {
                queues.clear();
            }
        }
        Some(queue) => {
            queues.retain(|name| name != queue);
            if paused {
                queues.push(queue.to_owned());
            }
        }
    });
    tx.put(&Session::of(&ledger))?;
    save(tx, &mut ledger).await
}

/// Changes what is sent of the caller's owner's over which network. Survives restarts.
///
/// # Errors
/// What the transaction returns.
pub async fn set_network<T: Tx>(tx: &T, change: NetworkChange, caller: &Caller) -> Result<(), Error> {
    let mut ledger = load(tx).await?;
    let owner = caller.owner_or(&ledger.owner).to_owned();
    ledger.change_network(&owner, change);
    tx.put(&Session::of(&ledger))?;
    save(tx, &mut ledger).await
}

/// Checks that a queue exists: the configuration names it, or jobs of `owner` do.
///
/// # Errors
/// `unknown-queue`.
pub fn check_queue(ledger: &Ledger, owner: &str, queue: &str, config: &WorkerConfig) -> Result<(), Error> {
    let is_named = queue == DEFAULT_QUEUE || config.queues.iter().any(|(name, _)| name == queue);
    let is_paused = owner == ledger.owner && ledger.paused_queues.iter().any(|name| name == queue);
    if is_named || is_paused || ledger.queue(queue, owner).is_some() {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::UnknownQueue,
        ["no queue \"", queue, "\": start({queues}) does not name it and it holds no job"].text(),
    ))
}

/// Says who is signed in: jobs are stamped with, listed for and sent for this owner only. Their jobs that waited for a
/// sign-in are tried again. Naming the current owner does that and nothing else: it purges nothing.
///
/// With `purge`, everything of the owner that it names is removed, what is being sent included: it may arrive, and
/// leaves no trace here.
///
/// # Errors
/// What the transaction returns.
pub async fn set_owner<T: Tx>(tx: &T, now: Millis, owner: &str, purge: Option<&str>, config: &WorkerConfig) -> Result<(), Error> {
    let mut ledger = load(tx).await?;
    if owner != ledger.owner {
        if let Some(purged) = purge.filter(|purged| *purged != owner) {
            remove_owner(tx, &mut ledger, purged, now).await?;
            periodic::purge(tx, purged).await?;
            ledger.forget_owner(purged);
        }
        ledger.sign_in(owner);
    }
    // Always: an older release may have written the ledger without its session since.
    tx.put(&Session::of(&ledger))?;
    let queues: Vec<String> =
        ledger.own_queues().filter(|queue| queue.counts.blocked > 0).map(|queue| queue.queue.clone()).collect();
    for queue in queues {
        let max_age = config.queue_or_default(&queue).max_age;
        loop {
            let page = tx.scan(&Scan::of(Index::State, vec![owner, &queue, State::Blocked.as_str()], PAGE)).await?;
            if page.is_empty() {
                break;
            }
            for mut job in page {
                job.revive(now, max_age);
                key_order::enter(tx, &mut job, now).await?;
                ledger.shift(&job, State::Blocked);
                tx.put(&job)?;
            }
        }
    }
    save(tx, &mut ledger).await
}

/// Removes every job, body, trace and draft of `owner`.
async fn remove_owner<T: Tx>(tx: &T, ledger: &mut Ledger, owner: &str, now: Millis) -> Result<(), Error> {
    let mut after = None;
    // All rows, by no index: one that does not parse may stand in none.
    loop {
        let page = tx.page::<Job>(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for job in page.iter().filter(|job| job.owner == owner) {
            tx.delete::<Job>(&job.id)?;
            tx.delete::<BodyRecord>(&job.id)?;
            leave_tombstone(tx, job, now)?;
            ledger.leave(job, job.state);
        }
    }
    #[cfg(feature = "collections")]
    boxed(crate::collections::mutation::purge(tx, owner)).await?;
    // What did not parse has been put aside by now.
    let aside = quarantine::purge(tx, owner).await?;
    let ids: Vec<&JobId> = aside.iter().collect();
    for (id, again) in aside.iter().zip(tx.get_each::<Job>(&ids).await?) {
        // The page may have asked for it again when another was signed in: then the body is theirs.
        if again.is_none() {
            tx.delete::<BodyRecord>(id)?;
        }
    }
    drafts::purge(tx, owner, now).await?;
    bodies::recount(tx).await?;
    for outcome in oldest_outcomes(tx, u32::MAX).await? {
        if outcome.owner == owner {
            tx.delete::<Outcome>(&outcome.id)?;
            ledger.history = ledger.history.saturating_sub(1);
        }
    }
    Ok(())
}

/// What [`compact`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacted {
    /// Traces of delivered jobs.
    pub history: u64,
    /// Dead letters.
    pub failed: u64,
}

/// As [`compact`], when nobody asks for it: by a time that is not in doubt. A clock that was set forward makes nothing old.
///
/// # Errors
/// What the transaction returns.
pub async fn compact_by_itself<T: Tx>(
    tx: &T,
    now: Millis,
    failed: Option<u64>,
    caller: &Caller,
    config: &WorkerConfig,
) -> Result<Compacted, Error> {
    let ledger = load(tx).await?;
    let believed = if clock::may_be_ahead(&ledger, now) { ledger.seen.after(clock::PLAUSIBLE) } else { now };
    compact(tx, believed, failed, caller, config).await
}

/// When a dead letter ended, as far as its row tells. One that expired did so when its time was over, tried or not.
fn ended_at(job: &Job) -> Millis {
    if let Some(at) = job.attempts.ended_at {
        return at;
    }
    let last = job.attempts.last_tried_at.unwrap_or(job.schedule.queued_at);
    let has_expired = job.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Expired);
    if has_expired { last.max(job.schedule.expires_at) } else { last }
}

/// Removes traces that are older than the configuration keeps them, and the caller's owner's dead letters that
/// ended longer than `failed` milliseconds ago.
///
/// # Errors
/// What the transaction returns.
pub async fn compact<T: Tx>(
    tx: &T,
    now: Millis,
    failed: Option<u64>,
    caller: &Caller,
    config: &WorkerConfig,
) -> Result<Compacted, Error> {
    let mut ledger = load(tx).await?;
    let mut compacted = Compacted::default();
    for outcome in oldest_outcomes(tx, u32::MAX).await? {
        if now.since(outcome.delivered_at) > config.history.max_age || ledger.history > u64::from(config.history.max) {
            tx.delete::<Outcome>(&outcome.id)?;
            ledger.history = ledger.history.saturating_sub(1);
            compacted.history += 1;
        }
    }
    if let Some(age) = failed {
        let (mut leaving, mut orphans) = (Leaving::default(), Vec::new());
        let owner = caller.owner_or(&ledger.owner).to_owned();
        let queues: Vec<String> = ledger.queues_of(&owner).map(|queue| queue.queue.clone()).collect();
        for queue in queues {
            let mut after = 0;
            loop {
                let scan = Scan::of(Index::State, vec![&owner, &queue, State::Failed.as_str()], PAGE).from(after);
                let page = tx.scan(&scan).await?;
                let Some(last) = page.last() else { break };
                after = last.order.seq + 1;
                // What was written to a record goes by a person's hand alone.
                for job in page.iter().filter(|job| now.since(ended_at(job)) > age && job.record.is_none()) {
                    remove(tx, &mut ledger, &mut leaving, job, now).await?;
                    orphans.extend_from_slice(job.dependents());
                    compacted.failed += 1;
                }
            }
        }
        boxed(binding::orphan(tx, &mut ledger, &orphans, now, config)).await?;
        leaving.count_out(tx).await?;
    }
    save(tx, &mut ledger).await?;
    Ok(compacted)
}

/// The current owner's job of this id, where it is not being sent; a row that had to go to quarantine
/// instead is counted out.
async fn idle_job<T: Tx>(tx: &T, ledger: &mut Ledger, id: &JobId) -> Result<Option<Job>, Error> {
    let job = tx.get::<Job>(id).await?.filter(|job| job.owner == ledger.owner && job.state != State::Syncing);
    if job.is_none() && tx.quarantined() > 0 {
        save(tx, ledger).await?;
    }
    Ok(job)
}

/// Remembers that a job was removed, where a message from before may still ask for it.
fn leave_tombstone<T: Tx>(tx: &T, job: &Job, now: Millis) -> Result<(), Error> {
    if now.0.abs_diff(job.schedule.queued_at.0) > KEPT_FOR { Ok(()) } else { tx.put(&Tombstone { id: job.id.clone(), at: now }) }
}

/// Removes a job for a person: of a mutation's, what was written is taken back with it.
async fn remove<T: Tx>(tx: &T, ledger: &mut Ledger, leaving: &mut Leaving, job: &Job, now: Millis) -> Result<(), Error> {
    #[cfg(feature = "collections")]
    if job.record.is_some() {
        boxed(crate::collections::mutation::discarded(tx, job)).await?;
    }
    remove_job(tx, ledger, leaving, job, now).await
}

pub(crate) async fn remove_job<T: Tx>(
    tx: &T,
    ledger: &mut Ledger,
    leaving: &mut Leaving,
    job: &Job,
    now: Millis,
) -> Result<(), Error> {
    tx.delete::<Job>(&job.id)?;
    leave_tombstone(tx, job, now)?;
    leaving.body(tx, job)?;
    ledger.leave(job, job.state);
    if job.order.line {
        let moved = matches!(job.place, Place::Ready | Place::Due);
        key_order::promote_next(tx, job, moved, now).await?;
    }
    Ok(())
}
