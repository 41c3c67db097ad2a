//! What a drain puts into its next cycle, and what it makes of one that was committed or aborted.

use super::{
    Command, Drain, MOST_FAILED_CYCLES, News,
    dispatch::{Dispatch, dispatches, job_ids},
    fair_share,
};
use crate::{
    error::{Error, ErrorCode},
    health::{clock::Time, origin::OriginHealth},
    queue::{
        cycle::{Cycle, CycleOutcome, Settled},
        job::{Job, State},
    },
    schedule::{network::Permit, wakes::SkipBackoff},
    store::ledger::Ledger,
    time::{Millis, unit},
};

/// A drain at work for longer than this many milliseconds has a clock that was set.
const LONGEST_WAKE: u64 = 10 * unit::MINUTE;

impl Drain {
    pub(super) fn committed(&mut self, now: Millis, committed: CycleOutcome) {
        let cycle = self.committing.take();
        self.failed_cycles = 0;
        self.suspects.retain(|suspect| self.settle.iter().any(|settlement| suspect.carries(&settlement.id)));
        let in_trouble = committed.ledger.origins.iter().filter(|origin| origin.is_in_trouble());
        self.troubled = in_trouble.map(|origin| origin.origin.clone()).collect();
        let is_current = committed.ledger.owner == self.plan.owner;
        self.signed_out = !is_current;
        self.restricted = committed.permit != Permit::All;
        // What is at hand was permitted when it was claimed.
        let held = |dispatch: &Dispatch| !dispatch.jobs.iter().all(|job| committed.permit.allows(job));
        let (held, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.claimed).into_iter().partition(held);
        self.claimed = kept;
        self.release.extend(job_ids(held));
        let cancelled = std::mem::take(&mut self.cancelled);
        if committed.asks_time && !self.stopping && is_current {
            self.takeover = cycle.as_ref().and_then(|cycle| cycle.takeover);
            self.skip = self.skip.max(cycle.as_ref().map_or(SkipBackoff::None, |cycle| cycle.skip));
            self.asking = true;
            self.out.push(Command::AskTime);
        }
        // Unless there was a new reason meanwhile, which begins anew.
        if let (Some(from), Some(cycle), SkipBackoff::None) = (committed.more_to_skip_from, &cycle, self.skip) {
            (self.skip, self.skip_from) = (cycle.skip, from);
        }
        let asked = cycle.map_or(0, |cycle| cycle.claim);
        let claimed = dispatches(committed.claimed.clone());
        self.exhausted = !committed.asks_time && !committed.full && (claimed.len() as u64) < u64::from(asked);
        self.next_due = committed.next_due;
        // What was waited for may be gone; a new wait is set below.
        self.timer = None;
        for settled in &committed.settled {
            self.tally(settled);
        }
        let counts = committed.ledger.queue(&self.plan.queue, &self.plan.owner).map(|queue| queue.counts).unwrap_or_default();
        self.result.remaining = counts.pending + counts.syncing;
        let in_flight = self.in_flight.iter().map(|flight| flight.jobs.len()).sum::<usize>();
        let at_hand = self.claimed.iter().map(|dispatch| dispatch.jobs.len()).sum::<usize>();
        let ours = in_flight + self.settle.len() + self.release.len() + at_hand + committed.claimed.len();
        self.leased_elsewhere = counts.syncing > ours as u64;
        // A job that was lost and claimed again may have got its result meanwhile.
        let answered = |job: &Job| {
            let batch = job.batch.as_ref().map(|membership| &membership.key);
            self.settle.iter().any(|settlement| {
                settlement.id == job.id
                    && settlement.key == job.idempotency_key
                    && settlement.batch.as_ref().map(|sent| &sent.key) == batch
            })
        };
        let (cancelled, claimed): (Vec<Dispatch>, Vec<Dispatch>) = claimed
            .into_iter()
            .filter(|dispatch| !dispatch.jobs.iter().any(answered))
            .partition(|dispatch| dispatch.jobs.iter().any(|job| cancelled.contains(&job.id)));
        self.claimed.extend(claimed);
        // It may have been retried since, and claimed anew; and its batch does not go without it.
        self.release.extend(job_ids(cancelled));
        self.spare(now, &committed.ledger);
        let is_news = !(committed.settled.is_empty() && committed.claimed.is_empty() && committed.released.is_empty());
        if is_news && is_current {
            self.out.push(Command::Tell(Box::new(News {
                settled: committed.settled,
                claimed: committed.claimed,
                released: committed.released,
                ledger: committed.ledger,
                done: self.done,
                total: self.done + self.result.remaining,
            })));
        }
    }

    /// Gives back what is at hand for an origin that has been found in trouble, or asked for rest, since it was
    /// claimed.
    pub(super) fn spare(&mut self, now: Millis, ledger: &Ledger) {
        let rests =
            |dispatch: &Dispatch| ledger.origin(&dispatch.origin).and_then(OriginHealth::opens_at).is_some_and(|at| now < at);
        let (spared, kept) = std::mem::take(&mut self.claimed).into_iter().partition(rests);
        self.claimed = kept;
        self.release.extend(job_ids(Vec::into_iter(spared)));
    }

    pub(super) fn tally(&mut self, settled: &Settled) {
        let count = match settled {
            Settled::Delivered(_) => &mut self.result.delivered,
            Settled::Late => return,
            // Of another queue: it was bound to what this one's job did not get.
            Settled::Kept(job) if job.queue != self.plan.queue => return,
            Settled::Kept(job) => match job.state {
                State::Pending | State::Syncing => {
                    self.result.retried += 1;
                    return;
                }
                State::Failed => &mut self.result.failed,
                State::Conflict => &mut self.result.conflicts,
                State::Blocked => &mut self.result.blocked,
            },
        };
        *count += 1;
        self.done += 1;
    }

    /// Takes everything of the failed cycle back, to try it again.
    pub(super) fn cycle_failed(&mut self, now: Millis, error: Error) {
        let Some(cycle) = self.committing.take() else { return };
        self.cancelled.clear();
        self.failed_cycles += 1;
        self.takeover = cycle.takeover;
        if self.skip == SkipBackoff::None {
            (self.skip, self.skip_from) = (cycle.skip, cycle.skip_from);
        } else {
            (self.skip, self.skip_from) = (self.skip.max(cycle.skip), Millis(0));
        }
        let later = std::mem::replace(&mut self.settle, cycle.settle);
        self.settle.extend(later);
        self.release.extend(cycle.release);
        self.tight |= error.code == ErrorCode::QuotaExceeded;
        self.error = Some(error);
        if self.failed_cycles >= MOST_FAILED_CYCLES {
            // Results that cannot be written, and leases, are left to the next drain.
            self.gave_up = true;
            self.settle.clear();
            self.release.clear();
            self.claimed.clear();
        } else {
            self.timer = Some(now.after(100 << (2 * self.failed_cycles)));
            self.out.push(Command::Wait(self.timer.unwrap_or(now)));
        }
    }

    pub(super) fn begin_cycle(&mut self, now: Millis) -> bool {
        if self.stopping {
            self.release.extend(job_ids(self.claimed.drain(..)));
        }
        let claim = self.room(now);
        let wanted = self.takeover.is_some()
            || !self.settle.is_empty()
            || !self.release.is_empty()
            || (self.skip > SkipBackoff::None && !self.stopping)
            || (claim > 0 && !self.exhausted);
        if !wanted {
            return false;
        }
        let mut in_flight: Vec<(String, usize)> = Vec::new();
        let held = self
            .in_flight
            .iter()
            .map(|flight| flight.origin.as_str())
            .chain(self.claimed.iter().map(|dispatch| dispatch.origin.as_str()));
        for origin in held {
            match in_flight.iter_mut().find(|(name, _)| name == origin) {
                Some((_, count)) => *count += 1,
                None => in_flight.push((origin.to_owned(), 1)),
            }
        }
        let cycle = Cycle {
            queue: self.plan.queue.clone(),
            owner: self.plan.owner.clone(),
            holder: self.plan.holder.clone(),
            takeover: self.takeover.take(),
            skip: std::mem::take(&mut self.skip),
            skip_from: std::mem::take(&mut self.skip_from),
            connection: self.plan.connection,
            asked: self.asked,
            time: match self.time {
                // It was asked for at the beginning of this wake, and no wake is longer.
                (at, Time::Is(_)) if now.since(at) > LONGEST_WAKE => Time::Unasked,
                (at, Time::Is(time)) => Time::Is(time.after(now.since(at))),
                (_, time) => time,
            },
            settle: std::mem::take(&mut self.settle),
            release: std::mem::take(&mut self.release),
            claim,
            most: self.plan.concurrency.saturating_mul(2),
            share: fair_share(self.plan.concurrency).saturating_mul(2),
            in_flight,
        };
        self.resting = false;
        self.committing = Some(cycle.clone());
        self.out.push(Command::Cycle(cycle));
        true
    }
}
