//! Reads for the page: one job, a page of jobs, when to wake next. By index, never a full scan.

use crate::{
    error::Error,
    health::{clock, origin::OriginHealth},
    id::JobId,
    metrics::Metrics,
    protocol::view::JobView,
    queue::{config::WorkerConfig, cycle::Ripen, job::State, key_order, sort::first_by},
    store::{
        HELD, Index, Scan, Tx,
        ledger::{Ledger, QueueLedger},
        read_ledger,
    },
    time::Millis,
};

/// The longest page of [`list`].
const LONGEST_PAGE: u32 = 1_000;

/// The filter of `list` and `clear`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this queue.
    pub queue: Option<String>,
    /// Only this state.
    pub state: Option<State>,
    /// Jobs at most; 100 when absent, 1,000 at most.
    pub limit: Option<u32>,
    /// Only jobs queued after this one.
    pub after: Option<JobId>,
}

impl Filter {
    /// Whether jobs of `queue` match.
    #[must_use]
    pub fn takes_queue(&self, queue: &str) -> bool {
        self.queue.as_deref().is_none_or(|only| only == queue)
    }

    /// Whether jobs in `state` match.
    #[must_use]
    pub fn takes_state(&self, state: State) -> bool {
        self.state.is_none_or(|only| only == state)
    }
}

/// One job of the current owner, or the trace of a delivered one.
///
/// # Errors
/// What the transaction answers.
pub async fn get<T: Tx>(tx: &T, id: &JobId, config: &WorkerConfig) -> Result<Option<JobView>, Error> {
    let ledger = read_ledger(tx).await?;
    if let Some(job) = tx.job(id).await? {
        if job.owner != ledger.owner {
            return Ok(None);
        }
        let waits_for = key_order::waits_for(tx, &job).await?;
        return Ok(Some(JobView::of(job, waits_for.map(|job| job.id), &ledger, config)));
    }
    let outcome = tx.outcome(id).await?.filter(|outcome| outcome.owner == ledger.owner);
    Ok(outcome.map(JobView::delivered))
}

/// A page of the current owner's jobs, in the order they were queued.
///
/// # Errors
/// `invalid-request` when `after` names no stored job; what the transaction answers.
pub async fn list<T: Tx>(tx: &T, filter: &Filter, config: &WorkerConfig) -> Result<Vec<JobView>, Error> {
    let ledger = read_ledger(tx).await?;
    let limit = filter.limit.unwrap_or(100).min(LONGEST_PAGE);
    let from = match &filter.after {
        None => 0,
        Some(id) => match tx.job(id).await? {
            Some(job) => job.seq + 1,
            None => return Err(Error::invalid_request("list: `after` names no stored job; begin again without it")),
        },
    };
    let mut jobs = Vec::new();
    for queue in ledger.own_queues().filter(|queue| filter.takes_queue(&queue.queue)) {
        let mut counts = queue.counts;
        for state in State::ALL {
            if filter.takes_state(state) && *counts.of(state) > 0 {
                let texts = vec![queue.owner.as_str(), queue.queue.as_str(), state.as_str()];
                jobs.extend(tx.scan(&Scan::of(Index::State, texts, limit).from(from)).await?);
            }
        }
    }
    let mut views = Vec::with_capacity(jobs.len().min(limit as usize));
    for job in first_by(jobs, limit as usize, |job| (job.seq, 0)) {
        let waits_for = key_order::waits_for(tx, &job).await?;
        views.push(JobView::of(job, waits_for.map(|job| job.id), &ledger, config));
    }
    Ok(views)
}

/// When something of the current owner's may be sent next; `None` when nothing waits for a time.
///
/// # Errors
/// What the transaction answers.
pub async fn next_wake<T: Tx>(tx: &T, ledger: &Ledger, now: Millis) -> Result<Option<Millis>, Error> {
    let mut next: Option<Millis> = None;
    for queue in ledger.own_queues() {
        let at = next_of(tx, ledger, queue, now).await?;
        next = [next, at].into_iter().flatten().min();
    }
    Ok(next)
}

/// The current owner's queues in which a drain would find something to do at `now`.
///
/// # Errors
/// What the transaction answers.
pub async fn due<T: Tx>(tx: &T, ledger: &Ledger, now: Millis, ripen: Ripen) -> Result<Vec<String>, Error> {
    let mut queues = Vec::new();
    for queue in ledger.own_queues() {
        let hopeful = ripen > Ripen::Nothing && queue.counts.pending > 0;
        if hopeful || next_of(tx, ledger, queue, now).await?.is_some_and(|at| at <= now) {
            queues.push(queue.queue.clone());
        }
    }
    Ok(queues)
}

async fn next_of<T: Tx>(tx: &T, ledger: &Ledger, queue: &QueueLedger, now: Millis) -> Result<Option<Millis>, Error> {
    let set_back = clock::was_set_back(ledger, now);
    let mut next: Option<Millis> = None;
    let mut sooner = |at: Millis| next = Some(next.map_or(at, |next| next.min(at)));
    if queue.counts.syncing > 0 {
        // Whoever holds these may be dead.
        let leased = Scan::of(Index::State, vec![&queue.owner, &queue.queue, State::Syncing.as_str()], LONGEST_PAGE);
        tx.scan(&leased).await?.iter().for_each(|job| sooner(job.lease_ends(now).max(now)));
    }
    if queue.counts.pending == 0 || ledger.is_paused(&queue.queue) {
        return Ok(next);
    }
    if let Some(at) = first_due(tx, &queue.owner, &queue.queue).await? {
        sooner(if set_back { now } else { at });
    }
    for origin in &queue.origins {
        let ready = tx.scan(&Scan::of(Index::Ready, vec![&queue.owner, &queue.queue, origin], 1)).await?;
        if !ready.is_empty() {
            let until = ledger.origin(origin).and_then(OriginHealth::opens_at).unwrap_or(now);
            sooner(if set_back { now } else { until.max(now) });
        }
    }
    Ok(next)
}

/// When the first of those that wait for a time may go.
pub(crate) async fn first_due<T: Tx>(tx: &T, owner: &str, queue: &str) -> Result<Option<Millis>, Error> {
    let mut first = None;
    for texts in [vec![owner, queue], vec![owner, queue, HELD]] {
        let due = tx.scan(&Scan::of(Index::Due, texts, 1)).await?;
        first = due.first().map(|job| job.next_attempt_at).into_iter().chain(first).min();
    }
    Ok(first)
}

/// The figures of the current owner.
///
/// # Errors
/// What the transaction answers.
pub async fn metrics<T: Tx>(tx: &T, now: Millis) -> Result<Metrics, Error> {
    let ledger = read_ledger(tx).await?;
    let history = tx.oldest_outcomes(u32::MAX).await?;
    let next = next_wake(tx, &ledger, now).await?;
    Ok(Metrics::of(&ledger, &history, next, now))
}

crate::record!(strict Filter {
    queue: "queue",
    state: "state",
    limit: "limit",
    after: "after",
});
