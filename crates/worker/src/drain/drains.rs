//! The drains of this worker: starts them, has them stop, waits for them.
//!
//! At most one is at work on each owner's share of a queue; whoever wants another joins it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use shearwater_core::{
    Error, JobId, Millis,
    drain::Summary,
    protocol::view::SyncResult,
    schedule::{
        next_wake,
        wakes::{SkipBackoff, WakeReason},
    },
    store::{Scope, read_ledger},
};
use shearwater_web::spawn_local;

use crate::{
    clock,
    drain::{locks::Asked, task::DrainTask},
    engine::Engine,
    store::Mode,
};

/// Milliseconds between two tries of unreachable servers for which nothing but hope speaks.
const UNREACHABLE_RETRY_INTERVAL: u64 = 5_000;

/// See the module.
#[derive(Default)]
pub struct Drains {
    running: RefCell<Vec<Rc<DrainTask>>>,
    /// When unreachable servers were last tried because somebody hoped.
    unreachable_retried_at: Cell<Millis>,
}

impl Drains {
    /// Those that are at work and fit; they may end while this is looked through.
    fn at_work(&self, fits: &dyn Fn(&DrainTask) -> bool) -> Vec<Rc<DrainTask>> {
        self.running.borrow().iter().filter(|running| fits(running)).cloned().collect()
    }

    /// Outcomes so far and to expect of the drains that send for `owner`; `None` while there is none.
    pub fn progress(&self, owner: &str) -> Option<(u64, u64)> {
        let running = self.running.borrow();
        let own = running.iter().filter(|running| running.active.get() && running.owner == owner);
        own.map(|running| running.progress.get()).reduce(|sum, next| (sum.0 + next.0, sum.1 + next.1))
    }
}

impl Engine {
    /// Starts to drain the current owner's share of one queue, or joins the drain that is at work on it.
    pub fn start(self: &Rc<Self>, queue: &str, skip: SkipBackoff) -> Rc<DrainTask> {
        self.start_by(queue, skip, None)
    }

    /// As [`Engine::start`]; the queue's lock may have been asked for already.
    pub fn start_by(self: &Rc<Self>, queue: &str, skip: SkipBackoff, lock: Option<Asked>) -> Rc<DrainTask> {
        let owner = self.owner();
        let same = |running: &&Rc<DrainTask>| running.queue == queue && running.owner == owner;
        let existing = self.drains.running.borrow().iter().find(same).cloned();
        existing.inspect(|running| running.nudge(self, skip)).unwrap_or_else(|| {
            let running = DrainTask::new(queue, &owner, skip);
            self.drains.running.borrow_mut().push(Rc::clone(&running));
            let lock = lock.unwrap_or_else(|| DrainTask::lock(self, queue, &owner));
            spawn_local(Rc::clone(&running).run(Rc::clone(self), lock));
            running
        })
    }

    /// Drains these queues side by side to their end; returns whether something is left that a later
    /// wake can send.
    ///
    /// # Errors
    /// The first store failure that ended a drain.
    pub async fn drain_all(self: &Rc<Self>, queues: &[String], skip: SkipBackoff) -> Result<bool, Error> {
        let drains: Vec<_> = queues.iter().map(|queue| self.start(queue, skip)).collect();
        let (mut again, mut error) = (false, None);
        for running in drains {
            let summary = running.over.wait().await;
            again |= summary.again;
            error = error.or(summary.error);
        }
        error.map_or(Ok(again), Err)
    }

    /// Has the drains of `owner`'s share of one queue, or of all, send nothing more.
    pub fn stop(self: &Rc<Self>, owner: &str, queue: Option<&str>) {
        let theirs = |running: &DrainTask| running.owner == owner && queue.is_none_or(|queue| running.queue == queue);
        for running in self.drains.at_work(&theirs) {
            running.stop(self);
        }
    }

    /// Has the drains of all but the current owner's jobs send nothing more.
    pub fn stop_others(self: &Rc<Self>) {
        let owner = self.owner();
        for running in self.drains.at_work(&|running| running.owner != owner) {
            running.stop(self);
        }
    }

    /// Waits for the drains of these queues that are at work, and starts none.
    pub async fn wait_for_drains(&self, queues: &[String]) {
        for running in self.drains.at_work(&|running| queues.contains(&running.queue)) {
            running.over.wait().await;
        }
    }

    /// Drains these queues side by side until all that can be tried now was tried.
    ///
    /// # Errors
    /// The first store failure that ended a drain.
    pub async fn drain_now(self: &Rc<Self>, queues: &[String], skip: SkipBackoff) -> Result<SyncResult, Error> {
        let rests: Vec<_> = queues.iter().map(|queue| self.start(queue, skip).rested()).collect();
        let mut total = Ok(SyncResult::default());
        for rest in rests {
            let rested = rest.await.unwrap_or_else(|_| Err(Error::internal("a drain was dropped")));
            total = total.and_then(|mut total| {
                total.add(&rested?);
                Ok(total)
            });
        }
        total
    }

    /// A drain ended: free its place, and have the browser come again if need be.
    pub fn drained(self: &Rc<Self>, running: &Rc<DrainTask>, summary: &Summary) {
        self.drains.running.borrow_mut().retain(|other| !Rc::ptr_eq(other, running));
        // A `sync` event that leaves work is rejected instead: to register its tag while it is being
        // fired makes Chromium fire it again at once, and again.
        if summary.again && !running.for_sync_event.get() {
            self.register(&running.queue);
        }
        if summary.signed_out && self.has_work(&self.latest(), &running.queue) {
            self.start(&running.queue, SkipBackoff::None);
        }
    }

    /// An origin was reached again that could not be: what waits for it in other queues may go as well.
    pub fn recovered(self: &Rc<Self>, queue: &str) {
        let others: Vec<String> = {
            let ledger = self.latest();
            let waits = |name: &String| name != queue && self.has_work(&ledger, name);
            ledger.own_queues().map(|known| known.queue.clone()).filter(waits).collect()
        };
        for other in others {
            self.start(&other, SkipBackoff::Unreachable);
        }
    }

    /// Queues in which a wake for this reason finds something to do now; costs a look at the indexes.
    ///
    /// Hope that comes too often is none: a page that loses and gets the focus again and again does not
    /// have an unreachable server tried each time.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn due(&self, reason: WakeReason) -> Result<(Vec<String>, SkipBackoff), Error> {
        let now = clock::now();
        let since = now.since(self.drains.unreachable_retried_at.get()).max(self.drains.unreachable_retried_at.get().since(now));
        let skips = reason.retries_unreachable() && (since > UNREACHABLE_RETRY_INTERVAL || reason == WakeReason::Online);
        let skip = if skips { SkipBackoff::Unreachable } else { SkipBackoff::None };
        if skips {
            self.drains.unreachable_retried_at.set(now);
        }
        let (queues, ledger) = self
            .store
            .run(Mode::Read.on(Scope::VIEW), async |db| {
                let ledger = read_ledger(db).await?;
                Ok((next_wake::due(db, &ledger, now, skip).await?, ledger))
            })
            .await?;
        self.saw(&ledger);
        Ok((queues, skip))
    }

    /// A job was cancelled: no drain sends it that has it at hand.
    pub fn cancelled(self: &Rc<Self>, id: &JobId) {
        for running in self.drains.at_work(&|_| true) {
            running.cancelled(self, id);
        }
    }
}
