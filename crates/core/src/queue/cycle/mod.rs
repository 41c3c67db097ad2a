//! One cycle of a drain: outcomes in, claims out, in a single transaction.
//!
//! A cycle settles what was answered since the last one and claims what is to be sent next. That both
//! stand in one transaction is what makes a drain fast (one commit for many outcomes) and keeps the
//! line of a key whole (the successor is claimed by the commit that ends its predecessor, or later).
//! What comes in is here; what is due, and what goes out, is in `claim`.

mod claim;

use crate::{
    boxed::boxed,
    error::Error,
    health::{
        clock::{self, Time},
        origin::{RetryBudget, closure_delay},
    },
    http::{
        rate_limit,
        reply::{AttemptResult, Disposition, ErrorKind, LastError, disposition},
        retry_after,
    },
    id::JobId,
    queue::{
        config::{HistoryConfig, QueueConfig, WorkerConfig},
        history::Outcome,
        job::{Job, RECORD_VERSION, State},
        key_order,
    },
    schedule::wakes::SkipBackoff,
    store::{Index, Scan, Tx, bodies::Leaving, ledger::Ledger, load, save},
    time::Millis,
};

/// Rows moved at once where there may be many.
const PAGE: u32 = 128;

/// How many cycles of a drain at work there are to one that sweeps.
const SWEPT_EACH: u64 = 16;

/// What the first cycle of a drain does besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// Nobody else can be draining this queue (a Web Lock is held), so every lease but ours is dead.
    pub exclusive: bool,
}

/// The reply to one job, to be recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// The job.
    pub id: JobId,
    /// The idempotency key that it was sent with: which payload the result is about.
    pub key: String,
    /// What came back.
    pub result: AttemptResult,
    /// When it came back.
    pub at: Millis,
    /// A random number in `[0, 1)`, for jitter.
    pub roll: f64,
}

/// What a cycle is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Cycle {
    /// The queue.
    pub queue: String,
    /// Whose jobs the drain sends. While another is signed in it claims nothing.
    pub owner: String,
    /// This drain's name, unique to it.
    pub holder: String,
    /// Set in a drain's first cycle.
    pub takeover: Option<Takeover>,
    /// Whose waiting is over.
    pub skip: SkipBackoff,
    /// Of those, the ones whose time comes at this instant or later; see [`CycleOutcome::more_to_skip_from`].
    pub skip_from: Millis,
    /// What is known of the time.
    pub time: Time,
    /// Replies to record.
    pub settle: Vec<Settlement>,
    /// Claimed jobs that were not sent and go back.
    pub release: Vec<JobId>,
    /// How many jobs to claim at most.
    pub claim: u32,
    /// How many of one origin to hold at most, those in flight included.
    pub most: u32,
    /// The same, as long as another origin has jobs too.
    pub share: u32,
    /// Jobs in flight per origin, the claimed and not yet sent included.
    pub in_flight: Vec<(String, usize)>,
}

/// What became of a settled job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Delivered; its trace.
    Delivered(Box<Outcome>),
    /// Still stored, in the state that the row says.
    Kept(Box<Job>),
    /// It had been settled by somebody else meanwhile; nothing was changed.
    Late,
}

/// What a cycle did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CycleOutcome {
    /// Jobs claimed, in the order to send them.
    pub claimed: Vec<Job>,
    /// What became of the settled, expired and recovered ones.
    pub settled: Vec<Settled>,
    /// When the queue's next job may be claimed; `None` when none waits for a time.
    pub next_due: Option<Millis>,
    /// What [`crate::schedule::next_wake::next_wake`] answers now, where this cycle has looked: it has when it claimed nothing.
    pub next_wake: Option<Option<Millis>>,
    /// There are more whose waiting is over, from this instant on: a cycle moves so many and no more.
    pub more_to_skip_from: Option<Millis>,
    /// Something would expire, and the clock may be wrong: nothing was claimed, and the time is to be asked for.
    pub asks_time: bool,
    /// Claimed jobs that were given back unsent, as they are stored now.
    pub released: Vec<Job>,
    /// An origin that could not be reached was reached: what waits for it in other queues may go as well.
    pub recovered: bool,
    /// The ledger as written.
    pub ledger: Ledger,
}

/// Settings that a cycle needs.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Of the queue.
    pub queue: &'a QueueConfig,
    /// Of the history.
    pub history: HistoryConfig,
    /// See [`crate::queue::config::WorkerConfig::breaker_threshold`].
    pub breaker_threshold: u32,
    /// Of each origin.
    pub retry_budget: RetryBudget,
}

impl<'a> Settings<'a> {
    /// Those of `queue` in this configuration.
    #[must_use]
    pub fn new(config: &WorkerConfig, queue: &'a QueueConfig) -> Self {
        Self { queue, history: config.history, breaker_threshold: config.breaker_threshold, retry_budget: config.retry_budget }
    }
}

/// Carries out one cycle.
///
/// # Errors
/// What the transaction's reads and writes answer; then nothing was changed.
pub async fn cycle<T: Tx>(tx: &T, now: Millis, cycle: &Cycle, settings: Settings<'_>) -> Result<CycleOutcome, Error> {
    let mut ledger = load(tx).await?;
    let before = ledger.clone();
    let owner = cycle.owner.clone();
    let is_current = owner == ledger.owner;
    let set_back = clock::was_set_back(&ledger, now);
    let mut work = Work {
        tx,
        now,
        wall: now,
        in_doubt: false,
        told: None,
        settings,
        ledger: &mut ledger,
        settled: Vec::new(),
        released: Vec::new(),
        recovered: Vec::new(),
        has_recovered: false,
        reached_somebody: false,
        leaving: Leaving::default(),
        first_due: None,
    };
    if set_back {
        boxed(work.forget_times()).await?;
    }
    let asks_time = boxed(work.judge_time(cycle, &owner)).await?;
    let settled: Vec<&JobId> = cycle.settle.iter().map(|settlement| &settlement.id).collect();
    for (settlement, job) in cycle.settle.iter().zip(tx.jobs(&settled).await?) {
        boxed(work.settle(settlement, job, &cycle.holder)).await?;
    }
    for id in &cycle.release {
        boxed(work.release(id, &cycle.holder)).await?;
    }
    if let Some(takeover) = cycle.takeover.filter(|_| is_current) {
        boxed(work.recover(cycle, takeover, &owner)).await?;
        if !work.in_doubt {
            boxed(work.expire(&cycle.queue, &owner)).await?;
            crate::store::receipts::prune(tx, work.wall, work.ledger).await?;
        }
        if work.ledger.history > 0 {
            boxed(work.prune_history()).await?;
        }
    }
    std::mem::take(&mut work.leaving).count_out(tx).await?;
    let mut claimed = Vec::new();
    let mut next_due = None;
    let mut more_to_skip_from = None;
    for origin in std::mem::take(&mut work.recovered) {
        boxed(work.skip_waits_for(&origin, &cycle.queue, &owner)).await?;
    }
    if is_current && !asks_time && !work.ledger.is_paused(&cycle.queue) {
        if cycle.skip > SkipBackoff::None {
            more_to_skip_from = boxed(work.skip_backoffs(cycle, &owner)).await?;
        }
        claimed = boxed(work.claim(cycle, &owner)).await?;
        next_due = work.next_due(cycle, &owner, &claimed).await?;
    }
    if !cycle.settle.is_empty() && (claimed.is_empty() || work.ledger.version.is_multiple_of(SWEPT_EACH)) {
        boxed(work.sweep(&cycle.queue, &owner)).await?;
    }
    let looks = claimed.is_empty() && !asks_time && !set_back;
    // Before the ledger is written, for what does not parse is put aside by looking.
    let mut next_wake =
        if looks { Some(boxed(crate::schedule::next_wake::next_wake(tx, work.ledger, now)).await?) } else { None };
    let (settled, wall, in_doubt, told) = (work.settled, work.wall, work.in_doubt, work.told);
    let (released, recovered, reached_somebody) = (work.released, work.has_recovered, work.reached_somebody);
    if cycle.takeover.is_some() && !claimed.is_empty() {
        ledger.sync_count += 1;
        ledger.error = None;
    }
    if !cycle.settle.is_empty() {
        let failed = settled.iter().rev().find_map(|settled| match settled {
            Settled::Kept(job) => job.error.clone(),
            Settled::Delivered(_) | Settled::Late => None,
        });
        ledger.change_outcome(&owner, |last_sync_at, error| {
            if reached_somebody {
                *last_sync_at = Some(now);
                // It says that nobody answers; somebody does.
                error.take_if(|error| matches!(error.kind, ErrorKind::Network | ErrorKind::Timeout));
            }
            *error = failed.or(error.take());
        });
    }
    let noted_long_ago = set_back || now.since(ledger.device) > clock::TOLERANCE;
    let news = told.is_some_and(|told| ledger.doubts > 0 || told.since(ledger.seen) > clock::TOLERANCE);
    if ledger != before || noted_long_ago || news || tx.quarantined() > 0 {
        ledger.device = now;
        if let Some(told) = told {
            ledger.seen = told;
            ledger.doubts = 0;
        } else if !in_doubt {
            ledger.seen = ledger.seen.max(wall);
        }
        save(tx, &mut ledger).await?;
    }
    let pending = is_current && ledger.queue(&cycle.queue, &ledger.owner).is_some_and(|queue| queue.counts.pending > 0);
    if tx.quarantined() > 0 && pending && !ledger.is_paused(&cycle.queue) {
        // Rows that were put aside may have set others free, too late for this claim.
        next_due = Some(now);
        next_wake = None;
    }
    Ok(CycleOutcome { claimed, settled, next_due, next_wake, more_to_skip_from, asks_time, released, recovered, ledger })
}

struct Work<'a, T> {
    tx: &'a T,
    now: Millis,
    /// The time that decides whether a job is too old; see [`clock`].
    wall: Millis,
    /// Nobody knows whether what seems too old is.
    in_doubt: bool,
    /// The time as a reply's `Date` tells it, or the server that was asked.
    told: Option<Millis>,
    settings: Settings<'a>,
    ledger: &'a mut Ledger,
    settled: Vec<Settled>,
    /// Jobs that were given back.
    released: Vec<Job>,
    /// Origins that were in trouble and were reached by this cycle's replies.
    recovered: Vec<String>,
    /// There were such.
    has_recovered: bool,
    /// Some reply came from a server.
    reached_somebody: bool,
    leaving: Leaving,
    /// When the first is due of those that wait for their time; `None` where nobody has looked.
    first_due: Option<Millis>,
}

impl<T: Tx> Work<'_, T> {
    async fn settle(&mut self, settlement: &Settlement, job: Option<Job>, holder: &str) -> Result<(), Error> {
        let Some(mut job) = job else {
            self.settled.push(Settled::Late);
            return Ok(());
        };
        let config = self.settings.queue;
        let disposition = disposition(&job.request.method, &settlement.result, config);
        self.note_origin(&job, settlement, disposition);
        let ours = job.lease.as_ref().is_some_and(|lease| lease.holder == holder) && job.idempotency_key == settlement.key;
        if !ours {
            // Another drain took the lease for dead. A delivery is the truth all the same, unless the
            // job has been edited since or is on its way again.
            if disposition == Disposition::Delivered && job.state != State::Syncing && job.idempotency_key == settlement.key {
                return self.deliver(job, settlement).await;
            }
            self.settled.push(Settled::Late);
            return Ok(());
        }
        if disposition != Disposition::Unreachable {
            job.attempts = job.attempts.saturating_add(1);
        }
        let error = settlement.result.last_error(config);
        match disposition {
            Disposition::Delivered => self.deliver(job, settlement).await,
            Disposition::Failed => self.dead_letter(job, State::Failed, error).await,
            Disposition::Conflict => self.dead_letter(job, State::Conflict, error).await,
            Disposition::Blocked => self.dead_letter(job, State::Blocked, error).await,
            Disposition::Retry if job.attempts >= job.max_attempts.unwrap_or(config.max_attempts) => {
                self.dead_letter(job, State::Failed, error).await
            }
            Disposition::Retry | Disposition::Unreachable => self.schedule(job, disposition, settlement, error).await,
        }
    }

    /// Notes what the reply says about its origin.
    fn note_origin(&mut self, job: &Job, settlement: &Settlement, disposition: Disposition) {
        let reply = &settlement.result;
        self.reached_somebody |= reply.reached_somebody() && disposition != Disposition::Unreachable;
        if matches!(reply, AttemptResult::Unsendable(_) | AttemptResult::Withheld(_)) {
            return;
        }
        let Settings { queue, breaker_threshold, retry_budget, .. } = self.settings;
        // The clock may have been set back since the reply came.
        let at = settlement.at.min(self.now);
        let asked = asked_to_wait(reply, at);
        // A server whose reply is hidden from us fares well enough to send one.
        if matches!(disposition, Disposition::Retry | Disposition::Unreachable) && !matches!(reply, AttemptResult::Hidden(_)) {
            self.ledger.change_origin(&job.origin, self.now, |origin| {
                let delay = closure_delay(&queue.backoff, settlement.roll);
                origin.mark_trouble(&job.id, at, breaker_threshold, delay, asked.unwrap_or(0));
            });
        } else if self.ledger.origin(&job.origin).is_some() {
            let was_in_trouble = self.ledger.change_origin(&job.origin, self.now, |origin| {
                let was_in_trouble = origin.is_in_trouble();
                origin.mark_well(at, &retry_budget);
                was_in_trouble
            });
            if was_in_trouble && !self.recovered.contains(&job.origin) {
                self.recovered.push(job.origin.clone());
                self.has_recovered = true;
            }
        }
        if let AttemptResult::Status(response) = &settlement.result {
            if let Some(date) = response.date.as_deref().and_then(Millis::from_http_date) {
                self.told = Some(if clock::is_off(at, date) { date } else { at });
            }
            // `Retry-After` outranks it.
            if asked.is_none()
                && let Some(pause) = response.rate_limit.as_deref().and_then(rate_limit::pause)
            {
                self.ledger.change_origin(&job.origin, self.now, |origin| origin.rest(at.after(pause)));
            }
        }
    }

    /// Keeps the length of every wait and counts it from now, for the clock was set back.
    async fn forget_times(&mut self) -> Result<(), Error> {
        let (now, device) = (self.now, self.ledger.device);
        let names: Vec<_> = self.ledger.queues.iter().map(|queue| (queue.owner.clone(), queue.queue.clone())).collect();
        for origin in &mut self.ledger.origins {
            origin.forget_times(now);
        }
        for (owner, queue) in &names {
            let mut after = 0;
            loop {
                let scan = Scan::of(Index::State, vec![owner, queue, State::Pending.as_str()], PAGE).from(after);
                let page = self.tx.scan(&scan).await?;
                let Some(last) = page.last() else { break };
                after = last.seq + 1;
                for mut job in page {
                    if job.forget_times(now, device) {
                        self.tx.put_job(&job)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Decides which time tells what has expired; answers whether it must be asked for first.
    async fn judge_time(&mut self, cycle: &Cycle, owner: &str) -> Result<bool, Error> {
        if let Time::Is(time) = cycle.time {
            if clock::is_off(self.now, time) {
                self.wall = time;
            }
            self.told = Some(self.wall);
            return Ok(false);
        }
        if !clock::may_be_ahead(self.ledger, self.now) {
            return Ok(false);
        }
        if self.ledger.doubts >= clock::MOST_DOUBTS {
            self.told = Some(self.now);
            return Ok(false);
        }
        self.in_doubt = true;
        let aged = Scan::of(Index::Expiry, vec![owner, &cycle.queue], 1).upto(self.now.0);
        if cycle.takeover.is_none() || self.tx.scan(&aged).await?.is_empty() {
            return Ok(false);
        }
        if cycle.time == Time::Unknown {
            // Where the browser says that there is no network, nothing is claimed, and nobody need wonder.
            self.ledger.doubts += u32::from(cycle.claim > 0);
            return Ok(false);
        }
        Ok(true)
    }

    async fn deliver(&mut self, job: Job, settlement: &Settlement) -> Result<(), Error> {
        self.tx.delete_job(&job.id)?;
        self.leaving.body(self.tx, &job)?;
        self.ledger.leave(&job, job.state);
        if job.line {
            key_order::promote_next(self.tx, &job, job.state == State::Syncing, self.now).await?;
        }
        let outcome = Outcome {
            v: RECORD_VERSION,
            id: job.id,
            queue: job.queue,
            owner: job.owner,
            key: job.key,
            method: job.request.method,
            url: job.request.url,
            status: settlement.result.status(),
            attempts: job.attempts,
            queued_at: job.queued_at,
            delivered_at: settlement.at.min(self.now),
            response: match &settlement.result {
                AttemptResult::Status(response) => response.kept.clone(),
                _ => None,
            },
        };
        self.tx.put_outcome(&outcome)?;
        self.ledger.history += 1;
        self.settled.push(Settled::Delivered(Box::new(outcome)));
        Ok(())
    }

    /// Ends a job's automatic tries, and lets its successors go where the queue says so.
    async fn dead_letter(&mut self, mut job: Job, state: State, error: LastError) -> Result<(), Error> {
        let (from, in_line) = (job.state, job.line);
        job.dead_letter(state, error, self.settings.queue.on_failure);
        self.keep(job, from, in_line).await
    }

    /// Writes a job that stays, counts it, and promotes its successor if it left its line.
    async fn keep(&mut self, mut job: Job, from: State, was_in_line: bool) -> Result<(), Error> {
        if from == State::Syncing && job.line {
            key_order::yield_to_earlier(self.tx, &mut job, self.now).await?;
        }
        self.ledger.shift(&job, from);
        self.tx.put_job(&job)?;
        if was_in_line && !job.line {
            key_order::promote_next(self.tx, &job, from == State::Syncing, self.now).await?;
        }
        self.settled.push(Settled::Kept(Box::new(job)));
        Ok(())
    }

    async fn schedule(
        &mut self,
        mut job: Job,
        disposition: Disposition,
        settlement: &Settlement,
        error: LastError,
    ) -> Result<(), Error> {
        let (from, in_line) = (job.state, job.line);
        // A server that is back and refuses is the same trouble: whoever waited for it begins no new stampede.
        job.unreachable = job.unreachable.saturating_add(u32::from(disposition == Disposition::Unreachable));
        let mut delay = self.settings.queue.backoff.delay(job.failures(), job.last_delay, settlement.roll);
        job.last_delay = delay;
        let mut hold = job.hold_until;
        if let Some(least) = asked_to_wait(&settlement.result, settlement.at.min(self.now)) {
            // All who were told the same come back over half as long again, not at once.
            let spread = (least / 2).min(self.settings.queue.backoff.max);
            delay = least.saturating_add(delay.max(part(spread, settlement.roll)));
            hold = settlement.at.min(self.now).after(least);
        }
        // The clock may have been set back since the claim; from here on the wait is to be believed.
        job.last_tried_at = job.last_tried_at.min(Some(settlement.at.min(self.now)));
        job.schedule(settlement.at.min(self.now).after(delay), hold, error);
        self.keep(job, from, in_line).await
    }

    async fn release(&mut self, id: &JobId, holder: &str) -> Result<(), Error> {
        if let Some(mut job) = self.tx.job(id).await?
            && job.lease.as_ref().is_some_and(|lease| lease.holder == holder)
        {
            let from = job.state;
            job.release();
            key_order::yield_to_earlier(self.tx, &mut job, self.now).await?;
            self.ledger.shift(&job, from);
            self.tx.put_job(&job)?;
            self.released.push(job);
        }
        Ok(())
    }

    /// Takes back what dead drains left behind.
    async fn recover(&mut self, cycle: &Cycle, takeover: Takeover, owner: &str) -> Result<(), Error> {
        let counted = self.ledger.queue(&cycle.queue, owner).map_or(0, |queue| queue.counts.syncing);
        if counted == 0 {
            return Ok(());
        }
        let mut after = 0;
        loop {
            let scan = Scan::of(Index::State, vec![owner, &cycle.queue, State::Syncing.as_str()], PAGE).from(after);
            let page = self.tx.scan(&scan).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.seq + 1;
            for mut job in page {
                let theirs = job.lease.as_ref().is_none_or(|lease| lease.holder != cycle.holder);
                if theirs && (takeover.exclusive || job.lease_ends(self.now) <= self.now) {
                    let (from, in_line) = (job.state, job.line);
                    job.mark_interrupted(self.settings.queue.on_failure);
                    self.keep(job, from, in_line).await?;
                }
            }
        }
    }

    /// Moves to the dead letters what is older than it may be.
    async fn expire(&mut self, queue: &str, owner: &str) -> Result<(), Error> {
        if self.ledger.queue(queue, owner).is_none() {
            return Ok(());
        }
        loop {
            let scan = Scan::of(Index::Expiry, vec![owner, queue], PAGE).upto(self.wall.0);
            let page = self.tx.scan(&scan).await?;
            let full = page.len() == PAGE as usize;
            for job in page {
                self.dead_letter(job, State::Failed, expired()).await?;
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Has the browser clear away what rows that went have left in front of those that stayed.
    ///
    /// Chromium leaves the index entries of a row that was changed or deleted where they are. Who scans in order to
    /// write removes those that it meets; who only reads passes over them, each time: 5,000 delivered jobs made
    /// `list` five times as slow. Claiming sweeps its own indexes; these are scanned by nobody else who writes.
    async fn sweep(&mut self, queue: &str, owner: &str) -> Result<(), Error> {
        for state in [State::Pending, State::Syncing] {
            self.tx.scan(&Scan::of(Index::State, vec![owner, queue, state.as_str()], 1)).await?;
        }
        self.tx.scan(&Scan::of(Index::Expiry, vec![owner, queue], 1)).await?;
        Ok(())
    }

    async fn prune_history(&mut self) -> Result<(), Error> {
        let bounds = self.settings.history;
        if self.ledger.history <= u64::from(bounds.max) {
            // The oldest tells whether there is anything to do.
            let oldest = self.tx.oldest_outcomes(1).await?;
            if oldest.first().is_none_or(|oldest| self.in_doubt || self.wall.since(oldest.delivered_at) <= bounds.max_age) {
                return Ok(());
            }
        }
        let excess = self.ledger.history.saturating_sub(u64::from(bounds.max));
        for outcome in self.tx.oldest_outcomes(PAGE.max(u32::try_from(excess).unwrap_or(u32::MAX).min(4 * PAGE))).await? {
            let too_many = self.ledger.history > u64::from(bounds.max);
            if !too_many && (self.in_doubt || self.wall.since(outcome.delivered_at) <= bounds.max_age) {
                break;
            }
            self.tx.delete_outcome(&outcome.id)?;
            self.ledger.history = self.ledger.history.saturating_sub(1);
        }
        Ok(())
    }
}

/// Milliseconds that a readable reply, which came at `at`, asked to wait.
fn asked_to_wait(reply: &AttemptResult, at: Millis) -> Option<u64> {
    let AttemptResult::Status(response) = reply else { return None };
    retry_after::parse(response.retry_after.as_deref()?, response.date.as_deref(), at)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a part of a day in milliseconds"
)]
fn part(of: u64, roll: f64) -> u64 {
    (of as f64 * roll) as u64
}

fn expired() -> LastError {
    LastError {
        kind: ErrorKind::Expired,
        status: None,
        message: "not delivered within its maxAge; retry by hand to send it all the same".to_owned(),
    }
}
