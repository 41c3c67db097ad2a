//! Keeps the line of each key: at most one of its jobs is `ready`, `due` or `syncing`.

use super::{Index, Scan, Tx};
use crate::{
    error::Error,
    job::{Job, Place, State},
    time::Millis,
};

/// Where a job that may go stands: `ready`, or `due` while its time has not come.
pub(super) fn open_place(job: &Job, now: Millis) -> Place {
    if job.next_attempt_at > now { Place::Due } else { Place::Ready }
}

/// The first job in the line of `job`'s key other than `job` itself.
async fn head_but<T: Tx>(tx: &T, job: &Job, key: &str) -> Result<Option<Job>, Error> {
    let scan = Scan::of(Index::Line, vec![&job.owner, &job.queue, key], 2);
    Ok(tx.scan(&scan).await?.into_iter().find(|other| other.id != job.id))
}

/// Lets the next of `gone`'s key go, after `gone` left the line. Its row must be written before.
pub(super) async fn promote_next<T: Tx>(tx: &T, gone: &Job, now: Millis) -> Result<(), Error> {
    let Some(key) = gone.key.as_deref() else { return Ok(()) };
    if let Some(mut next) = head_but(tx, gone, key).await?
        && next.state == State::Pending
        && next.place == Place::Behind
    {
        next.place = open_place(&next, now);
        tx.put_job(&next)?;
    }
    Ok(())
}

/// Decides where a pending job of a key stands that (re-)enters its line, and makes room for it.
pub(super) async fn enter<T: Tx>(tx: &T, job: &mut Job, now: Millis) -> Result<(), Error> {
    let open = open_place(job, now);
    let Some(key) = job.key.clone() else {
        job.place = open;
        return Ok(());
    };
    job.line = true;
    job.place = match head_but(tx, job, &key).await? {
        None => open,
        Some(head) if head.seq < job.seq || head.state == State::Syncing => Place::Behind,
        Some(mut head) => {
            if head.state == State::Pending && head.place != Place::Behind {
                head.place = Place::Behind;
                tx.put_job(&head)?;
            }
            open
        }
    };
    Ok(())
}

/// Who holds up `job`, where somebody does.
pub(super) async fn waits_for<T: Tx>(tx: &T, job: &Job) -> Result<Option<Job>, Error> {
    match job.key.as_deref() {
        Some(key) if job.place == Place::Behind => head_but(tx, job, key).await,
        _ => Ok(None),
    }
}
