//! Who is signed in, and what they paused.

use crate::{
    queue::job::Job,
    store::ledger::{Ledger, OwnerState},
};

/// Who is signed in and what they paused: what no row tells, should the ledger be lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// As [`Ledger::owner`].
    pub owner: String,
    /// As [`Ledger::session`].
    pub number: u64,
    /// As [`Ledger::paused`].
    pub paused: bool,
    /// As [`Ledger::paused_queues`].
    pub paused_queues: Vec<String>,
    /// Of those who are not signed in.
    pub others: Vec<OwnerState>,
}

impl Session {
    /// Whether a job that was claimed under `lease` may still be sent: nobody has signed in or out since, on whose behalf it
    /// may have been purged.
    #[must_use]
    pub fn covers(&self, job: &Job) -> bool {
        self.owner == job.owner && job.lease.as_ref().is_some_and(|lease| lease.session == self.number)
    }

    /// The session that this ledger stands for.
    #[must_use]
    pub fn of(ledger: &Ledger) -> Self {
        Self {
            owner: ledger.owner.clone(),
            number: ledger.session,
            paused: ledger.paused,
            paused_queues: ledger.paused_queues.clone(),
            others: ledger.others.clone(),
        }
    }
}

crate::record!(Session {
    owner: "owner",
    number: "number" = 0,
    paused: "paused" = false,
    paused_queues: "pausedQueues" = Vec::new(),
    others: "others" = Vec::new(),
});
