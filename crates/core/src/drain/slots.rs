//! Which dispatch is sent next: slots, fair shares of origins, and what to make of stalled sends.

use super::{
    Command, Drain,
    dispatch::{Dispatch, DispatchId, job_ids},
};
use crate::{
    id::JobId,
    time::{Millis, unit},
};

/// Milliseconds without a reply after which a send no longer holds a slot of other origins.
pub const STALLED_AFTER: u64 = 5 * unit::SECOND;

/// So many times `concurrency` are in flight at most, the stalled ones included.
const MOST_STALLED: usize = 8;

/// Slots that one origin takes at most while another has jobs: two thirds, and at least one.
#[must_use]
pub const fn fair_share(concurrency: u32) -> u32 {
    let left = concurrency / 3;
    let share = concurrency.saturating_sub(if left == 0 { 1 } else { left });
    if share == 0 { 1 } else { share }
}

/// A dispatch that was sent and has no result yet.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) id: DispatchId,
    /// Its jobs, and the idempotency key that each was claimed with.
    pub(super) jobs: Vec<(JobId, String)>,
    pub(super) origin: String,
    pub(super) since: Millis,
    /// The key of the batch that it is.
    pub(super) batch: Option<JobId>,
}

impl Flight {
    /// Whether it is still to be expected that its reply frees its slot soon.
    pub(super) fn is_live(&self, now: Millis) -> bool {
        now.since(self.since) < STALLED_AFTER
    }

    /// Whether it carries this job.
    pub(super) fn carries(&self, job: &JobId) -> bool {
        self.jobs.iter().any(|(id, _)| id == job)
    }
}

impl Drain {
    pub(super) fn send(&mut self, now: Millis) {
        while !self.stopping && self.live(now) < self.plan.concurrency as usize {
            let Some(at) = self.claimed.iter().position(|dispatch| self.may_go(dispatch, now)) else { return };
            let dispatch = self.claimed.remove(at);
            if !dispatch.jobs.iter().all(|job| job.may_be_sent(now)) {
                self.release.extend(job_ids([dispatch]));
                continue;
            }
            self.in_flight.push(Flight {
                id: dispatch.id.clone(),
                jobs: dispatch.jobs.iter().map(|job| (job.id.clone(), job.idempotency_key.clone())).collect(),
                origin: dispatch.origin.clone(),
                since: now,
                batch: dispatch.batch_key().cloned(),
            });
            self.out.push(Command::Send(dispatch));
        }
    }

    /// Sends whose replies are still to be expected soon.
    pub(super) fn live(&self, now: Millis) -> usize {
        self.in_flight.iter().filter(|flight| flight.is_live(now)).count()
    }

    /// Whether the slots of its origin allow a dispatch to be sent.
    pub(super) fn may_go(&self, dispatch: &Dispatch, now: Millis) -> bool {
        let concurrency = self.plan.concurrency;
        let most = if self.has_company(&dispatch.origin) { fair_share(concurrency) } else { concurrency } as usize;
        self.in_flight_to(&dispatch.origin) < most
            && self.in_flight.len() < MOST_STALLED * concurrency as usize
            && !self.is_suspect(&dispatch.origin, now)
            && !self.in_flight.iter().any(|flight| dispatch.jobs.iter().any(|job| flight.carries(&job.id)))
    }

    /// Whether nothing more goes to an origin before what was sent to it is settled: it has met trouble since the last
    /// cycle, or had met some and leaves others without a reply.
    pub(super) fn is_suspect(&self, origin: &str, now: Millis) -> bool {
        self.suspects.iter().any(|suspect| suspect.origin == origin)
            || (self.troubled.iter().any(|troubled| troubled == origin) && self.has_stalled(origin, now))
    }

    pub(super) fn has_stalled(&self, origin: &str, now: Millis) -> bool {
        self.in_flight.iter().any(|flight| flight.origin == origin && !flight.is_live(now))
    }

    /// Whether a dispatch does not go before its origin has responded, however many slots are free.
    pub(super) fn is_stuck(&self, dispatch: &Dispatch, now: Millis) -> bool {
        self.is_suspect(&dispatch.origin, now)
            || self.has_stalled(&dispatch.origin, now)
            || (self.has_company(&dispatch.origin)
                && self.in_flight_to(&dispatch.origin) >= fair_share(self.plan.concurrency) as usize)
    }

    /// Whether there is something to send to another origin, or in flight to it.
    pub(super) fn has_company(&self, origin: &str) -> bool {
        self.in_flight.iter().any(|flight| flight.origin != origin)
            || self.claimed.iter().any(|dispatch| dispatch.origin != origin)
    }

    pub(super) fn in_flight_to(&self, origin: &str) -> usize {
        self.in_flight.iter().filter(|flight| flight.origin == origin).count()
    }

    /// How many more jobs to claim: enough to have the next at hand for each slot that falls free.
    pub(super) fn room(&self, now: Millis) -> u32 {
        if self.stopping || !self.plan.online {
            return 0;
        }
        let at_hand = self.claimed.iter().filter(|dispatch| !self.is_stuck(dispatch, now)).count();
        let held = u32::try_from(self.live(now) + at_hand).unwrap_or(u32::MAX);
        if self.tight { 1_u32.saturating_sub(held) } else { self.plan.concurrency.saturating_mul(2).saturating_sub(held) }
    }
}
