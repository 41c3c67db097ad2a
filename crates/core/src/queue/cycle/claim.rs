//! What a cycle sends next: whose wait is over, which job goes first, and how many an origin bears.

use super::{Cycle, CycleRun, PAGE, expire::expired};
use crate::{
    boxed::boxed,
    error::Error,
    health::origin::OriginHealth,
    id::JobId,
    queue::{
        job::{Job, Lease, Place, State},
        last_error::{ErrorKind, LastError},
        sort::first_by,
    },
    schedule::{network::Permit, next_wake, wakes::SkipBackoff},
    store::{HELD, Index, Scan, Tx},
    time::{Millis, unit},
};

/// Pages of waiting jobs that a cycle looks through to cut waits short.
const SKIP_PAGES: u32 = 8;

/// Jobs looked at to find the best probe of a closed origin.
const PROBES: u32 = 16;

/// Pages of waiting jobs that are looked through for those of an origin that can be reached again.
const RECOVERY_PAGES: u32 = 8;

/// Jobs that a cycle claims before it claims no further batch.
const MOST_CLAIMED: usize = 1_000;

/// Milliseconds that a job waits when it is not known whether it has expired.
const DOUBT: u64 = 5 * unit::MINUTE;

impl<T: Tx> CycleRun<'_, T> {
    /// Cuts backoffs short; returns where to go on.
    ///
    /// A job that got no response never waits longer than the longest backoff, so a wake that skips them looks at no
    /// more of the index, however much waits for something else.
    pub(super) async fn skip_backoffs(&mut self, cycle: &Cycle, owner: &str) -> Result<Option<Millis>, Error> {
        let now = self.now;
        let origins = self.ledger.queue(&cycle.queue, owner).map(|queue| queue.origins.clone()).unwrap_or_default();
        // Once a reason: a probe may have failed since.
        for origin in origins.into_iter().filter(|_| cycle.skip_from == Millis(0)) {
            if self.ledger.origin(&origin).is_some() {
                self.ledger.change_origin(&origin, now, |health| health.allow_probe(now));
            }
        }
        let longest = self.settings.queue.backoff.max.max(DOUBT);
        let upto = if cycle.skip == SkipBackoff::All { Millis::MAX } else { now.after(longest.saturating_mul(2)) };
        let mut after = now.0.saturating_add(1).max(cycle.skip_from.0);
        for _ in 0..SKIP_PAGES {
            let scan = Scan::of(Index::Due, vec![owner, &cycle.queue], PAGE).from(after).upto(upto.0);
            let page = self.tx.scan(&scan).await?;
            let Some(last) = page.last() else { return Ok(None) };
            // Rows with equal times beyond the page are passed over: they become ready at their own time.
            after = last.schedule.next_attempt_at.0 + 1;
            for mut job in page {
                let here = [ErrorKind::Network, ErrorKind::Withheld];
                let found_nobody = job.error.as_ref().is_some_and(|error| here.contains(&error.kind));
                let wanted = match cycle.skip {
                    SkipBackoff::None => false,
                    SkipBackoff::Unreachable => found_nobody,
                    SkipBackoff::All => true,
                };
                if wanted && job.schedule.hold_until <= now {
                    job.schedule.next_attempt_at = now;
                    job.place = Place::Ready;
                    self.tx.put(&job)?;
                }
            }
        }
        Ok(Some(Millis(after)))
    }

    /// Lets go what waits only because nobody answered at `origin`, which answers again.
    pub(super) async fn skip_waits_for(&mut self, origin: &str, queue: &str, owner: &str) -> Result<(), Error> {
        let now = self.now;
        let mut after = now.0.saturating_add(1);
        for _ in 0..RECOVERY_PAGES {
            let page = self.tx.scan(&Scan::of(Index::Due, vec![owner, queue], PAGE).from(after)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.schedule.next_attempt_at.0 + 1;
            for mut job in page {
                let unreachable = job.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Network);
                if unreachable && job.origin() == origin && job.schedule.hold_until <= now {
                    job.schedule.next_attempt_at = now;
                    job.place = Place::Ready;
                    self.tx.put(&job)?;
                }
            }
        }
        Ok(())
    }

    /// Claims what is sent next, each batch in one piece; says whether it stopped for having claimed enough.
    pub(super) async fn claim(&mut self, cycle: &Cycle, owner: &str) -> Result<(Vec<Job>, bool), Error> {
        let mut claimed: Vec<Job> = Vec::new();
        let want = cycle.claim as usize;
        if want == 0 || matches!(self.permit, Permit::Nothing(_)) || self.ledger.queue(&cycle.queue, owner).is_none() {
            return Ok((claimed, false));
        }
        self.first_due = self.open_due(&cycle.queue, owner).await?;
        self.open_full_batches(&cycle.queue, owner).await?;
        let mut more = true;
        while more && dispatches(&claimed).count() < want {
            let room = want - dispatches(&claimed).count();
            // Those that were changed along with others of their batch.
            let mut seen: Vec<JobId> = Vec::new();
            let candidates;
            (candidates, more) = self.candidates(cycle, owner, room, &claimed).await?;
            if candidates.is_empty() {
                break;
            }
            for job in first_by(candidates, room, |job| (job.order.rank, job.order.seq)) {
                if claimed.len() >= MOST_CLAIMED {
                    return Ok((claimed, true));
                }
                if seen.contains(&job.id) {
                    more = true;
                    continue;
                }
                if job.schedule.expires_at <= self.wall {
                    if self.in_doubt {
                        self.put_off(job, self.now.after(DOUBT), Some(doubtful()))?;
                    } else {
                        self.dead_letter(job, State::Failed, expired()).await?;
                        // Who stood behind it may be ready now, or due.
                        (more, self.first_due) = (true, None);
                    }
                    continue;
                }
                let jobs = boxed(self.assemble(cycle, owner, job, &mut seen)).await?;
                // There may be more of those that were passed over for what is in the batch, or waits with it.
                more |= !seen.is_empty();
                let Some(lead) = jobs.first() else { continue };
                if let Err(until) = self.take_retry(lead) {
                    for job in jobs {
                        self.put_off(job, until, None)?;
                    }
                    continue;
                }
                let size = jobs.iter().filter_map(Job::size).reduce(u64::saturating_add);
                let lease = Lease {
                    holder: cycle.holder.clone(),
                    until: self.now.after(self.settings.queue.send_limit(size).saturating_mul(2)),
                    session: self.ledger.session,
                };
                let expires_at = jobs.iter().map(|job| job.schedule.expires_at).max().unwrap_or_default();
                for mut job in jobs {
                    job.schedule.expires_at = expires_at;
                    job.schedule.next_attempt_at = job.schedule.next_attempt_at.min(self.now);
                    job.claim(self.now, lease.clone());
                    self.ledger.shift(&job, State::Pending);
                    self.tx.put(&job)?;
                    claimed.push(job);
                }
            }
        }
        Ok((claimed, false))
    }

    /// Counts a retry against its origin's budget, or says when there is room for it.
    fn take_retry(&mut self, job: &Job) -> Result<(), Millis> {
        let (now, budget) = (self.now, self.settings.retry_budget);
        // A probe of a closed origin is no retry of the job; and what no server has seen is none to it.
        if job.attempts.made == 0 || self.ledger.origin(job.origin()).is_some_and(OriginHealth::is_closed) {
            return Ok(());
        }
        self.ledger.change_origin(job.origin(), now, |origin| origin.take_retry(now, &budget))
    }

    /// Lets a job that was ready wait.
    pub(super) fn put_off(&mut self, mut job: Job, until: Millis, error: Option<LastError>) -> Result<(), Error> {
        job.place = Place::Due;
        job.schedule.next_attempt_at = until;
        // A wait of ours, should it stand behind another meanwhile.
        job.attempts.last_delay = job.attempts.last_delay.max(1);
        job.error = error.or(job.error);
        self.first_due = self.first_due.map(|first| first.min(until));
        self.tx.put(&job)
    }

    /// Makes `ready` what was `due` and whose time has come. Where there was none such, returns the time of the first
    /// that is due, the end of all times when nobody is.
    async fn open_due(&mut self, queue: &str, owner: &str) -> Result<Option<Millis>, Error> {
        let first = next_wake::first_due(self.tx, owner, queue).await?.unwrap_or(Millis::MAX);
        if first > self.now {
            return Ok(Some(first));
        }
        for texts in [vec![owner, queue], vec![owner, queue, HELD]] {
            loop {
                let page = self.tx.scan(&Scan::of(Index::Due, texts.clone(), PAGE).upto(self.now.0)).await?;
                let full = page.len() == PAGE as usize;
                for mut job in page {
                    job.place = Place::Ready;
                    self.tx.put(&job)?;
                }
                if !full {
                    break;
                }
            }
        }
        Ok(None)
    }

    /// The best of each origin's lane, as many as that origin permits, and whether there may be more.
    async fn candidates(&self, cycle: &Cycle, owner: &str, want: usize, claimed: &[Job]) -> Result<(Vec<Job>, bool), Error> {
        let (mut candidates, mut more) = (Vec::new(), false);
        let Some(queue) = self.ledger.queue(&cycle.queue, owner) else { return Ok((candidates, more)) };
        let mut lanes: Vec<(Vec<Job>, usize)> = Vec::new();
        for origin in &queue.origins {
            let permits = self.permits(cycle, origin, claimed);
            let limit = u32::try_from(want.min(permits)).unwrap_or(u32::MAX);
            if limit == 0 {
                continue;
            }
            let probes = self.ledger.origin(origin).is_some_and(OriginHealth::is_closed);
            let lane = Scan::of(Index::Ready, vec![owner, &cycle.queue, origin], if probes { PROBES } else { limit });
            let mut jobs = if self.permit == Permit::All {
                self.tx.scan(&lane).await?
            } else {
                boxed(self.permitted(&lane, owner, &cycle.queue, origin)).await?
            };
            more |= jobs.len() >= lane.limit as usize || (probes && !jobs.is_empty());
            if probes {
                // One that has met nothing bad yet says more about the server than one that may be bad itself;
                // and no job's attempts are used up by an outage as long as there is another.
                jobs = first_by(jobs, 1, |job| (u64::from(job.failures()), job.order.rank));
            }
            if !jobs.is_empty() {
                lanes.push((jobs, (cycle.share as usize).saturating_sub(held(cycle, origin, claimed))));
            }
        }
        let has_company = lanes.len() > 1;
        for (mut jobs, share) in lanes {
            if has_company && jobs.len() > share {
                jobs.truncate(share);
                // The company may prove to be put off, or to have expired.
                more = true;
            }
            candidates.extend(jobs);
        }
        more |= candidates.len() > want;
        Ok((candidates, more))
    }

    /// The first of a lane that the network permits. Those that it holds may be many, and stand before them.
    async fn permitted(&self, lane: &Scan<'_, Index>, owner: &str, queue: &str, origin: &str) -> Result<Vec<Job>, Error> {
        let (mut jobs, mut from, mut passed): (Vec<Job>, _, _) = (Vec::new(), 0, 0);
        while jobs.len() < lane.limit as usize {
            // A critical job's rank is the clock when it was queued: beyond it stand others.
            let scan = Scan::of(Index::Ready, vec![owner, queue, origin], PAGE + passed).from(from).upto(self.ledger.clock.0);
            let page = self.tx.scan(&scan).await?;
            let full = page.len() >= scan.limit as usize;
            let last = page.last().map_or(0, |job| job.order.rank);
            // Of one rank there may be more than a page.
            passed = if last == from && full { passed + PAGE } else { 0 };
            let known: Vec<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
            jobs.extend(page.into_iter().filter(|job| self.permit.allows(job) && !known.contains(&job.id)));
            from = last;
            if !full {
                break;
            }
        }
        jobs.truncate(lane.limit as usize);
        Ok(jobs)
    }

    fn permits(&self, cycle: &Cycle, origin: &str, claimed: &[Job]) -> usize {
        let held = held(cycle, origin, claimed);
        let room = (cycle.most as usize).saturating_sub(held);
        self.ledger.origin(origin).map_or(room, |health| health.permits(self.now, held).min(room))
    }

    /// When it is worth claiming again, as far as only time decides it.
    pub(super) async fn next_due(&self, cycle: &Cycle, owner: &str, claimed: &[Job]) -> Result<Option<Millis>, Error> {
        let Some(queue) = self.ledger.queue(&cycle.queue, owner) else { return Ok(None) };
        if queue.counts.pending == 0 {
            return Ok(None);
        }
        let mut next = match self.first_due {
            Some(first) => Some(first).filter(|first| *first < Millis::MAX),
            None => next_wake::first_due(self.tx, owner, &cycle.queue).await?,
        };
        for origin in &queue.origins {
            if let Some(until) = self.ledger.origin(origin).and_then(OriginHealth::opens_at)
                && self.permits(cycle, origin, claimed) == 0
                && until > self.now
                && !self.tx.scan(&Scan::of(Index::Ready, vec![owner, &cycle.queue, origin], 1)).await?.is_empty()
            {
                next = Some(next.map_or(until, |next| next.min(until)));
            }
        }
        Ok(next)
    }
}

/// Dispatches of an origin that the drain holds.
fn held(cycle: &Cycle, origin: &str, claimed: &[Job]) -> usize {
    cycle.in_flight.iter().filter(|(name, _)| name == origin).map(|(_, count)| *count).sum::<usize>()
        + dispatches(claimed).filter(|job| job.origin() == origin).count()
}

/// The first job of each dispatch.
fn dispatches(claimed: &[Job]) -> impl Iterator<Item = &Job> {
    claimed.iter().filter(|job| job.batch.as_ref().is_none_or(|membership| membership.lead == job.id))
}

fn doubtful() -> LastError {
    LastError {
        kind: ErrorKind::Withheld,
        status: None,
        message: "the device's clock may be wrong and no server could be reached to check it; the job waits".to_owned(),
    }
}
