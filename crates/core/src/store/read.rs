//! Reads for the page: one job, a page of jobs. By index, never a full scan.

use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    id::JobId,
    protocol::view::JobView,
    queue::{
        config::WorkerConfig,
        history::Outcome,
        job::{Job, State},
        key_order,
        sort::first_by,
    },
    store::{Index, Scan, Tx, read_ledger},
};

/// The longest page of [`list`].
const LONGEST_PAGE: u32 = 1_000;

/// The filter of `list` and `clear`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!Filter")]
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
/// What the transaction returns.
pub async fn get<T: Tx>(tx: &T, id: &JobId, config: &WorkerConfig) -> Result<Option<JobView>, Error> {
    let ledger = read_ledger(tx).await?;
    if let Some(job) = tx.get::<Job>(id).await? {
        if job.owner != ledger.owner {
            return Ok(None);
        }
        let waits_for = key_order::waits_for(tx, &job).await?;
        return Ok(Some(JobView::of(job, waits_for.map(|job| job.id), &ledger, config)));
    }
    let outcome = tx.get::<Outcome>(id).await?.filter(|outcome| outcome.owner == ledger.owner);
    Ok(outcome.map(JobView::delivered))
}

/// A page of the current owner's jobs, in the order they were queued.
///
/// # Errors
/// `invalid-request` when `after` names no stored job; what the transaction returns.
pub async fn list<T: Tx>(tx: &T, filter: &Filter, config: &WorkerConfig) -> Result<Vec<JobView>, Error> {
    let ledger = read_ledger(tx).await?;
    let limit = filter.limit.unwrap_or(100).min(LONGEST_PAGE);
    let from = match &filter.after {
        None => 0,
        Some(id) => match tx.get::<Job>(id).await? {
            Some(job) => job.order.seq + 1,
            None => return Err(Error::invalid_request("list: `after` names no stored job; start again without it")),
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
    for job in first_by(jobs, limit as usize, |job| (job.order.seq, 0)) {
        let waits_for = key_order::waits_for(tx, &job).await?;
        views.push(JobView::of(job, waits_for.map(|job| job.id), &ledger, config));
    }
    Ok(views)
}

