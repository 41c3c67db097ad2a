//! Checks what `enqueue` answers, and writes it into the book.

use shearwater_core::JobId;

use super::{Checked, Promise, ensure};
use crate::{page::Call, world::World};

/// Takes the answers to a call that was committed.
pub(crate) fn record(world: &mut World, call: &Call, answers: &[(JobId, bool)]) -> Checked {
    ensure(answers.len() == call.jobs.len(), Promise::Durable, || {
        format!("{} answers to {} jobs", answers.len(), call.jobs.len())
    })?;
    for (asked, (id, new)) in call.jobs.iter().zip(answers) {
        let options = &asked.new.options;
        if *new {
            ensure(*id == asked.new.id, Promise::Durable, || format!("{} is answered as {id}", asked.new.id))?;
            let queue = options.queue.clone().unwrap_or_default();
            let line = options.key.clone().map(|key| (world.book.owner.clone(), queue, key));
            world.book.accept(id, asked.content, asked.size.is_some(), line);
            world.wire.forget(id.as_str());
        } else if *id == asked.new.id {
            let known = world.book.entry(id).is_some() || world.store.borrow().outcome(id).is_some();
            ensure(known, Promise::Durable, || format!("{id} is said to be stored already, and is not"))?;
        } else {
            ensure(false, Promise::Durable, || format!("{} is answered as {id}", asked.new.id))?;
        }
    }
    Ok(())
}
