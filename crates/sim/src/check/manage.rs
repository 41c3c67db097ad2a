//! Checks what pages are told about jobs.

use shearwater_core::{
    JobId,
    protocol::view::{JobState, JobView, Status},
    queue::job::State,
    store::Answer,
};

use super::{Checked, Promise, ensure};
use crate::{store::Changes, world::World};

/// Whether an operation on this job now comes in time.
pub(crate) fn in_time(world: &World, id: &JobId) -> bool {
    let store = world.store.borrow();
    store.rows().get(id).is_some_and(|row| !row.corrupt && row.job.owner == world.oracle.owner && row.job.state != State::Syncing)
}

/// Whether a job is there to be cancelled now.
pub(crate) fn is_there(world: &World, id: &JobId) -> bool {
    let store = world.store.borrow();
    store.rows().get(id).is_some_and(|row| !row.corrupt && row.job.owner == world.oracle.owner)
}

/// A message was carried out, for the first time or again: it takes effect once, and has one answer.
pub(crate) fn once(world: &mut World, re: &str, answer: &Answer, repeated: bool, changes: &Changes) -> Checked {
    let before = world.oracle.answers.get(re);
    if !repeated {
        ensure(before.is_none(), Promise::Once, || format!("{re} took effect twice: {before:?}, {answer:?}"))?;
        world.oracle.answers.insert(re.to_owned(), answer.clone());
        return Ok(());
    }
    ensure(before == Some(answer), Promise::Honest, || format!("{re} is answered {answer:?}, was {before:?}"))?;
    ensure(changes.jobs.is_empty(), Promise::Once, || format!("{re} came again and changed {:?}", changes.jobs.keys()))
}

/// A page was told whether it came in time.
pub(crate) fn answered(id: &JobId, in_time: bool, told: bool) -> Checked {
    ensure(in_time == told, Promise::Honest, || format!("a hand on {id}: in time is {in_time}, the page was told {told}"))
}

/// A page asked for one job.
pub(crate) fn seen(world: &World, id: &JobId, view: Option<&JobView>) -> Checked {
    let store = world.store.borrow();
    if store.rows().get(id).is_some_and(|row| row.corrupt) {
        return ensure(view.is_none(), Promise::Honest, || format!("{id} does not parse and is shown"));
    }
    let owner = &world.oracle.owner;
    let stored = store.job(id).filter(|job| job.owner == *owner).map(|job| JobState::from(job.state));
    let delivered = store.outcome(id).filter(|outcome| outcome.owner == *owner).map(|_| JobState::Delivered);
    let shown = view.map(|view| view.state);
    ensure(shown == stored.or(delivered), Promise::Honest, || {
        format!("{id} is shown as {shown:?}, is {stored:?} or {delivered:?}")
    })?;
    let waits =
        view.is_some_and(|view| view.state == JobState::Pending && view.next_attempt_at.is_none() && view.waiting_for.is_none());
    ensure(!waits, Promise::Honest, || format!("{id} is said to wait for nobody and for no time"))
}

/// A page asked for all jobs of the current owner.
pub(crate) fn listed(world: &World, views: &[JobView], status: Option<Status>) -> Checked {
    let store = world.store.borrow();
    let corrupt = store.rows().values().any(|row| row.corrupt);
    let mut own: Vec<_> =
        store.rows().values().filter(|row| !row.corrupt && row.job.owner == world.oracle.owner).map(|row| &*row.job).collect();
    own.sort_unstable_by_key(|job| job.order.seq);
    ensure(own.iter().map(|job| &job.id).eq(views.iter().map(|view| &view.id)), Promise::Honest, || {
        format!("{} jobs are listed of {}", views.len(), own.len())
    })?;
    let Some(status) = status.filter(|_| !corrupt) else { return Ok(()) };
    let count = |state| views.iter().filter(|view| view.state == state).count() as u64;
    let shown = [status.pending, status.syncing, status.failed, status.conflicts, status.blocked];
    let counted = [JobState::Pending, JobState::Syncing, JobState::Failed, JobState::Conflict, JobState::Blocked].map(count);
    ensure(shown == counted, Promise::Honest, || format!("the status shows {shown:?}, the list {counted:?}"))
}
