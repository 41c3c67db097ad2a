//! What a person or the app does to stored jobs: retry, discard, edit, clear, pause, sign in.
//!
//! Each answers whether it came in time. A job that is being sent cannot be taken back: whether it
//! arrived is not known yet, so the answer is "too late" and its outcome will tell.

use super::{
    Index, Scan, Tx,
    bodies::{self, Leaving},
    line, load,
    read::Filter,
    save,
};
use crate::{
    config::WorkerConfig,
    error::Error,
    id::JobId,
    job::{Job, Place, State},
    ledger::Ledger,
    request::{RequestHead, takes_body},
    text::Text,
    time::Millis,
};

/// Jobs cleared in one transaction's page.
const PAGE: u32 = 256;

/// Tries a job again now: a dead letter afresh, a waiting one without waiting.
///
/// # Errors
/// What the transaction answers.
pub async fn retry<T: Tx>(tx: &T, now: Millis, id: &JobId, config: &WorkerConfig) -> Result<Option<Job>, Error> {
    let mut ledger = load(tx).await?;
    let Some(mut job) = idle_job(tx, &mut ledger, id).await? else { return Ok(None) };
    let from = job.state;
    match job.state {
        State::Pending => {
            job.next_attempt_at = now;
            job.hold_until = Millis(0);
            job.last_delay = 0;
        }
        _ => job.revive(now, config.queue_or_default(&job.queue).max_age),
    }
    line::enter(tx, &mut job, now).await?;
    ledger.shift(&job, from);
    ledger.add_origin(&job);
    tx.put_job(&job)?;
    save(tx, &mut ledger).await?;
    Ok(Some(job))
}

/// Removes a job that is not being sent, and lets its successors go.
///
/// # Errors
/// What the transaction answers.
pub async fn discard<T: Tx>(tx: &T, now: Millis, id: &JobId) -> Result<Option<Job>, Error> {
    let mut ledger = load(tx).await?;
    let Some(job) = idle_job(tx, &mut ledger, id).await? else { return Ok(None) };
    let mut leaving = Leaving::default();
    remove(tx, &mut ledger, &mut leaving, &job, now).await?;
    leaving.count_out(tx).await?;
    save(tx, &mut ledger).await?;
    Ok(Some(job))
}

/// Replaces a job's request, and its body where `body` says so, under a new idempotency key: to a
/// server it is another request. A dead letter is tried again.
///
/// # Errors
/// `invalid-request` when the new head cannot be sent; what the transaction answers.
pub async fn edit<T: Tx>(
    tx: &T,
    now: Millis,
    id: &JobId,
    change: Edit<T::Body>,
    config: &WorkerConfig,
) -> Result<Option<Job>, Error> {
    let mut ledger = load(tx).await?;
    let Some(mut job) = idle_job(tx, &mut ledger, id).await? else { return Ok(None) };
    let from = job.state;
    let kept = matches!(change.body, Body::Keep).then(|| job.request.headers.clone()).unwrap_or_default();
    job.request.change(change.request, change.headers);
    if !job.request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        // It is the body's, and goes with it: without its boundary a form is no form.
        job.request.headers.extend(kept.into_iter().filter(|(name, _)| name == "content-type"));
    }
    job.request.admit()?;
    if let Some(origin) = change.origin {
        job.origin = origin;
    }
    let mut leaving = Leaving::default();
    if !matches!(change.body, Body::Keep) {
        leaving.body(tx, &job)?;
        (job.size, job.packed) = (None, None);
    }
    match change.body {
        Body::Keep => {}
        Body::None => {
            if !change.headers {
                job.request.headers.retain(|(name, _)| name != "content-type");
            }
        }
        Body::Replace(body, size) => {
            job.size = Some(size);
            tx.put_body(id, &body)?;
        }
    }
    if job.size.is_some() && !takes_body(&job.request.method) {
        return Err(Error::invalid_request([&job.request.method, " takes no body"].text()));
    }
    leaving.count_out(tx).await?;
    job.idempotency_key = change.idempotency_key;
    job.error = None;
    if from != State::Pending {
        job.revive(now, config.queue_or_default(&job.queue).max_age);
    }
    line::enter(tx, &mut job, now).await?;
    ledger.shift(&job, from);
    ledger.add_origin(&job);
    tx.put_job(&job)?;
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

/// Removes all of the current owner's jobs that match and are not being sent; answers how many.
///
/// # Errors
/// What the transaction answers.
pub async fn clear<T: Tx>(tx: &T, now: Millis, filter: &Filter) -> Result<u32, Error> {
    let mut ledger = load(tx).await?;
    let owner = ledger.owner.clone();
    let queues: Vec<String> =
        ledger.own_queues().map(|queue| queue.queue.clone()).filter(|queue| filter.takes_queue(queue)).collect();
    let (mut cleared, mut leaving) = (0, Leaving::default());
    for queue in queues {
        for state in State::ALL.into_iter().filter(|state| *state != State::Syncing && filter.takes_state(*state)) {
            loop {
                let page = tx.scan(&Scan::of(Index::State, vec![&owner, &queue, state.as_str()], PAGE)).await?;
                if page.is_empty() {
                    break;
                }
                for job in &page {
                    remove(tx, &mut ledger, &mut leaving, job, now).await?;
                    cleared += 1;
                }
            }
        }
    }
    leaving.count_out(tx).await?;
    save(tx, &mut ledger).await?;
    Ok(cleared)
}

/// Stops or resumes sending, of one queue or of all. Survives restarts.
///
/// # Errors
/// What the transaction answers.
pub async fn pause<T: Tx>(tx: &T, queue: Option<&str>, paused: bool) -> Result<Ledger, Error> {
    let mut ledger = load(tx).await?;
    match queue {
        None => {
            ledger.paused = paused;
            if !paused {
                ledger.paused_queues.clear();
            }
        }
        Some(queue) => {
            ledger.paused_queues.retain(|name| name != queue);
            if paused {
                ledger.paused_queues.push(queue.to_owned());
            }
        }
    }
    save(tx, &mut ledger).await?;
    Ok(ledger)
}

/// Says who is signed in: jobs are stamped with, listed for and sent for this owner only. Their jobs
/// that waited for a sign-in are tried again.
///
/// With `purge`, everything of the owner before is removed first, what is being sent included: it may
/// arrive, and leaves no trace here.
///
/// # Errors
/// What the transaction answers.
pub async fn set_owner<T: Tx>(tx: &T, now: Millis, owner: &str, purge: bool, config: &WorkerConfig) -> Result<Ledger, Error> {
    let mut ledger = load(tx).await?;
    if purge {
        remove_owner(tx, &mut ledger).await?;
    }
    owner.clone_into(&mut ledger.owner);
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
                line::enter(tx, &mut job, now).await?;
                ledger.shift(&job, State::Blocked);
                tx.put_job(&job)?;
            }
        }
    }
    save(tx, &mut ledger).await?;
    Ok(ledger)
}

/// Removes every job, body and trace of the current owner.
async fn remove_owner<T: Tx>(tx: &T, ledger: &mut Ledger) -> Result<(), Error> {
    let (owner, mut after) = (ledger.owner.clone(), None);
    // All rows, by no index: one that does not parse may stand in none.
    loop {
        let page = tx.all(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for job in page.iter().filter(|job| job.owner == owner) {
            tx.delete_job(&job.id)?;
            tx.delete_body(&job.id)?;
            ledger.leave(job, job.state);
        }
    }
    // What did not parse has been put aside by now.
    let aside = tx.purge_quarantine(&owner).await?;
    let ids: Vec<&JobId> = aside.iter().collect();
    for (id, again) in aside.iter().zip(tx.jobs(&ids).await?) {
        // The page may have asked for it again when another was signed in: then the body is theirs.
        if again.is_none() {
            tx.delete_body(id)?;
        }
    }
    bodies::recount(tx).await?;
    for outcome in tx.oldest_outcomes(u32::MAX).await? {
        if outcome.owner == owner {
            tx.delete_outcome(&outcome.id)?;
            ledger.history = ledger.history.saturating_sub(1);
        }
    }
    Ok(())
}

/// What [`compact`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Traces of delivered jobs.
    pub history: u64,
    /// Dead letters.
    pub failed: u64,
}

/// Removes traces that are older than the configuration keeps them, and the current owner's dead letters
/// that were last tried longer than `failed` milliseconds ago.
///
/// # Errors
/// What the transaction answers.
pub async fn compact<T: Tx>(tx: &T, now: Millis, failed: Option<u64>, config: &WorkerConfig) -> Result<Compacted, Error> {
    let mut ledger = load(tx).await?;
    let mut compacted = Compacted::default();
    for outcome in tx.oldest_outcomes(u32::MAX).await? {
        if now.since(outcome.delivered_at) > config.history.max_age || ledger.history > u64::from(config.history.max) {
            tx.delete_outcome(&outcome.id)?;
            ledger.history = ledger.history.saturating_sub(1);
            compacted.history += 1;
        }
    }
    if let Some(age) = failed {
        let mut leaving = Leaving::default();
        let owner = ledger.owner.clone();
        let queues: Vec<String> = ledger.own_queues().map(|queue| queue.queue.clone()).collect();
        for queue in queues {
            let mut after = 0;
            loop {
                let scan = Scan::of(Index::State, vec![&owner, &queue, State::Failed.as_str()], PAGE).from(after);
                let page = tx.scan(&scan).await?;
                let Some(last) = page.last() else { break };
                after = last.seq + 1;
                for job in page.iter().filter(|job| now.since(job.last_tried_at.unwrap_or(job.queued_at)) > age) {
                    remove(tx, &mut ledger, &mut leaving, job, now).await?;
                    compacted.failed += 1;
                }
            }
        }
        leaving.count_out(tx).await?;
    }
    save(tx, &mut ledger).await?;
    Ok(compacted)
}

crate::record!(Compacted { history: "history", failed: "failed" });

/// The current owner's job of this id, where it is not being sent; a row that had to go to quarantine
/// instead is counted out.
async fn idle_job<T: Tx>(tx: &T, ledger: &mut Ledger, id: &JobId) -> Result<Option<Job>, Error> {
    let job = tx.job(id).await?.filter(|job| job.owner == ledger.owner && job.state != State::Syncing);
    if job.is_none() && tx.quarantined() > 0 {
        save(tx, ledger).await?;
    }
    Ok(job)
}

async fn remove<T: Tx>(tx: &T, ledger: &mut Ledger, leaving: &mut Leaving, job: &Job, now: Millis) -> Result<(), Error> {
    tx.delete_job(&job.id)?;
    leaving.body(tx, job)?;
    ledger.leave(job, job.state);
    if job.line {
        let moved = matches!(job.place, Place::Ready | Place::Due);
        line::promote_next(tx, job, moved, now).await?;
    }
    Ok(())
}
