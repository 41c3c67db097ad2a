//! One turn of a drain: outcomes in, claims out, in a single transaction.
//!
//! A turn settles what was answered since the last one and claims what is to be sent next. That both
//! stand in one transaction is what makes a drain fast (one commit for many outcomes) and keeps the
//! line of a key whole (the successor is claimed by the commit that ends its predecessor, or later).

use super::{Index, Outcome, Scan, Tx, line, load, save};
use crate::{
    classify::{ErrorKind, LastError, Meaning, Reply, meaning},
    config::{HistoryConfig, QueueConfig},
    error::Error,
    id::JobId,
    job::{Job, Lease, Place, RECORD_VERSION, State},
    ledger::Ledger,
    order::first_by,
    retry_after,
    time::Millis,
};

/// Rows moved at once where there may be many.
const PAGE: u32 = 128;

/// Whose waiting a wake cuts short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ripen {
    /// Nobody's.
    #[default]
    Nothing,
    /// Of those that found nobody: the browser says the network is there.
    Unreachable,
    /// Of all but those that a server told to wait: a person asked.
    All,
}

/// What the first turn of a drain does besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Nobody else can be draining this queue (a Web Lock is held), so every lease but ours is dead.
    pub exclusive: bool,
}

/// The reply to one job, to be recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// The job.
    pub id: JobId,
    /// The idempotency key that it was sent with: which payload the reply is about.
    pub key: String,
    /// What came back.
    pub reply: Reply,
    /// When it came back.
    pub at: Millis,
    /// A random number in `[0, 1)`, for jitter.
    pub roll: f64,
}

/// What a turn is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// The queue.
    pub queue: String,
    /// This drain's name, unique to it.
    pub holder: String,
    /// Set in a drain's first turn.
    pub begin: Option<Begin>,
    /// Whose waiting is over.
    pub ripen: Ripen,
    /// Replies to record.
    pub settle: Vec<Settlement>,
    /// Claimed jobs that were not sent and go back.
    pub release: Vec<JobId>,
    /// How many jobs to claim at most.
    pub claim: u32,
    /// Jobs in flight per origin, the claimed and not yet sent included.
    pub in_flight: Vec<(String, usize)>,
}

/// What became of a settled job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Delivered; its trace.
    Delivered(Outcome),
    /// Still stored, in the state that the row says.
    Kept(Box<Job>),
    /// Somebody else had decided its fate meanwhile; nothing was changed.
    Late,
}

/// What a turn did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turned {
    /// Jobs claimed, in the order to send them.
    pub claimed: Vec<Job>,
    /// What became of the settled, expired and recovered ones.
    pub fates: Vec<Fate>,
    /// When the queue's next job may be claimed; `None` when none waits for a time.
    pub next_due: Option<Millis>,
    /// The ledger as written.
    pub ledger: Ledger,
}

/// Settings that a turn needs.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Of the queue.
    pub queue: &'a QueueConfig,
    /// Of the history.
    pub history: HistoryConfig,
    /// See [`crate::config::WorkerConfig::breaker_threshold`].
    pub breaker_threshold: u32,
}

/// Carries out one turn.
///
/// # Errors
/// What the transaction's reads and writes answer; then nothing was changed.
pub async fn turn<T: Tx>(tx: &T, now: Millis, turn: &Turn, settings: Settings<'_>) -> Result<Turned, Error> {
    let mut ledger = load(tx).await?;
    let before = ledger.clone();
    let owner = ledger.owner.clone();
    let mut work = Work { tx, now, settings, ledger: &mut ledger, fates: Vec::new() };
    for settlement in &turn.settle {
        work.settle(settlement, &turn.holder).await?;
    }
    for id in &turn.release {
        work.release(id, &turn.holder).await?;
    }
    if let Some(begin) = turn.begin {
        work.recover(turn, begin, &owner).await?;
        work.expire(&turn.queue, &owner).await?;
        work.prune_history().await?;
    }
    let mut claimed = Vec::new();
    let mut next_due = None;
    if !work.ledger.is_paused(&turn.queue) {
        if turn.begin.is_some() || turn.ripen > Ripen::Nothing {
            work.ripen(turn, &owner).await?;
        }
        claimed = work.claim(turn, &owner).await?;
        next_due = work.next_due(turn, &owner, &claimed).await?;
    }
    let fates = work.fates;
    if turn.begin.is_some() && !claimed.is_empty() {
        ledger.sync_count += 1;
        ledger.error = None;
    }
    if !turn.settle.is_empty() {
        ledger.last_sync_at = Some(now);
        let error = fates.iter().rev().find_map(|fate| match fate {
            Fate::Kept(job) => job.error.clone(),
            Fate::Delivered(_) | Fate::Late => None,
        });
        ledger.error = error.or(ledger.error);
    }
    if ledger != before || tx.quarantined() > 0 {
        save(tx, &mut ledger).await?;
    }
    let pending = ledger.queue(&turn.queue, &ledger.owner).is_some_and(|queue| queue.counts.pending > 0);
    if tx.quarantined() > 0 && pending && !ledger.is_paused(&turn.queue) {
        // Rows that were put aside may have set others free, too late for this claim.
        next_due = Some(now);
    }
    Ok(Turned { claimed, fates, next_due, ledger })
}

struct Work<'a, T> {
    tx: &'a T,
    now: Millis,
    settings: Settings<'a>,
    ledger: &'a mut Ledger,
    fates: Vec<Fate>,
}

impl<T: Tx> Work<'_, T> {
    async fn settle(&mut self, settlement: &Settlement, holder: &str) -> Result<(), Error> {
        let Some(mut job) = self.tx.job(&settlement.id).await? else {
            self.fates.push(Fate::Late);
            return Ok(());
        };
        let config = self.settings.queue;
        let meaning = meaning(&job.request.method, &settlement.reply, &config.statuses);
        self.note_origin(&job, settlement);
        let ours = job.lease.as_ref().is_some_and(|lease| lease.holder == holder) && job.idempotency_key == settlement.key;
        if !ours {
            // Another drain took the lease for dead. A delivery is the truth all the same, unless the
            // job has been edited since or is on its way again.
            if meaning == Meaning::Delivered && job.state != State::Syncing && job.idempotency_key == settlement.key {
                return self.deliver(job, settlement).await;
            }
            self.fates.push(Fate::Late);
            return Ok(());
        }
        if meaning != Meaning::Unreachable {
            job.attempts = job.attempts.saturating_add(1);
            job.unreachable = 0;
        }
        let error = settlement.reply.last_error();
        match meaning {
            Meaning::Delivered => self.deliver(job, settlement).await,
            Meaning::Failed => self.bury(job, State::Failed, error).await,
            Meaning::Conflict => self.bury(job, State::Conflict, error).await,
            Meaning::Blocked => self.bury(job, State::Blocked, error).await,
            Meaning::Retry if job.attempts >= job.max_attempts.unwrap_or(config.max_attempts) => {
                self.bury(job, State::Failed, error).await
            }
            Meaning::Retry | Meaning::Unreachable => self.schedule(job, meaning, settlement, error).await,
        }
    }

    fn note_origin(&mut self, job: &Job, settlement: &Settlement) {
        let (config, threshold) = (self.settings.queue, self.settings.breaker_threshold);
        match &settlement.reply {
            Reply::Status(_) | Reply::Opaque => {
                if self.ledger.origin(&job.origin).is_some() {
                    self.ledger.change_origin(&job.origin, crate::origin::OriginHealth::mark_reached);
                }
            }
            Reply::Unreachable => self.ledger.change_origin(&job.origin, |origin| {
                origin.mark_unreached(&job.id, settlement.at, threshold, &config.backoff, settlement.roll);
            }),
            Reply::TimedOut | Reply::Unsendable(_) => {}
        }
    }

    async fn deliver(&mut self, job: Job, settlement: &Settlement) -> Result<(), Error> {
        self.tx.delete_job(&job.id)?;
        if job.size.is_some() {
            self.tx.delete_body(&job.id)?;
        }
        self.ledger.leave(&job, job.state);
        if job.line {
            line::promote_next(self.tx, &job, job.state == State::Syncing, self.now).await?;
        }
        let outcome = Outcome {
            v: RECORD_VERSION,
            id: job.id,
            queue: job.queue,
            owner: job.owner,
            key: job.key,
            method: job.request.method,
            url: job.request.url,
            status: settlement.reply.status(),
            attempts: job.attempts,
            queued_at: job.queued_at,
            delivered_at: settlement.at,
        };
        self.tx.put_outcome(&outcome)?;
        self.ledger.history += 1;
        self.fates.push(Fate::Delivered(outcome));
        Ok(())
    }

    /// Ends a job's automatic tries, and lets its successors go where the queue says so.
    async fn bury(&mut self, mut job: Job, state: State, error: LastError) -> Result<(), Error> {
        let (from, in_line) = (job.state, job.line);
        job.dead_letter(state, error, self.settings.queue.on_failure);
        self.keep(job, from, in_line).await
    }

    /// Writes a job that stays, counts it, and promotes its successor if it left its line.
    async fn keep(&mut self, mut job: Job, from: State, was_in_line: bool) -> Result<(), Error> {
        if from == State::Syncing && job.line {
            line::yield_to_earlier(self.tx, &mut job, self.now).await?;
        }
        self.ledger.shift(&job, from);
        self.tx.put_job(&job)?;
        if was_in_line && !job.line {
            line::promote_next(self.tx, &job, from == State::Syncing, self.now).await?;
        }
        self.fates.push(Fate::Kept(Box::new(job)));
        Ok(())
    }

    async fn schedule(&mut self, mut job: Job, meaning: Meaning, settlement: &Settlement, error: LastError) -> Result<(), Error> {
        let (from, in_line) = (job.state, job.line);
        job.unreachable = if meaning == Meaning::Unreachable { job.unreachable.saturating_add(1) } else { 0 };
        let mut delay = self.settings.queue.backoff.delay(job.failures(), job.last_delay, settlement.roll);
        job.last_delay = delay;
        let mut hold = job.hold_until;
        if let Reply::Status(response) = &settlement.reply
            && let Some(text) = &response.retry_after
            && let Some(least) = retry_after::parse(text, response.date.as_deref())
        {
            delay = least.saturating_add(delay);
            hold = settlement.at.after(least);
        }
        // The clock may have been set back since the claim; from here on the wait is to be believed.
        job.last_tried_at = job.last_tried_at.min(Some(settlement.at));
        job.schedule(settlement.at.after(delay), hold, error);
        self.keep(job, from, in_line).await
    }

    async fn release(&mut self, id: &JobId, holder: &str) -> Result<(), Error> {
        if let Some(mut job) = self.tx.job(id).await?
            && job.lease.as_ref().is_some_and(|lease| lease.holder == holder)
        {
            let from = job.state;
            job.release();
            line::yield_to_earlier(self.tx, &mut job, self.now).await?;
            self.ledger.shift(&job, from);
            self.tx.put_job(&job)?;
        }
        Ok(())
    }

    /// Takes back what dead drains left behind.
    async fn recover(&mut self, turn: &Turn, begin: Begin, owner: &str) -> Result<(), Error> {
        let counted = self.ledger.queue(&turn.queue, owner).map_or(0, |queue| queue.counts.syncing);
        if counted == 0 {
            return Ok(());
        }
        let mut after = 0;
        loop {
            let scan = Scan::of(Index::State, vec![owner, &turn.queue, State::Syncing.as_str()], PAGE).from(after);
            let page = self.tx.scan(&scan).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.seq + 1;
            for mut job in page {
                let theirs = job.lease.as_ref().is_none_or(|lease| lease.holder != turn.holder);
                if theirs && (begin.exclusive || job.lease_ends(self.now) <= self.now) {
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
            let scan = Scan::of(Index::Expiry, vec![owner, queue], PAGE).upto(self.now.0);
            let page = self.tx.scan(&scan).await?;
            let full = page.len() == PAGE as usize;
            for job in page {
                self.bury(job, State::Failed, expired()).await?;
            }
            if !full {
                return Ok(());
            }
        }
    }

    async fn prune_history(&mut self) -> Result<(), Error> {
        let bounds = self.settings.history;
        let excess = self.ledger.history.saturating_sub(u64::from(bounds.max));
        for outcome in self.tx.oldest_outcomes(PAGE.max(u32::try_from(excess).unwrap_or(u32::MAX).min(4 * PAGE))).await? {
            let too_many = self.ledger.history > u64::from(bounds.max);
            if !too_many && self.now.since(outcome.delivered_at) <= bounds.max_age {
                break;
            }
            self.tx.delete_outcome(&outcome.id)?;
            self.ledger.history = self.ledger.history.saturating_sub(1);
        }
        Ok(())
    }

    /// Cuts waits short, and undoes waits that only a clock set back can explain.
    async fn ripen(&mut self, turn: &Turn, owner: &str) -> Result<(), Error> {
        let (now, longest) = (self.now, self.settings.queue.backoff.max.saturating_add(retry_after::LONGEST));
        let origins = self.ledger.queue(&turn.queue, owner).map(|queue| queue.origins.clone()).unwrap_or_default();
        for origin in origins {
            if self.ledger.origin(&origin).is_some() {
                self.ledger.change_origin(&origin, |health| {
                    health.forget_impossible_waits(now, longest);
                    if turn.ripen > Ripen::Nothing {
                        health.ripen(now);
                    }
                });
            }
        }
        let from = if turn.ripen == Ripen::Nothing { now.after(retry_after::LONGEST) } else { now };
        let mut after = from.0.saturating_add(1);
        loop {
            let scan = Scan::of(Index::Due, vec![owner, &turn.queue], PAGE).from(after);
            let page = self.tx.scan(&scan).await?;
            let Some(last) = page.last() else { return Ok(()) };
            // Rows with equal times beyond the page are passed over: they ripen at their own time.
            after = last.next_attempt_at.0 + 1;
            for mut job in page {
                let found_nobody = job.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Network);
                let wanted = match turn.ripen {
                    Ripen::Nothing => false,
                    Ripen::Unreachable => found_nobody,
                    Ripen::All => true,
                };
                if (wanted && job.hold_until <= now) || job.waits_for_a_lost_clock(now) {
                    job.next_attempt_at = now;
                    job.hold_until = job.hold_until.min(now);
                    job.place = Place::Ready;
                    self.tx.put_job(&job)?;
                }
            }
        }
    }

    async fn claim(&mut self, turn: &Turn, owner: &str) -> Result<Vec<Job>, Error> {
        let mut claimed: Vec<Job> = Vec::new();
        let want = turn.claim as usize;
        if want == 0 || self.ledger.queue(&turn.queue, owner).is_none() {
            return Ok(claimed);
        }
        self.open_due(&turn.queue, owner).await?;
        while claimed.len() < want {
            let room = want - claimed.len();
            let candidates = self.candidates(turn, owner, room, &claimed).await?;
            if candidates.is_empty() {
                break;
            }
            for mut job in first_by(candidates, room, |job| (job.rank, job.seq)) {
                if job.expires_at <= self.now {
                    self.bury(job, State::Failed, expired()).await?;
                    continue;
                }
                job.claim(
                    self.now,
                    Lease {
                        holder: turn.holder.clone(),
                        until: self.now.after(self.settings.queue.send_limit(job.size).saturating_mul(2)),
                    },
                );
                self.ledger.shift(&job, State::Pending);
                self.tx.put_job(&job)?;
                claimed.push(job);
            }
        }
        Ok(claimed)
    }

    /// Makes `ready` what was `due` and whose time has come.
    async fn open_due(&mut self, queue: &str, owner: &str) -> Result<(), Error> {
        loop {
            let page = self.tx.scan(&Scan::of(Index::Due, vec![owner, queue], PAGE).upto(self.now.0)).await?;
            let full = page.len() == PAGE as usize;
            for mut job in page {
                job.place = Place::Ready;
                self.tx.put_job(&job)?;
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// The best of each origin's lane, as many as that origin permits.
    async fn candidates(&self, turn: &Turn, owner: &str, want: usize, claimed: &[Job]) -> Result<Vec<Job>, Error> {
        let mut candidates = Vec::new();
        let Some(queue) = self.ledger.queue(&turn.queue, owner) else { return Ok(candidates) };
        for origin in &queue.origins {
            let permits = self.permits(turn, origin, claimed);
            let limit = u32::try_from(want.min(permits)).unwrap_or(u32::MAX);
            if limit > 0 {
                candidates.extend(self.tx.scan(&Scan::of(Index::Ready, vec![owner, &turn.queue, origin], limit)).await?);
            }
        }
        Ok(candidates)
    }

    fn permits(&self, turn: &Turn, origin: &str, claimed: &[Job]) -> usize {
        let in_flight = turn.in_flight.iter().filter(|(name, _)| name == origin).map(|(_, count)| *count).sum::<usize>()
            + claimed.iter().filter(|job| job.origin == origin).count();
        self.ledger.origin(origin).map_or(usize::MAX, |health| health.permits(self.now, in_flight))
    }

    /// When it is worth claiming again, as far as only time decides it.
    async fn next_due(&self, turn: &Turn, owner: &str, claimed: &[Job]) -> Result<Option<Millis>, Error> {
        let Some(queue) = self.ledger.queue(&turn.queue, owner) else { return Ok(None) };
        if queue.counts.pending == 0 {
            return Ok(None);
        }
        let due = self.tx.scan(&Scan::of(Index::Due, vec![owner, &turn.queue], 1)).await?;
        let mut next = due.first().map(|job| job.next_attempt_at);
        for origin in &queue.origins {
            let closed_until = self.ledger.origin(origin).and_then(|health| health.closed_until);
            if let Some(until) = closed_until
                && self.permits(turn, origin, claimed) == 0
                && until > self.now
                && !self.tx.scan(&Scan::of(Index::Ready, vec![owner, &turn.queue, origin], 1)).await?.is_empty()
            {
                next = Some(next.map_or(until, |next| next.min(until)));
            }
        }
        Ok(next)
    }
}

fn expired() -> LastError {
    LastError {
        kind: ErrorKind::Expired,
        status: None,
        message: "not delivered within its maxAge; retry by hand to send it all the same".to_owned(),
    }
}
