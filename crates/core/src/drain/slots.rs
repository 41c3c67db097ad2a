//! Which claimed job is sent next: slots, fair shares of origins, and what to make of stalled sends.

use super::{Command, Drain};
use crate::{
    id::JobId,
    queue::job::Job,
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

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) id: JobId,
    pub(super) key: String,
    pub(super) origin: String,
    pub(super) since: Millis,
}

impl Flight {
    /// Whether it is still to be expected that its reply frees its slot soon.
    pub(super) fn is_live(&self, now: Millis) -> bool {
        now.since(self.since) < STALLED_AFTER
    }
}

impl Drain {
    pub(super) fn send(&mut self, now: Millis) {
        while !self.stopping && self.live(now) < self.plan.concurrency as usize {
            let Some(at) = self.claimed.iter().position(|job| self.may_go(job, now)) else { return };
            let job = self.claimed.remove(at);
            if !job.may_be_sent(now) {
                self.release.push(job.id);
                continue;
            }
            self.in_flight.push(Flight {
                id: job.id.clone(),
                key: job.idempotency_key.clone(),
                origin: job.origin().to_owned(),
                since: now,
            });
            self.out.push(Command::Send(Box::new(job)));
        }
    }

    /// Sends whose replies are still to be expected soon.
    pub(super) fn live(&self, now: Millis) -> usize {
        self.in_flight.iter().filter(|flight| flight.is_live(now)).count()
    }

    /// Whether the slots of its origin allow a claimed job to be sent.
    pub(super) fn may_go(&self, job: &Job, now: Millis) -> bool {
        let concurrency = self.plan.concurrency;
        let most = if self.has_company(job.origin()) { fair_share(concurrency) } else { concurrency } as usize;
        self.in_flight_to(job.origin()) < most
            && self.in_flight.len() < MOST_STALLED * concurrency as usize
            && !self.is_suspect(job.origin(), now)
            && !self.in_flight.iter().any(|flight| flight.id == job.id)
    }

    /// Whether nothing more goes to an origin before what was sent to it is settled: it has met trouble since the last
    /// cycle, or had met some and leaves others without a reply.
    pub(super) fn is_suspect(&self, origin: &str, now: Millis) -> bool {
        self.suspects.iter().any(|(_, suspect)| suspect == origin)
            || (self.troubled.iter().any(|troubled| troubled == origin) && self.has_stalled(origin, now))
    }

    pub(super) fn has_stalled(&self, origin: &str, now: Millis) -> bool {
        self.in_flight.iter().any(|flight| flight.origin == origin && !flight.is_live(now))
    }

    /// Whether a claimed job does not go before its origin has responded, however many slots are free.
    pub(super) fn is_stuck(&self, job: &Job, now: Millis) -> bool {
        self.is_suspect(job.origin(), now)
            || self.has_stalled(job.origin(), now)
            || (self.has_company(job.origin()) && self.in_flight_to(job.origin()) >= fair_share(self.plan.concurrency) as usize)
    }

    /// Whether there is something to send to another origin, or in flight to it.
    pub(super) fn has_company(&self, origin: &str) -> bool {
        self.in_flight.iter().any(|flight| flight.origin != origin) || self.claimed.iter().any(|job| job.origin() != origin)
    }

    pub(super) fn in_flight_to(&self, origin: &str) -> usize {
        self.in_flight.iter().filter(|flight| flight.origin == origin).count()
    }

    /// How many more jobs to claim: enough to have the next at hand for each slot that falls free.
    pub(super) fn room(&self, now: Millis) -> u32 {
        if self.stopping || !self.plan.online {
            return 0;
        }
        let at_hand = self.claimed.iter().filter(|job| !self.is_stuck(job, now)).count();
        let held = u32::try_from(self.live(now) + at_hand).unwrap_or(u32::MAX);
        if self.tight { 1_u32.saturating_sub(held) } else { self.plan.concurrency.saturating_mul(2).saturating_sub(held) }
    }
}
