//! What the worker does when the browser wakes it.

use std::rc::Rc;

use shearwater_core::{Error, store::turn::Ripen};

use crate::engine::Engine;

/// A `sync` event: drains the queue of that name. Answers whether retryable work is left, so that the
/// event can be rejected and the browser comes again; after its last chance the tag is registered anew.
///
/// A tag that names no queue with jobs in it costs one read.
///
/// # Errors
/// What the store answers.
pub async fn sync(engine: &Rc<Engine>, tag: &str, last_chance: bool) -> Result<bool, Error> {
    engine.tag_fired(tag);
    engine.first_wake();
    if !engine.queues().await?.iter().any(|queue| queue == tag) {
        return Ok(false);
    }
    let total = engine.drain_all(vec![tag.to_owned()], Ripen::Unreachable).await?;
    if total.again && last_chance {
        engine.tag_fired(tag);
        engine.register(tag);
    }
    Ok(total.again)
}

/// The first wake of a worker, whatever its reason: recovers and drains what an earlier worker left.
///
/// # Errors
/// What the store answers.
pub async fn resume(engine: &Rc<Engine>) -> Result<(), Error> {
    if engine.first_wake() {
        let queues = engine.queues().await?;
        engine.drain_all(queues, Ripen::Nothing).await?;
    }
    Ok(())
}
