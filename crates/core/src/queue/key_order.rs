//! Keeps the line of each key: at most one of its jobs is `ready`, `due` or `syncing`.
//!
//! That one is the first of the line, and none while the first waits to be bound ([`super::binding`]); except that a dead letter which comes back by a person,
//! from a place further ahead, waits until the one that is being sent is settled.

use crate::{
    error::Error,
    queue::job::{Job, Place, State},
    store::{Index, Scan, Tx},
    time::Millis,
};

/// Rows of one queue that may be leased at once; two drains of the largest concurrency lease fewer.
const MOST_LEASES: u32 = 1_000;

/// Where a job that its key lets go stands: `ready`, or `due` while its time has not come, or `behind` while it waits to be
/// bound.
///
/// One that nothing makes wait, neither a backoff nor `notBefore`, goes whatever the clock says now.
pub(crate) fn open_place(job: &Job, now: Millis) -> Place {
    if job.waits_to_be_bound().is_some() {
        return Place::Behind;
    }
    let waits = job.attempts.last_delay > 0 || job.schedule.hold_until > now;
    if waits && job.schedule.next_attempt_at > now { Place::Due } else { Place::Ready }
}

/// The first job in the line of `job`'s key other than `job` itself.
async fn head_but<T: Tx>(tx: &T, job: &Job, key: &str) -> Result<Option<Job>, Error> {
    let scan = Scan::of(Index::Line, vec![&job.owner, &job.queue, key], 2);
    Ok(tx.scan(&scan).await?.into_iter().find(|other| other.id != job.id))
}

/// Whether the line of a key has any job.
pub(crate) async fn is_occupied<T: Tx>(tx: &T, owner: &str, queue: &str, key: &str) -> Result<bool, Error> {
    let scan = Scan::of(Index::Line, vec![owner, queue, key], 1);
    Ok(!tx.scan(&scan).await?.is_empty())
}

/// Whether another job of `job`'s line is being sent.
async fn another_is_sent<T: Tx>(tx: &T, job: &Job, key: &str) -> Result<bool, Error> {
    let scan = Scan::of(Index::State, vec![&job.owner, &job.queue, State::Syncing.as_str()], MOST_LEASES);
    Ok(tx.scan(&scan).await?.iter().any(|other| other.id != job.id && other.order.key.as_deref() == Some(key)))
}

/// Lets the next of `gone`'s key go, after `gone` left the line. Its row must be written before.
///
/// `moved` says that `gone` was the one that was `ready`, `due` or `syncing`: then no other is.
pub(crate) async fn promote_next<T: Tx>(tx: &T, gone: &Job, moved: bool, now: Millis) -> Result<(), Error> {
    let Some(key) = gone.order.key.as_deref() else { return Ok(()) };
    if let Some(mut next) = head_but(tx, gone, key).await?
        && next.state == State::Pending
        && next.place == Place::Behind
        && (moved || !another_is_sent(tx, gone, key).await?)
    {
        next.place = open_place(&next, now);
        tx.put(&next)?;
    }
    Ok(())
}

/// Decides where a pending job of a key stands that (re-)enters its line, and makes room for it.
pub(crate) async fn enter<T: Tx>(tx: &T, job: &mut Job, now: Millis) -> Result<(), Error> {
    let open = open_place(job, now);
    let Some(key) = job.order.key.clone() else {
        job.place = open;
        return Ok(());
    };
    job.order.line = true;
    job.place = match head_but(tx, job, &key).await? {
        None => open,
        Some(head) if head.order.seq < job.order.seq || head.state == State::Syncing => Place::Behind,
        Some(mut head) if head.state == State::Pending && head.place != Place::Behind => {
            head.place = Place::Behind;
            tx.put(&head)?;
            open
        }
        Some(_) if another_is_sent(tx, job, &key).await? => Place::Behind,
        Some(_) => open,
    };
    Ok(())
}

/// Lets an earlier job of the line go first, where one came back while `job` was being sent; `job` is
/// not sent any more and stays in the line.
pub(crate) async fn yield_to_earlier<T: Tx>(tx: &T, job: &mut Job, now: Millis) -> Result<(), Error> {
    let Some(key) = job.order.key.clone() else { return Ok(()) };
    if let Some(mut head) = head_but(tx, job, &key).await?
        && head.order.seq < job.order.seq
    {
        if job.state == State::Pending {
            job.place = Place::Behind;
        }
        if head.state == State::Pending && head.place == Place::Behind {
            head.place = open_place(&head, now);
            tx.put(&head)?;
        }
    }
    Ok(())
}

/// Whether a job that stands behind has no other of its key to wait for.
pub(crate) async fn is_free<T: Tx>(tx: &T, job: &Job) -> Result<bool, Error> {
    let Some(key) = job.order.key.as_deref() else { return Ok(true) };
    let first = head_but(tx, job, key).await?.is_none_or(|head| head.order.seq > job.order.seq);
    Ok(first && !another_is_sent(tx, job, key).await?)
}

/// The job that holds up `job`, if any.
pub(crate) async fn waits_for<T: Tx>(tx: &T, job: &Job) -> Result<Option<Job>, Error> {
    if job.place == Place::Behind
        && let Some(id) = job.waits_to_be_bound()
        && let Some(predecessor) = tx.get::<Job>(id).await?
    {
        return Ok(Some(predecessor));
    }
    match job.order.key.as_deref() {
        Some(key) if job.place == Place::Behind => head_but(tx, job, key).await,
        _ => Ok(None),
    }
}
