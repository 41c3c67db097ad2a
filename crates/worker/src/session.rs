//! Who is signed in, and the ledger as this worker saw it last.
//!
//! What was seen serves statuses and choices between transactions, and may be a moment old. What must not be, whether a
//! claimed job may leave, is read from the store ([`Engine::is_signed_in`]).

use std::{
    cell::{Ref, RefCell},
    rc::Rc,
};

use shearwater_core::{
    Error,
    queue::job::Job,
    store::{Session, ledger::Ledger},
};
use shearwater_web::spawn_local;

use crate::{engine::Engine, latch::Latch};

/// See the module.
#[derive(Default)]
pub struct SessionState {
    /// The latest ledger seen.
    seen: RefCell<Ledger>,
    /// A look at the store that is under way: sends that begin together share one.
    looking: RefCell<Option<Latch<Result<Option<Session>, Error>>>>,
}

impl Engine {
    /// The latest ledger seen.
    pub fn latest(&self) -> Ref<'_, Ledger> {
        self.session.seen.borrow()
    }

    /// Takes the ledger that is stored now, whatever was seen before.
    pub fn saw_stored(&self, ledger: Ledger) {
        self.session.seen.replace(ledger);
    }

    /// Who is signed in, as this worker saw last.
    pub fn owner(&self) -> String {
        self.session.seen.borrow().owner.clone()
    }

    /// Takes a ledger that was read, unless a later one is known.
    pub fn saw(&self, ledger: &Ledger) {
        let (version, is_another) = {
            let seen = self.session.seen.borrow();
            (seen.version, seen.owner != ledger.owner)
        };
        if ledger.version >= version {
            if is_another {
                // The next wake that pages were told of was the other's.
                self.broadcaster.forget_next_wake();
            }
            self.session.seen.replace(ledger.clone());
        }
    }

    /// Whether this claimed job's owner is signed in as they were when it was claimed, as it is stored at this moment:
    /// another worker of the same database may have signed somebody in or out since.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn is_signed_in(self: &Rc<Self>, job: &Job) -> Result<bool, Error> {
        let look = self.session.looking.borrow().clone();
        let look = look.unwrap_or_else(|| {
            let look = Latch::new();
            self.session.looking.replace(Some(look.clone()));
            let engine = Rc::clone(self);
            spawn_local({
                let look = look.clone();
                async move {
                    let session = engine.store.session().await;
                    engine.session.looking.take();
                    look.open(session);
                }
            });
            look
        });
        Ok(Session::covers(look.wait().await?.as_ref(), job))
    }

    /// Whether `queue` stores and does not send, as this worker saw last.
    pub fn is_paused(&self, queue: &str) -> bool {
        self.session.seen.borrow().is_paused(queue)
    }

    /// Whether a drain of `queue` has something to do, sooner or later: jobs to send or to take back.
    pub fn has_work(&self, ledger: &Ledger, queue: &str) -> bool {
        ledger
            .queue(queue, &ledger.owner)
            .is_some_and(|known| known.counts.syncing > 0 || (known.counts.pending > 0 && !ledger.is_paused(queue)))
    }
}
