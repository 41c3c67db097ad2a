//! What a drain puts into its next cycle, and what it makes of one that was committed or aborted.

use super::{Command, Drain, MOST_FAILED_TURNS, News, fair_share};
use crate::{
    error::{Error, ErrorCode},
    health::{clock::Time, origin::OriginHealth},
    queue::{
        cycle::{Fate, Turn, Turned},
        job::{Job, State},
    },
    schedule::wakes::Ripen,
    store::ledger::Ledger,
    time::{Millis, unit},
};

/// A drain at work for longer than this many milliseconds has a clock that was set.
const LONGEST_WAKE: u64 = 10 * unit::MINUTE;

impl Drain {
    pub(super) fn turned(&mut self, now: Millis, turned: Turned) {
        let turn = self.turning.take();
        self.failed_turns = 0;
        self.suspects.retain(|(id, _)| self.settle.iter().any(|settlement| settlement.id == *id));
        let in_trouble = turned.ledger.origins.iter().filter(|origin| origin.is_in_trouble());
        self.troubled = in_trouble.map(|origin| origin.origin.clone()).collect();
        let is_current = turned.ledger.owner == self.plan.owner;
        self.signed_out = !is_current;
        let cancelled = std::mem::take(&mut self.cancelled);
        if turned.asks_time && !self.stopping && is_current {
            self.begin = turn.as_ref().and_then(|turn| turn.begin);
            self.ripen = self.ripen.max(turn.as_ref().map_or(Ripen::Nothing, |turn| turn.ripen));
            self.asking = true;
            self.out.push(Command::AskTime);
        }
        // Unless there was a new reason meanwhile, which begins anew.
        if let (Some(from), Some(turn), Ripen::Nothing) = (turned.ripens_from, &turn, self.ripen) {
            (self.ripen, self.ripen_from) = (turn.ripen, from);
        }
        let asked = turn.map_or(0, |turn| turn.claim);
        self.exhausted = !turned.asks_time && (turned.claimed.len() as u64) < u64::from(asked);
        self.next_due = turned.next_due;
        // What was waited for may be gone; a new wait is set below.
        self.timer = None;
        for fate in &turned.fates {
            self.tally(fate);
        }
        let counts = turned.ledger.queue(&self.plan.queue, &self.plan.owner).map(|queue| queue.counts).unwrap_or_default();
        self.result.remaining = counts.pending + counts.syncing;
        let ours = self.in_flight.len() + self.settle.len() + self.release.len() + self.claimed.len() + turned.claimed.len();
        self.leased_elsewhere = counts.syncing > ours as u64;
        // One that was lost, and answered while it was being claimed again, has its reply already.
        let answered = |job: &&Job| self.settle.iter().any(|reply| reply.id == job.id && reply.key == job.idempotency_key);
        let (cancelled, claimed): (Vec<Job>, Vec<Job>) =
            turned.claimed.iter().filter(|job| !answered(job)).cloned().partition(|job| cancelled.contains(&job.id));
        self.claimed.extend(claimed);
        // It may have been retried since, and claimed anew.
        self.release.extend(cancelled.into_iter().map(|job| job.id));
        self.spare(now, &turned.ledger);
        let is_news = !(turned.fates.is_empty() && turned.claimed.is_empty() && turned.released.is_empty());
        if is_news && is_current {
            self.out.push(Command::Tell(Box::new(News {
                fates: turned.fates,
                claimed: turned.claimed,
                released: turned.released,
                ledger: turned.ledger,
                done: self.done,
                total: self.done + self.result.remaining,
            })));
        }
    }

    /// Gives back what is at hand for an origin that has been found in trouble, or asked for rest, since it was
    /// claimed.
    pub(super) fn spare(&mut self, now: Millis, ledger: &Ledger) {
        let rests = |job: &Job| ledger.origin(&job.origin).and_then(OriginHealth::opens_at).is_some_and(|at| now < at);
        let (spared, kept) = std::mem::take(&mut self.claimed).into_iter().partition(rests);
        self.claimed = kept;
        self.release.extend(Vec::<Job>::into_iter(spared).map(|job| job.id));
    }

    pub(super) fn tally(&mut self, fate: &Fate) {
        let count = match fate {
            Fate::Delivered(_) => &mut self.result.delivered,
            Fate::Late => return,
            Fate::Kept(job) => match job.state {
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

    /// Takes everything of the failed turn back, to try it again.
    pub(super) fn turn_failed(&mut self, now: Millis, error: Error) {
        let Some(turn) = self.turning.take() else { return };
        self.cancelled.clear();
        self.failed_turns += 1;
        self.begin = turn.begin;
        if self.ripen == Ripen::Nothing {
            (self.ripen, self.ripen_from) = (turn.ripen, turn.ripen_from);
        } else {
            (self.ripen, self.ripen_from) = (self.ripen.max(turn.ripen), Millis(0));
        }
        let later = std::mem::replace(&mut self.settle, turn.settle);
        self.settle.extend(later);
        self.release.extend(turn.release);
        self.tight |= error.code == ErrorCode::QuotaExceeded;
        self.error = Some(error);
        if self.failed_turns >= MOST_FAILED_TURNS {
            // What was answered and cannot be written, and what is leased, is for the next drain.
            self.gave_up = true;
            self.settle.clear();
            self.release.clear();
            self.claimed.clear();
        } else {
            self.timer = Some(now.after(100 << (2 * self.failed_turns)));
            self.out.push(Command::Wait(self.timer.unwrap_or(now)));
        }
    }

    pub(super) fn take_turn(&mut self, now: Millis) -> bool {
        if self.stopping {
            self.release.extend(self.claimed.drain(..).map(|job| job.id));
        }
        let claim = self.room(now);
        let wanted = self.begin.is_some()
            || !self.settle.is_empty()
            || !self.release.is_empty()
            || (self.ripen > Ripen::Nothing && !self.stopping)
            || (claim > 0 && !self.exhausted);
        if !wanted {
            return false;
        }
        let mut in_flight: Vec<(String, usize)> = Vec::new();
        let held = self.in_flight.iter().map(|flight| &flight.origin).chain(self.claimed.iter().map(|job| &job.origin));
        for origin in held {
            match in_flight.iter_mut().find(|(name, _)| name == origin) {
                Some((_, count)) => *count += 1,
                None => in_flight.push((origin.clone(), 1)),
            }
        }
        let turn = Turn {
            queue: self.plan.queue.clone(),
            owner: self.plan.owner.clone(),
            holder: self.plan.holder.clone(),
            begin: self.begin.take(),
            ripen: std::mem::take(&mut self.ripen),
            ripen_from: std::mem::take(&mut self.ripen_from),
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
        self.turning = Some(turn.clone());
        self.out.push(Command::Turn(turn));
        true
    }
}
