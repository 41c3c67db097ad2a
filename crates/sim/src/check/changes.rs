//! Checks what a transaction did to each row, and whether its cause allows that.

use shearwater_core::{
    JobId,
    health::clock::PLAUSIBLE,
    http::reply::AttemptResult,
    queue::{
        job::{Job, Place, State},
        last_error::ErrorKind,
    },
    time::unit::{DAY, HOUR, SECOND},
};

use super::{Cause, Checked, Hand, Promise, Violation, batches, ensure};
use crate::{batches::content_of, oracle::Departure, store::Changes, worker::CONTEXTS, world::World};

/// Looks at each row that changed, and notes in the oracle what left the store.
pub(super) fn check(world: &mut World, cause: &Cause<'_>, changes: &Changes) -> Checked {
    for id in &changes.quarantined {
        let before = changes.jobs.get(id).and_then(|(before, _)| before.as_ref());
        if let Some(membership) = before.and_then(|before| before.batch.as_ref()) {
            world.break_batch(membership.key.as_str());
        }
    }
    for (before, after) in changes.jobs.values() {
        if let Some(before) = before.as_deref() {
            batches::changed(world, cause, before, after.as_deref())?;
        }
    }
    for (id, (before, after)) in &changes.jobs {
        if let Some(before) = before.as_deref().filter(|_| changes.quarantined.contains(id)) {
            world.oracle.put_aside(before.order.seq);
        }
        match (before.as_deref(), after.as_deref()) {
            (None, None) => {}
            (None, Some(after)) => entered(cause, after)?,
            // A row that went bad, and the page asked again for the same job.
            (Some(_), Some(after)) if changes.quarantined.contains(id) => entered(cause, after)?,
            (Some(before), None) => left(world, cause, before, changes)?,
            (Some(before), Some(after)) => moved(world, cause, before, after, !changes.quarantined.is_empty())?,
        }
        if let Some(after) = after {
            as_accepted(world, after)?;
        }
        debug_assert!(after.as_ref().is_none_or(|after| after.id == *id));
    }
    for id in &changes.outcomes {
        ensure(world.oracle.departure(id) == Some(Departure::Delivered), Promise::Durable, || {
            format!("{id} is in the history and was not delivered")
        })?;
    }
    Ok(())
}

/// A row says what was accepted, and its body is there.
fn as_accepted(world: &World, job: &Job) -> Checked {
    let Some(entry) = world.oracle.entry(&job.id) else {
        return Err(Violation::new(Promise::Durable, format!("{} is stored and was never accepted", job.id)));
    };
    let content = content_of(job);
    ensure(entry.content == content, Promise::Durable, || format!("{} says {content}, was to say {}", job.id, entry.content))?;
    ensure(entry.key == job.idempotency_key, Promise::Once, || {
        format!("{} has the key {}, was {}", job.id, job.idempotency_key, entry.key)
    })?;
    let body = world.store.borrow().body(job);
    ensure(body == entry.body.then_some(entry.content), Promise::Durable, || format!("the body of {} is {body:?}", job.id))?;
    ensure(entry.body == job.size().is_some(), Promise::Durable, || format!("{} has the size {:?}", job.id, job.size()))
}

fn entered(cause: &Cause<'_>, job: &Job) -> Checked {
    ensure(matches!(cause, Cause::Enqueue), Promise::Durable, || format!("{} came from nowhere", job.id))?;
    ensure(job.state == State::Pending, Promise::Leased, || format!("{} is new and {:?}", job.id, job.state))
}

fn left(world: &mut World, cause: &Cause<'_>, before: &Job, changes: &Changes) -> Checked {
    let id = &before.id;
    if changes.quarantined.contains(id) {
        world.oracle.close(id, Departure::Quarantined);
        return Ok(());
    }
    let settled = match cause {
        Cause::Cycle { cycle, .. } => {
            ensure(changes.outcomes.contains(id), Promise::Durable, || format!("{id} left the store without an outcome"))?;
            ensure(cycle.settle.iter().any(|settlement| settlement.id == *id), Promise::Durable, || {
                format!("{id} was delivered without a reply")
            })?;
            let handled = world.oracle.entry(id).is_some_and(|entry| world.servers.has_handled(&entry.key));
            ensure(handled, Promise::Durable, || format!("{id} counts as delivered; no server has what it says now"))?;
            Departure::Delivered
        }
        Cause::Hand(Hand::Discard(..) | Hand::Cancel(..) | Hand::Clear(..)) => {
            let (named, owner) = match cause {
                Cause::Hand(Hand::Discard(named, cascade) | Hand::Cancel(named, cascade)) => {
                    (*named == id || (*cascade && before.waits_to_be_bound().is_some()), world.oracle.owner.as_str())
                }
                Cause::Hand(Hand::Clear(filter, owner)) => {
                    (filter.takes_queue(&before.queue) && filter.takes_state(before.state), *owner)
                }
                _ => (false, ""),
            };
            ensure(named, Promise::Durable, || format!("{id} was removed; nobody had asked for it"))?;
            ensure(before.state != State::Syncing, Promise::Once, || format!("{id} was removed while it was being sent"))?;
            ensure(before.owner == owner, Promise::Private, || format!("{id} was removed by another than its owner"))?;
            Departure::Removed
        }
        Cause::Hand(Hand::Purge(owner)) => {
            ensure(before.owner == *owner, Promise::Private, || format!("{id} of another owner was purged"))?;
            Departure::Removed
        }
        _ => return Err(Violation::new(Promise::Durable, format!("{id} vanished"))),
    };
    world.oracle.close(id, settled);
    Ok(())
}

fn moved(world: &mut World, cause: &Cause<'_>, before: &Job, after: &Job, repaired: bool) -> Checked {
    let id = &after.id;
    let identity =
        |job: &Job| (job.order.seq, job.queue.clone(), job.owner.clone(), job.order.key.clone(), job.schedule.queued_at);
    ensure(identity(before) == identity(after), Promise::Durable, || format!("{id} became another job"))?;
    let is_cancelled = matches!(cause, Cause::Hand(Hand::Cancel(named, _)) if *named == id);
    match (before.state, after.state) {
        (State::Syncing, State::Failed) if is_cancelled => {}
        (State::Syncing, State::Syncing) => {
            ensure(before.lease == after.lease || taken_over(world, cause, before), Promise::Leased, || {
                format!("the lease of {id} changed hands")
            })?
        }
        (State::Syncing, _) => {
            ensure(taken_over(world, cause, before), Promise::Leased, || format!("the living lease of {id} was broken"))?
        }
        _ => {}
    }
    if after.state == State::Syncing && before.lease != after.lease {
        claimed(world, cause, after)?;
    }
    answered(world, cause, before, after)?;
    if !after.is_live() && before.state != after.state {
        // Whom it waited for is gone.
        let orphaned = before.waits_to_be_bound().is_some() && (repaired || matches!(cause, Cause::Hand(_)));
        let by_reply = matches!(cause, Cause::Cycle { .. }) || is_cancelled || orphaned;
        ensure(by_reply, Promise::Durable, || format!("{id} became {:?} by nobody's reply", after.state))?;
        too_old(world, after)?;
        world.oracle.touch(id, false);
    }
    if !before.is_live() && after.is_live() {
        let by_hand = match cause {
            Cause::Hand(Hand::Retry(named) | Hand::Edit(named)) if *named == id => true,
            // Those of its batch go with it.
            Cause::Hand(Hand::Retry(named)) => {
                let store = world.store.borrow();
                store.job(named).is_some_and(|job| job.batch.is_some() && same_batch(job, after))
            }
            Cause::Hand(Hand::SignIn | Hand::Purge(_)) => before.state == State::Blocked && after.owner == world.oracle.owner,
            _ => false,
        };
        ensure(by_hand, Promise::Durable, || format!("{id} was revived by nobody"))?;
        world.oracle.touch(id, true);
    }
    if let Cause::Hand(Hand::Retry(named) | Hand::Edit(named)) = cause
        && *named == id
    {
        world.oracle.touch(id, false);
    }
    Ok(())
}

fn same_batch(one: &Job, other: &Job) -> bool {
    let key = |job: &Job| job.batch.as_ref().map(|membership| membership.key.clone());
    key(one) == key(other)
}

/// What is given up for its age is as old as that by true time, whatever the device's clock says. What a
/// time server corrects, and an hour by which the device may differ from the server, is believed.
fn too_old(world: &World, job: &Job) -> Checked {
    let expired = job.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Expired);
    let Some(entry) = world.oracle.entry(&job.id).filter(|_| expired && !world.oracle.time_is_lost) else { return Ok(()) };
    if entry.is_touched() || world.store.borrow().ledger().is_none_or(|ledger| ledger.doubts > 0) {
        return Ok(());
    }
    let tolerated = HOUR + PLAUSIBLE * world.clock.times_set();
    ensure(world.clock.elapsed() + tolerated >= entry.ripe_old, Promise::Durable, || {
        format!("{} was given up {} ms too early", job.id, entry.ripe_old - world.clock.elapsed())
    })
}

/// An attempt is counted only when somebody answered or the time limit passed, and a server that asks
/// for patience gets it, as long as the clock can be believed.
fn answered(world: &World, cause: &Cause<'_>, before: &Job, after: &Job) -> Checked {
    let settlement = match cause {
        Cause::Cycle { cycle, .. } => cycle.settle.iter().find(|settlement| settlement.id == after.id),
        _ => None,
    };
    let reply = settlement.map(|settlement| &settlement.result);
    let counts = !matches!(reply, None | Some(AttemptResult::Unreachable | AttemptResult::Withheld(_)));
    ensure(after.attempts.made <= before.attempts.made + u32::from(counts), Promise::Patient, || {
        format!("{} has {} attempts after {reply:?}, had {}", after.id, after.attempts.made, before.attempts.made)
    })?;
    if let (State::Syncing, State::Pending, Some(settlement), Some(AttemptResult::Status(response))) =
        (before.state, after.state, settlement, reply)
        && settlement.at <= world.clock.device()
        && let Some(seconds) = response.retry_after.as_deref().and_then(|text| text.parse::<u64>().ok())
    {
        let least = settlement.at.after((seconds * SECOND).min(DAY));
        ensure(after.schedule.next_attempt_at >= least && after.schedule.hold_until >= least, Promise::Patient, || {
            format!("{} is to wait {seconds} s and goes at {}", after.id, after.schedule.next_attempt_at.0)
        })?;
    }
    Ok(())
}

/// Whether a lease may end by this cause: it is the holder's own, or the holder is dead, or, where
/// nobody can know that, its time is over.
fn taken_over(world: &World, cause: &Cause<'_>, job: &Job) -> bool {
    let (Cause::Cycle { run, cycle, .. }, Some(lease)) = (cause, &job.lease) else { return false };
    if lease.holder == cycle.holder {
        return true;
    }
    if world.faults.locks {
        return !world.runs.iter().any(|(number, other)| number != run && other.plan.holder == lease.holder);
    }
    // One that would last twice as long as it was made for was made before the clock was set back.
    let (now, made_for) = (world.clock.device(), lease.until.since(job.attempts.last_tried_at.unwrap_or_default()));
    lease.until <= now || lease.until.since(now) > 2 * made_for
}

/// A job was claimed: all that its sender may rely on.
fn claimed(world: &World, cause: &Cause<'_>, job: &Job) -> Checked {
    let Cause::Cycle { cycle, .. } = cause else {
        return Err(Violation::new(Promise::Leased, format!("{} was claimed by no drain", job.id)));
    };
    let (id, now, store) = (&job.id, world.clock.device(), world.store.borrow());
    let unbound = job.waits_to_be_bound();
    ensure(unbound.is_none(), Promise::Ordered, || format!("{id} was claimed and waits for {unbound:?}"))?;
    let ours = job.lease.as_ref().is_some_and(|lease| lease.holder == cycle.holder && lease.until > now);
    ensure(ours, Promise::Leased, || format!("{id} was claimed under {:?}", job.lease))?;
    ensure(job.place == Place::Out, Promise::Leased, || format!("{id} is claimed and {:?}", job.place))?;
    ensure(job.owner == cycle.owner, Promise::Private, || format!("{id} was claimed by a drain of {:?}", cycle.owner))?;
    ensure(job.owner == world.oracle.owner, Promise::Private, || {
        format!("{id} of {:?} was claimed for {:?}", job.owner, world.oracle.owner)
    })?;
    ensure(!world.oracle.is_paused(&job.queue), Promise::Patient, || format!("{id} was claimed while paused"))?;
    let permit = world.oracle.network().permit(cycle.connection);
    ensure(cycle.asked || permit.allows(job), Promise::Patient, || format!("{id} was claimed though {permit:?} may be sent"))?;
    ensure(job.queue == cycle.queue, Promise::Patient, || format!("{id} was claimed by the drain of {}", cycle.queue))?;
    let wrong = world.clock.times_set() > 0;
    ensure(job.schedule.expires_at > now || wrong, Promise::Patient, || format!("{id} was claimed after it had expired"))?;
    let waited = (job.schedule.next_attempt_at <= now && job.schedule.hold_until <= now) || world.clock.is_behind();
    ensure(waited, Promise::Patient, || {
        format!(
            "{id} was claimed at {}, may not go before {} / {}",
            now.0, job.schedule.next_attempt_at.0, job.schedule.hold_until.0
        )
    })?;
    // Another version may have counted attempts by a larger limit; one more is made, and settled by this one's.
    let most = |context| world.config_of(context).queue_or_default(&job.queue).max_attempts;
    let most = job.attempts.limit.unwrap_or_else(|| (0..CONTEXTS).map(most).max().unwrap_or(0));
    ensure(job.attempts.made < most, Promise::Patient, || format!("{id} was claimed after {} attempts", job.attempts.made))?;
    if let Some(first) = job.order.key.as_ref().and_then(|_| first_of_line(store.jobs(), job)) {
        ensure(first == *id, Promise::Ordered, || format!("{id} was claimed before {first}, which was queued earlier"))?;
    }
    Ok(())
}

fn first_of_line<'a>(jobs: impl Iterator<Item = &'a Job>, job: &Job) -> Option<JobId> {
    jobs.filter(|other| {
        other.order.line && (&other.owner, &other.queue, &other.order.key) == (&job.owner, &job.queue, &job.order.key)
    })
    .min_by_key(|other| other.order.seq)
    .map(|other| other.id.clone())
}
