//! Checks the store as a whole: what "always holds" in the core's own words.

use std::collections::BTreeMap;

use shearwater_core::{
    JobId,
    queue::job::{Job, Place, State},
    store::{Session, ledger::Counts},
};

use super::{Checked, Promise, ensure};
use crate::world::World;

/// Looks at every row.
pub(super) fn check(world: &World) -> Checked {
    let store = world.store.borrow();
    let (stored, promised) = (store.rows(), world.oracle.live());
    if !stored.keys().eq(promised.keys()) {
        let lost = promised.keys().find(|id| !stored.contains_key(id));
        ensure(lost.is_none(), Promise::Durable, || format!("{lost:?} is lost"))?;
        let extra = stored.keys().find(|id| !promised.contains_key(id));
        ensure(extra.is_none(), Promise::Durable, || format!("{extra:?} is stored and was refused"))?;
    }
    let mut shares: BTreeMap<&JobId, u32> = BTreeMap::new();
    for packed in store.jobs().chain(store.quarantine()).filter_map(|job| job.work.request().packed.as_ref()) {
        *shares.entry(&packed.pack).or_default() += 1;
    }
    ensure(store.packs().eq(shares.iter().map(|(id, parts)| (*id, *parts))), Promise::Durable, || {
        format!("packs are kept for {:?}, needed by {shares:?}", store.packs().collect::<Vec<_>>())
    })?;
    let mut counts: BTreeMap<(&str, &str), Counts> = BTreeMap::new();
    let mut lines: BTreeMap<(&str, &str, &str), Vec<&Job>> = BTreeMap::new();
    for job in store.jobs() {
        row(job)?;
        for binding in job.bindings().iter().filter(|binding| binding.value.is_none() && job.is_live()) {
            let known = stored.get(&binding.job).is_some_and(|row| row.corrupt || waits_for(job, &row.row));
            ensure(known, Promise::Live, || format!("{} waits for {}, which does not know", job.id, binding.job))?;
        }
        *counts.entry((&job.queue, &job.owner)).or_default().of(job.state) += 1;
        if let (Some(key), true) = (&job.order.key, job.order.line) {
            lines.entry((&job.owner, &job.queue, key)).or_default().push(job);
        }
    }
    lines.values_mut().try_for_each(|jobs| line(jobs))?;
    let Some(ledger) = store.ledger() else { return Ok(()) };
    let told = world.oracle.version.replace(ledger.version);
    ensure(told <= ledger.version, Promise::Honest, || {
        format!("pages that were told of version {told} take version {} for old news", ledger.version)
    })?;
    for entry in &ledger.queues {
        let recounted = counts.remove(&(entry.queue.as_str(), entry.owner.as_str())).unwrap_or_default();
        ensure(entry.counts == recounted, Promise::Honest, || {
            format!("the ledger counts {:?} in {} of {:?}, there are {recounted:?}", entry.counts, entry.queue, entry.owner)
        })?;
    }
    ensure(counts.is_empty(), Promise::Honest, || format!("the ledger does not know of {counts:?}"))?;
    for job in store.jobs() {
        let lane =
            ledger.queue(&job.queue, &job.owner).is_some_and(|queue| queue.origins.iter().any(|origin| origin == job.origin()));
        ensure(lane, Promise::Ordered, || format!("the lane of {} to {} is not known", job.id, job.origin()))?;
        ensure(job.order.seq < ledger.next_seq, Promise::Ordered, || format!("{} has the number of a later job", job.id))?;
    }
    ensure(ledger.history == store.delivered() as u64, Promise::Honest, || {
        format!("the ledger counts {} delivered jobs, the history has {}", ledger.history, store.delivered())
    })?;
    ensure(ledger.owner == world.oracle.owner, Promise::Private, || {
        format!("the owner is {:?}, was {:?}", ledger.owner, world.oracle.owner)
    })?;
    let known = store.session().is_none_or(|session| *session == Session::of(ledger) || session.owner == ledger.owner);
    ensure(known && store.owner() == world.oracle.owner, Promise::Private, || {
        format!("the session is {:?}, the owner {:?}", store.session(), world.oracle.owner)
    })
}

/// Whether `predecessor` knows that `job` waits for it.
fn waits_for(job: &Job, predecessor: &Job) -> bool {
    let dependents = predecessor.captures.iter().flat_map(|captures| &captures.dependents);
    predecessor.order.seq < job.order.seq && dependents.into_iter().any(|id| *id == job.id)
}

fn row(job: &Job) -> Checked {
    let id = &job.id;
    ensure((job.state == State::Pending) == (job.place != Place::Out), Promise::Leased, || {
        format!("{id} is {:?} and {:?}", job.state, job.place)
    })?;
    ensure((job.state == State::Syncing) == job.lease.is_some(), Promise::Leased, || {
        format!("{id} is {:?} under {:?}", job.state, job.lease)
    })?;
    ensure(job.is_live() || job.error.is_some(), Promise::Durable, || format!("{id} is {:?} for no reason", job.state))?;
    ensure(!job.is_live() || job.order.line == job.order.key.is_some(), Promise::Ordered, || {
        format!("{id} is {:?} and not in its line", job.state)
    })?;
    let is_bound = job.waits_to_be_bound().is_none();
    ensure(is_bound || job.state != State::Pending || job.place == Place::Behind, Promise::Ordered, || {
        format!("{id} is {:?} and has to wait for {:?}", job.place, job.waits_to_be_bound())
    })?;
    ensure(!is_bound || job.order.key.is_some() || job.place != Place::Behind, Promise::Ordered, || {
        format!("{id} has no key and waits behind somebody")
    })
}

/// At most one of a line moves, and somebody who moves or ended holds up all who are behind.
fn line(jobs: &mut [&Job]) -> Checked {
    jobs.sort_unstable_by_key(|job| job.order.seq);
    let moving: Vec<u64> =
        jobs.iter().filter(|job| job.is_live() && job.place != Place::Behind).map(|job| job.order.seq).collect();
    let name = || jobs.first().map(|job| (&job.owner, &job.queue, &job.order.key));
    ensure(moving.len() <= 1, Promise::Ordered, || format!("{moving:?} of one line move at once: {:?}", name()))?;
    let head_waits = jobs.first().is_some_and(|job| job.place == Place::Behind && job.waits_to_be_bound().is_none());
    let held = !head_waits || jobs.iter().any(|job| job.state == State::Syncing);
    ensure(held, Promise::Live, || {
        let each = |job: &&Job| (job.order.seq, job.state, job.place, job.waits_to_be_bound().cloned());
        format!("the first of a line waits for nobody: {:?} {:?}", name(), jobs.iter().map(each).collect::<Vec<_>>())
    })
}
