//! What the worker does when the browser wakes it.

use std::rc::Rc;

use shearwater_core::{
    Error,
    queue::manage::{self, Compacted},
    schedule::wakes::SkipBackoff,
    store::Caller,
};

use crate::{clock, drain::task::DrainTask, engine::Engine, periodic, store::Mode};

/// A `sync` event: drains the queue of that name. Answers whether retryable work is left, so that the
/// event can be rejected and the browser comes again; at its last chance the tag is registered anew.
///
/// A tag that names no queue with jobs in it costs one read.
///
/// # Errors
/// What the store answers.
pub async fn sync(engine: &Rc<Engine>, tag: &str, last_chance: bool) -> Result<bool, Error> {
    engine.first_wake();
    // While it is being fired, and after it was rejected, the browser holds it.
    engine.tag_is_held(tag, true);
    let queue = [tag.to_owned()];
    // It comes while the store is looked at; of an owner whom a fresh worker takes for nobody, it is the wrong one.
    let owner = engine.owner();
    let lock = DrainTask::lock(engine, tag, &owner);
    let outcome = match engine.ledger().await {
        Ok(ledger) if engine.has_work(&ledger, tag) => {
            let lock = (ledger.owner == owner).then_some(lock);
            engine.start_by(tag, SkipBackoff::Unreachable, lock).for_sync_event.set(true);
            engine.drain_all(&queue, SkipBackoff::None).await
        }
        other => other.map(|_| false),
    };
    // A store that fails leaves what it holds.
    let again = *outcome.as_ref().unwrap_or(&true);
    engine.tag_is_held(tag, again && !last_chance);
    if again && last_chance {
        engine.register(tag);
    }
    outcome
}

/// A `periodicsync` event: runs the tasks of its tag. A tag without any sends what is due, and forgets what is old.
///
/// # Errors
/// What the store answers.
pub async fn periodic_sync(engine: &Rc<Engine>, tag: &str) -> Result<(), Error> {
    if periodic::fired(engine, tag).await? {
        return resume(engine).await;
    }
    engine.first_wake();
    let queues = engine.queues().await?;
    engine.drain_all(&queues, SkipBackoff::Unreachable).await?;
    compact(engine, None).await.map(drop)
}

/// Forgets what is old; and of dead letters, those last tried so many milliseconds ago.
///
/// # Errors
/// What the store answers.
pub async fn compact(engine: &Engine, failed: Option<u64>) -> Result<Compacted, Error> {
    let caller = Caller::default();
    engine
        .store
        .run(Mode::Relaxed, async |db| manage::compact_by_itself(db, clock::now(), failed, &caller, &engine.config).await)
        .await
}

/// The first wake of a worker, whatever its reason: recovers and drains what an earlier worker left.
///
/// # Errors
/// What the store answers.
pub async fn resume(engine: &Rc<Engine>) -> Result<(), Error> {
    if engine.first_wake() {
        let queues = engine.queues().await?;
        engine.drain_all(&queues, SkipBackoff::None).await?;
    }
    Ok(())
}
