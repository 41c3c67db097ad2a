//! Serves what steers sending: sync, pause, resume, wake; and the status.

use std::rc::Rc;

use shearwater_core::{
    Error,
    protocol::operation,
    queue::manage,
    schedule::{
        network::NetworkChange,
        wakes::{SkipBackoff, WakeReason},
    },
    store::{Answer, Caller},
};

use super::{Served, Then, change};
use crate::{engine::Engine, store::Db};

/// Drains a queue, or all, until all that can be tried now was tried.
pub async fn sync(engine: &Rc<Engine>, queue: Option<String>, caller: Caller) -> Result<Served, Error> {
    let queues = match queue {
        Some(queue) => {
            engine.config.queue(&queue)?;
            let ledger = engine.ledger().await?;
            manage::check_queue(&ledger, caller.owner_or(&ledger.owner), &queue, &engine.config)?;
            vec![queue]
        }
        None => engine.queues().await?,
    };
    let result = engine.drain_now(&queues, SkipBackoff::All).await?;
    // The event lives on while the rest of the work does.
    let then = Then::WaitForDrains(queues);
    Ok(Served { ledger: Some(engine.ledger().await?), then, ..Served::looked::<operation::Sync>(&result) })
}

/// Stops sending, or sends again.
pub async fn pause(engine: &Rc<Engine>, queue: Option<String>, paused: bool, caller: Caller) -> Result<Served, Error> {
    if let Some(queue) = &queue {
        engine.config.queue(queue)?;
    }
    let changed = change(engine, &caller, "pause-after", &|db: Rc<Db>| {
        Box::pin(async {
            manage::pause(&*{ db }, queue.as_deref(), paused, &caller, &engine.config).await?;
            Ok(Answer::Done)
        })
    })
    .await?;
    if paused {
        // A message that comes again changes nothing: somebody may have resumed since.
        if !changed.repeated {
            engine.stop(caller.owner_or(&changed.ledger.owner), queue.as_deref());
        }
        return changed.served::<operation::Pause>(Then::Tell(None));
    }
    engine.saw(&changed.ledger);
    // Whoever resumes hopes, as one whose network is back does.
    let queues = engine.queues().await?;
    changed.served::<operation::Resume>(Then::Drain(queues, None, SkipBackoff::Unreachable))
}

/// Changes what is sent over which network.
pub async fn set_network(engine: &Rc<Engine>, change: NetworkChange, caller: Caller) -> Result<Served, Error> {
    let changed = super::change(engine, &caller, "network-after", &|db: Rc<Db>| {
        Box::pin(async {
            manage::set_network(&*{ db }, change, &caller).await?;
            Ok(Answer::Done)
        })
    })
    .await?;
    engine.saw(&changed.ledger);
    // What was held may go now.
    let queues = engine.queues().await?;
    changed.served::<operation::SetNetworkPolicy>(Then::Drain(queues, None, SkipBackoff::Unreachable))
}

/// Sends what a wake for this reason finds due.
pub async fn wake(engine: &Rc<Engine>, reason: WakeReason) -> Result<Served, Error> {
    let (queues, skip) = engine.due(reason).await?;
    // A drain tells at its end. Without one: what was committed last may never have been told, for
    // its worker was stopped in between, and the page wakes because it knows no better.
    let then = if queues.is_empty() { Then::Tell(None) } else { Then::Wake(queues, skip) };
    Ok(Served { then, ..Served::looked::<operation::Wake>(&()) })
}

/// The status as stored.
pub async fn status(engine: &Rc<Engine>) -> Result<Served, Error> {
    let (ledger, next) = engine.ledger_and_next_wake().await?;
    let mut status = engine.status(&ledger);
    status.next_sync_at = next;
    engine.saw(&ledger);
    Ok(Served::looked::<operation::Status>(&status))
}
