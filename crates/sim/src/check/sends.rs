//! Checks whether a job may be sent, and sent again.

use shearwater_core::{
    drain::STALLED_AFTER,
    queue::{disposition::Disposition, job::State},
};

use super::{Checked, Promise, Violation, batches, ensure};
use crate::{
    bindings,
    wire::{SendNo, Sending, Status, line_of},
    world::World,
};

/// Looks at a send that is about to begin.
pub(crate) fn check(world: &World, sending: &Sending) -> Checked {
    if is_excused(world, sending) {
        return Ok(());
    }
    as_promised(world, sending)?;
    batches::with_the_others(world, sending)?;
    alone(world, sending)?;
    for_a_reason(world, sending)?;
    let held = holds(world, sending);
    ensure(held, Promise::Leased, || format!("{} is sent by drain {}, which does not hold it", sending.job.id, sending.run))
}

/// Looks at a request that leaves now, after the app's hook has taken its time.
pub(crate) fn leaves(world: &World, number: SendNo) -> Checked {
    let Some(sending) = world.wire.sending(number).filter(|sending| !is_excused(world, sending)) else { return Ok(()) };
    ensure(sending.job.owner == world.oracle.owner, Promise::Private, || {
        format!("{} of {:?} is sent while {:?} is signed in", sending.job.id, sending.job.owner, world.oracle.owner)
    })?;
    let id = &sending.job.id;
    ensure(holds(world, sending), Promise::Leased, || format!("{id} leaves drain {}, which does not hold it", sending.run))
}

/// The row says that this drain is sending it.
fn holds(world: &World, sending: &Sending) -> bool {
    let holder = world.runs.get(&sending.run).map(|run| run.plan.holder.as_str());
    let store = world.store.borrow();
    let is_held = |id| {
        store
            .job(id)
            .is_some_and(|row| row.state == State::Syncing && row.lease.as_ref().map(|lease| lease.holder.as_str()) == holder)
    };
    sending.parts.iter().all(|part| is_held(&part.job.id))
}

/// What nobody can do better: the row went bad after it was claimed, and what was claimed is sound (the
/// page may have queued it anew since); or
/// there are no locks, and a clock that was set back ended the lease under its holder's hands.
fn is_excused(world: &World, sending: &Sending) -> bool {
    let rotten = sending.parts.iter().any(|part| world.oracle.was_put_aside(part.job.order.seq));
    let lost = !world.faults.locks && world.clock.times_set_back() > 0 && !holds(world, sending);
    rotten || lost
}

/// It says what was accepted, under the key that stands for it.
fn as_promised(world: &World, sending: &Sending) -> Checked {
    for part in &sending.parts {
        let id = &part.job.id;
        let Some(entry) = world.oracle.entry(id) else {
            return Err(Violation::new(Promise::Durable, format!("{id} is sent and is not stored")));
        };
        bindings::check(world, &part.job)?;
        let own = if sending.payload.is_some() { &part.job.idempotency_key } else { &sending.key };
        ensure(entry.key == *own, Promise::Once, || format!("{id} is sent with the key {own}, has {}", entry.key))?;
        let body = entry.body.then_some(entry.content);
        ensure(part.body == body, Promise::Durable, || format!("{id} is sent with the body {:?}, has {body:?}", part.body))?;
    }
    Ok(())
}

/// Neither a part of it nor another of its line is in the air, from a sender that lives and has its lease.
fn alone(world: &World, sending: &Sending) -> Checked {
    let store = world.store.borrow();
    for (_, other) in world.wire.in_the_air() {
        for theirs in &other.parts {
            let row = store.job(&theirs.job.id).filter(|row| row.order.seq == theirs.job.order.seq);
            // A row that went bad in the air leaves its line to the next; a lease that was taken over in
            // time, for want of locks, leaves the job to another.
            // One that was cancelled while the app's hook was asked will never leave.
            if other.login.is_withdrawn() || row.is_none_or(|row| !world.faults.locks && row.lease != theirs.job.lease) {
                continue;
            }
            for part in &sending.parts {
                ensure(theirs.job.id != part.job.id, Promise::Once, || {
                    format!("{} is sent by drain {} while drain {} sends it", part.job.id, sending.run, other.run)
                })?;
                let line = line_of(&part.job);
                let same_line = line.is_some() && line_of(&theirs.job) == line;
                ensure(!same_line, Promise::Ordered, || {
                    format!("{} is sent while {} of its line is in the air", part.job.id, theirs.job.id)
                })?;
            }
        }
    }
    let spent = world.runs.get(&sending.run).is_some_and(|run| run.is_spent(&world.clock));
    ensure(!spent, Promise::Patient, || format!("drain {} sends {} when its time is up", sending.run, sending.job.id))?;
    let (run, most) = (sending.run, world.runs.get(&sending.run).map_or(0, |run| run.plan.concurrency as usize));
    // Of those that stalled only their own origin's slots are taken.
    let now = world.clock.device();
    let apart = |other: &Sending| other.run == run && other.dispatch != sending.dispatch;
    let own = || world.wire.in_the_air().map(|(_, other)| other).filter(|other| apart(other));
    let live = own().filter(|other| now.since(other.since) < STALLED_AFTER).count() + 1;
    let of_origin = own().filter(|other| other.job.origin() == sending.job.origin()).count() + 1;
    ensure(live.max(of_origin) <= most, Promise::Patient, || {
        format!("drain {run} sends {live} at once, {of_origin} to {}", sending.job.origin())
    })
}

/// What was sent before under this key ended in a way that calls for another send.
fn for_a_reason(world: &World, sending: &Sending) -> Checked {
    // Of a row that went bad nothing was recorded.
    let last = world.wire.last(&sending.key).filter(|last| !world.oracle.was_put_aside(last.job.order.seq));
    let Some(last) = last else { return Ok(()) };
    let revived = sending.parts.iter().any(|part| world.oracle.entry(&part.job.id).is_some_and(|entry| entry.revived));
    let why = match last.status {
        // Looked at above; here it is one whose lease is over.
        Status::InTheAir | Status::CutOff | Status::TimedOut => return Ok(()),
        Status::Answered(disposition) => disposition,
    };
    let retry = matches!(why, Disposition::Retry | Disposition::Unreachable);
    // Recorded too late, by a drain whose lease was over: as good as not recorded.
    let unheard = !last.settled || !world.faults.locks;
    if retry || unheard || revived {
        return Ok(());
    }
    Err(Violation::new(Promise::Once, format!("{} is sent again after {why:?}", sending.job.id)))
}
