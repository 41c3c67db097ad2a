//! Checks what `enqueue` answers, and writes it into the oracle.

use shearwater_core::{
    JobId,
    queue::{config::WorkerConfig, enqueue::OnDuplicate},
};

use super::{Checked, Promise, ensure};
use crate::{page::Asked, world::World};

/// Takes the answers to a call that was committed.
pub(crate) fn record(
    world: &mut World,
    jobs: &[Asked],
    owner: &str,
    answers: &[(JobId, bool)],
    config: &WorkerConfig,
) -> Checked {
    ensure(answers.len() == jobs.len(), Promise::Durable, || format!("{} answers to {} jobs", answers.len(), jobs.len()))?;
    for (asked, (id, new)) in jobs.iter().zip(answers) {
        let options = &asked.new.options;
        if *new {
            ensure(*id == asked.new.id, Promise::Durable, || format!("{} is answered as {id}", asked.new.id))?;
            let queue = options.queue.clone().unwrap_or_default();
            let stamped = world.store.borrow().job(id).map(|job| job.owner.clone());
            ensure(stamped.as_deref() == Some(owner), Promise::Private, || {
                format!("{id} was queued by {owner:?} and is stamped with {stamped:?}")
            })?;
            let line = options.key.clone().map(|key| (owner.to_owned(), queue.clone(), key));
            let max_age = options.max_age.unwrap_or(config.queue_or_default(&queue).max_age);
            let ripe_old = ripe_old(world, max_age);
            world.oracle.accept(id, asked.content, asked.size.is_some(), line, ripe_old);
            world.wire.forget(id);
        } else if *id == asked.new.id {
            let known = world.oracle.entry(id).is_some() || world.store.borrow().outcome(id).is_some();
            ensure(known, Promise::Durable, || format!("{id} is said to be stored already, and is not"))?;
        } else {
            let on_duplicate = options.on_duplicate.unwrap_or_default();
            let waits = world.store.borrow().job(id).is_some_and(|job| job.order.key == options.key);
            ensure(on_duplicate != OnDuplicate::Append && waits, Promise::Durable, || {
                format!("{} is answered as {id}", asked.new.id)
            })?;
            if on_duplicate != OnDuplicate::Keep {
                world.oracle.change(id, asked.content, asked.new.id.as_str(), asked.size.is_some());
            }
        }
    }
    Ok(())
}

/// When a job that is queued now may be given up for its age. A device that shows an earlier time than it
/// is, and was never told better, makes its jobs older than they are: that nobody can know.
pub(crate) fn ripe_old(world: &World, max_age: u64) -> u64 {
    let seen = world.store.borrow().ledger().map(|ledger| ledger.seen).unwrap_or_default();
    let unknown = world.clock.true_time().since(world.clock.device().max(seen));
    world.clock.elapsed().saturating_add(max_age).saturating_sub(unknown)
}
