//! Records the results of attempts: applies what [`super::retry`] decides, and notes what they say about their origins.

use super::{
    CycleRun, Settings,
    retry::{Next, decide},
};
use crate::{
    boxed::boxed,
    error::Error,
    health::{clock, origin::closure_delay},
    http::{rate_limit, reply::AttemptResult},
    id::JobId,
    queue::{
        batch::SentIn,
        binding,
        history::Outcome,
        job::{Job, RECORD_VERSION, RequestWork, State, Work},
        key_order,
        last_error::LastError,
    },
    store::Tx,
    time::Millis,
};

/// The result of one attempt, to be recorded.
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
    /// The batch that it was sent in. Its settlements follow one another, in the order of the batch.
    pub batch: Option<SentIn>,
}

/// What became of a settled job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Delivered; its trace.
    Delivered(Box<Outcome>),
    /// Still stored, in the state that the row says.
    Kept(Box<Job>),
    /// Another drain had settled it; nothing was changed.
    Late,
}

impl<T: Tx> CycleRun<'_, T> {
    /// Records the result of one attempt.
    pub(super) async fn settle(&mut self, settlement: &Settlement, job: Option<Job>, holder: &str) -> Result<(), Error> {
        let Some(mut job) = job else {
            self.settled.push(Settled::Late);
            return Ok(());
        };
        let config = self.settings.queue;
        // The clock may have been set back since the reply came.
        let at = settlement.at.min(self.now);
        let next = decide(&job, &settlement.result, config, at, settlement.roll);
        self.note_origin(&job, settlement, next);
        let ours = job.lease.as_ref().is_some_and(|lease| lease.holder == holder) && job.idempotency_key == settlement.key;
        if ours {
            job.attempts.made = job.attempts.made.saturating_add(u32::from(next.burns_attempt()));
        } else if next != Next::Delivered || job.state == State::Syncing || job.idempotency_key != settlement.key {
            // Another drain took the lease for dead. A delivery is the truth all the same, unless the
            // job has been edited since or is on its way again.
            self.settled.push(Settled::Late);
            return Ok(());
        }
        #[cfg(feature = "collections")]
        if job.record.is_some() {
            return boxed(self.settle_mutation(job, settlement, next)).await;
        }
        self.record(job, settlement, next).await
    }

    /// Does what was decided, and counts it.
    pub(super) async fn record(&mut self, mut job: Job, settlement: &Settlement, next: Next) -> Result<(), Error> {
        let (config, at) = (self.settings.queue, settlement.at.min(self.now));
        let (from, in_line) = (job.state, job.order.line);
        let error = LastError::of(&settlement.result, config);
        match next {
            Next::Delivered => return self.deliver(job, settlement).await,
            Next::Failed | Next::Exhausted => job.dead_letter(State::Failed, error, config.on_failure),
            Next::Conflict => job.dead_letter(State::Conflict, error, config.on_failure),
            Next::Blocked => job.dead_letter(State::Blocked, error, config.on_failure),
            Next::Retry(retry) => {
                job.attempts.unreachable = job.attempts.unreachable.saturating_add(u32::from(retry.unreachable));
                job.attempts.last_delay = retry.delay;
                // The clock may have been set back since the claim; from here on the wait is to be believed.
                job.attempts.last_tried_at = job.attempts.last_tried_at.min(Some(at));
                job.schedule(retry.at, retry.hold_until, error);
            }
        }
        self.keep(job, from, in_line).await
    }

    pub(super) async fn deliver(&mut self, job: Job, settlement: &Settlement) -> Result<(), Error> {
        self.tx.delete::<Job>(&job.id)?;
        self.leaving.body(self.tx, &job)?;
        self.ledger.leave(&job, job.state);
        if job.order.line {
            key_order::promote_next(self.tx, &job, job.state == State::Syncing, self.now).await?;
        }
        let body = binding::body_of(&settlement.result);
        let captured = binding::kept(&job, body, self.settings.config);
        if job.captures.is_some() {
            boxed(self.bind_dependents(&job, body)).await?;
        }
        // What was sent, with its values.
        let url = job.bind.as_ref().and_then(|_| binding::fill_head(&job).ok()).map(|head| head.url);
        let Work::Request(RequestWork { head, .. }) = job.work;
        let outcome = Outcome {
            v: RECORD_VERSION,
            id: job.id,
            queue: job.queue,
            owner: job.owner,
            key: job.order.key,
            method: head.method,
            url: url.unwrap_or(head.url),
            status: settlement.result.status(),
            attempts: job.attempts.made,
            queued_at: job.schedule.queued_at,
            delivered_at: settlement.at.min(self.now),
            capture: match &settlement.result {
                AttemptResult::Status(response) => response.capture.as_deref().cloned(),
                _ => None,
            },
            captured,
        };
        self.tx.put(&outcome)?;
        self.ledger.history += 1;
        self.settled.push(Settled::Delivered(Box::new(outcome)));
        Ok(())
    }

    /// Gives those that wait for a delivered job the values of its response.
    async fn bind_dependents(&mut self, job: &Job, body: Option<&str>) -> Result<(), Error> {
        for id in job.dependents() {
            let bound = boxed(binding::deliver(self.tx, &job.id, id, body, self.now, self.settings.config)).await?;
            let Some((dependent, from)) = bound else { continue };
            // Of one that has failed, who stood behind it may go.
            if dependent.queue != job.queue && !self.freed.contains(&dependent.queue) {
                self.freed.push(dependent.queue.clone());
            }
            if dependent.state != from {
                // In its line until now: it was pending.
                let in_line = dependent.order.key.is_some();
                self.keep(dependent, from, in_line).await?;
                continue;
            }
            self.tx.put(&dependent)?;
        }
        Ok(())
    }

    /// Ends a job's automatic tries, and lets its successors go where the queue says so.
    pub(super) async fn dead_letter(&mut self, mut job: Job, state: State, error: LastError) -> Result<(), Error> {
        let (from, in_line) = (job.state, job.order.line);
        job.dead_letter(state, error, self.settings.queue.on_failure);
        self.keep(job, from, in_line).await
    }

    /// Writes a job that stays, counts it, and promotes its successor if it left its line.
    pub(super) async fn keep(&mut self, mut job: Job, from: State, was_in_line: bool) -> Result<(), Error> {
        if from == State::Syncing && job.order.line {
            key_order::yield_to_earlier(self.tx, &mut job, self.now).await?;
        }
        self.ledger.shift(&job, from);
        self.tx.put(&job)?;
        if was_in_line && !job.order.line {
            key_order::promote_next(self.tx, &job, from == State::Syncing, self.now).await?;
        }
        self.settled.push(Settled::Kept(Box::new(job)));
        Ok(())
    }

    /// Gives back a claimed job that was not sent.
    pub(super) async fn release(&mut self, id: &JobId, holder: &str) -> Result<(), Error> {
        if let Some(mut job) = self.tx.get::<Job>(id).await?
            && job.lease.as_ref().is_some_and(|lease| lease.holder == holder)
        {
            let from = job.state;
            job.release(self.now);
            key_order::yield_to_earlier(self.tx, &mut job, self.now).await?;
            self.ledger.shift(&job, from);
            self.tx.put(&job)?;
            self.released.push(job);
        }
        Ok(())
    }

    /// Notes what the reply says about its origin.
    pub(super) fn note_origin(&mut self, job: &Job, settlement: &Settlement, next: Next) {
        let reply = &settlement.result;
        self.reached_server |= reply.reached_server() && next.burns_attempt();
        if matches!(reply, AttemptResult::Unsendable(_) | AttemptResult::Withheld(_)) {
            return;
        }
        let Settings { queue, breaker_threshold, retry_budget, .. } = self.settings;
        // The clock may have been set back since the reply came.
        let at = settlement.at.min(self.now);
        let asked = reply.retry_after(at);
        // A server whose reply is hidden from us fares well enough to send one.
        if next.is_transient() && !matches!(reply, AttemptResult::Hidden(_)) {
            self.ledger.change_origin(job.origin(), self.now, |origin| {
                let delay = closure_delay(&queue.backoff, settlement.roll);
                origin.mark_trouble(&job.id, at, breaker_threshold, delay, asked.unwrap_or(0));
            });
        } else if self.ledger.origin(job.origin()).is_some() {
            let was_in_trouble = self.ledger.change_origin(job.origin(), self.now, |origin| {
                let was_in_trouble = origin.is_in_trouble();
                origin.mark_well(at, &retry_budget);
                was_in_trouble
            });
            if was_in_trouble && !self.recovered.iter().any(|origin| origin == job.origin()) {
                self.recovered.push(job.origin().to_owned());
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
                self.ledger.change_origin(job.origin(), self.now, |origin| origin.rest(at.after(pause)));
            }
        }
    }
}
