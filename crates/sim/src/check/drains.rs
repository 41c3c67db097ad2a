//! Checks how cycles and drains end, and what is left when everything is quiet.

use shearwater_core::{
    drain::Summary,
    queue::{
        cycle::{Cycle, CycleOutcome},
        job::{Job, Place, State},
    },
    schedule::network::Permit,
};

use super::{Checked, Promise, ensure};
use crate::{worker::RunNo, world::World};

/// A cycle was committed: it claimed all it could, or as many as it was asked for.
pub(super) fn committed(world: &World, cycle: &Cycle, committed: &CycleOutcome, quarantined: bool) -> Checked {
    let store = world.store.borrow();
    let Some(ledger) = store.ledger() else { return Ok(()) };
    let dispatches = || committed.claimed.iter().filter(|job| job.batch.as_ref().is_none_or(|batch| batch.lead == job.id));
    let claimed = dispatches().count();
    ensure(claimed <= cycle.claim as usize, Promise::Patient, || format!("{claimed} claimed of {}", cycle.claim))?;
    // Rows that went to quarantine set others free; those are for the next cycle.
    if quarantined
        || committed.asks_time
        || cycle.owner != ledger.owner
        || claimed == cycle.claim as usize
        || committed.full
        || ledger.is_paused(&cycle.queue)
    {
        return Ok(());
    }
    let now = world.clock.device();
    let permit = world.oracle.network().permit(cycle.connection);
    let has_company = |job: &Job| {
        let other = |other: &&Job| (&other.owner, &other.queue) == (&job.owner, &job.queue) && other.origin() != job.origin();
        store.jobs().filter(other).any(|other| other.place == Place::Ready)
    };
    for job in store.jobs().filter(|job| job.owner == ledger.owner && job.queue == cycle.queue) {
        let known = cycle.in_flight.iter().filter(|(origin, _)| *origin == job.origin()).map(|(_, count)| count).sum::<usize>();
        let in_flight = known + dispatches().filter(|claimed| claimed.origin() == job.origin()).count();
        let permitted = ledger.origin(job.origin()).is_none_or(|health| health.permits(now, in_flight) > 0)
            && in_flight < cycle.most as usize
            && (in_flight < cycle.share as usize || !has_company(job))
            && (cycle.asked || permit.allows(job));
        ensure(job.place != Place::Ready || !permitted, Promise::Ordered, || format!("{} may go and was passed over", job.id))?;
        let waits = job.schedule.next_attempt_at > now || job.schedule.hold_until > now;
        let held = matches!(permit, Permit::Nothing(_)) && !cycle.asked;
        ensure(job.place != Place::Due || waits || held, Promise::Ordered, || format!("{} is due and was passed over", job.id))?;
    }
    Ok(())
}

/// A drain is over: it holds nothing any more, and says whether something is left.
pub(crate) fn done(world: &World, number: RunNo, summary: &Summary) -> Checked {
    let Some(run) = world.runs.get(&number) else { return Ok(()) };
    let in_the_air = world.wire.in_the_air().any(|(_, sending)| sending.run == number);
    ensure(!in_the_air, Promise::Leased, || format!("drain {number} is done and still sends"))?;
    if summary.error.is_some() {
        return ensure(summary.again || summary.signed_out, Promise::Live, || {
            format!("drain {number} gave up and does not ask for another")
        });
    }
    let store = world.store.borrow();
    let leased = |job: &&Job| job.lease.as_ref().is_some_and(|lease| lease.holder == run.plan.holder);
    let held = store.jobs().find(leased);
    ensure(held.is_none(), Promise::Leased, || {
        format!("drain {number} is done and still holds {:?}", held.map(|job| job.id.as_str()))
    })?;
    let Some(ledger) = store.ledger() else { return Ok(()) };
    if summary.signed_out {
        // Whoever is signed in now is looked after by another drain.
        return Ok(());
    }
    let alone = store.commits() == run.seen();
    if alone && !summary.again && !ledger.is_paused(&run.plan.queue) {
        let waits = |job: &&Job| {
            job.owner == ledger.owner && job.queue == run.plan.queue && matches!(job.place, Place::Ready | Place::Due)
        };
        let left = store.jobs().find(waits);
        ensure(left.is_none(), Promise::Live, || {
            format!("drain {number} asks for no other and leaves {:?}", left.map(|job| job.id.as_str()))
        })?;
    }
    Ok(())
}

/// Everything is quiet and everybody was woken: what is left of the current owner's waits for a person.
pub(crate) fn settled(world: &World) -> Checked {
    let store = world.store.borrow();
    for job in store.jobs().filter(|job| job.owner == world.oracle.owner && job.is_live()) {
        let held_up = store.jobs().any(|other| {
            other.order.line
                && (!other.is_live() || other.waits_to_be_bound().is_some())
                && other.order.seq < job.order.seq
                && (&other.owner, &other.queue, &other.order.key) == (&job.owner, &job.queue, &job.order.key)
        });
        let waits = job.waits_to_be_bound().is_some_and(|id| store.rows().contains_key(id));
        ensure(job.state == State::Pending && (held_up || waits), Promise::Live, || {
            format!("{} is {:?} ({:?}) and nothing will ever send it", job.id, job.state, job.place)
        })?;
    }
    Ok(())
}
