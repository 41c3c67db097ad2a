//! When something may be sent next, as the store tells it.

use super::{network::Permit, wakes::SkipBackoff};
use crate::{
    error::Error,
    health::{clock, origin::OriginHealth},
    queue::job::State,
    store::{
        HELD, Index, Scan, Tx,
        ledger::{Ledger, QueueLedger},
    },
    time::Millis,
};

/// Jobs of a lane that are looked at for one that a restricted network lets go.
const MOST_LOOKED_AT: u32 = 128;

/// Leases of one queue that are looked at; a queue has fewer.
const MOST_LEASES: u32 = 1_000;

/// When something of the current owner's may be sent next over a network that permits this; `None` when nothing waits for a time.
///
/// # Errors
/// What the transaction returns.
pub async fn next_wake<T: Tx>(tx: &T, ledger: &Ledger, now: Millis, permit: Permit) -> Result<Option<Millis>, Error> {
    let mut next: Option<Millis> = None;
    for queue in ledger.own_queues() {
        let at = next_of(tx, ledger, queue, now, permit).await?;
        next = [next, at].into_iter().flatten().min();
    }
    Ok(next)
}

/// The current owner's queues in which a drain would find something to do at `now`.
///
/// # Errors
/// What the transaction returns.
pub async fn due<T: Tx>(tx: &T, ledger: &Ledger, now: Millis, skip: SkipBackoff) -> Result<Vec<String>, Error> {
    let mut queues = Vec::new();
    for queue in ledger.own_queues() {
        let skips = skip > SkipBackoff::None && queue.counts.pending > 0;
        if skips || next_of(tx, ledger, queue, now, Permit::All).await?.is_some_and(|at| at <= now) {
            queues.push(queue.queue.clone());
        }
    }
    Ok(queues)
}

async fn next_of<T: Tx>(
    tx: &T,
    ledger: &Ledger,
    queue: &QueueLedger,
    now: Millis,
    permit: Permit,
) -> Result<Option<Millis>, Error> {
    let set_back = clock::was_set_back(ledger, now);
    let mut next: Option<Millis> = None;
    let mut sooner = |at: Millis| next = Some(next.map_or(at, |next| next.min(at)));
    if queue.counts.syncing > 0 {
        // Whoever holds these may be dead.
        let leased = Scan::of(Index::State, vec![&queue.owner, &queue.queue, State::Syncing.as_str()], MOST_LEASES);
        tx.scan(&leased).await?.iter().for_each(|job| sooner(job.lease_ends(now).max(now)));
    }
    if queue.counts.pending == 0 || ledger.is_paused(&queue.queue) || matches!(permit, Permit::Nothing(_)) {
        return Ok(next);
    }
    if permit != Permit::All {
        // Those that may go, as far as they are found among the first; a page looks every now and then all the same.
        for index in [Index::Ready, Index::Due] {
            let lanes: Vec<Vec<&str>> = match index {
                Index::Ready => queue.origins.iter().map(|origin| vec![&*queue.owner, &*queue.queue, origin]).collect(),
                _ => vec![vec![&queue.owner, &queue.queue], vec![&queue.owner, &queue.queue, HELD]],
            };
            for texts in lanes {
                let page = tx.scan(&Scan::of(index, texts, MOST_LOOKED_AT)).await?;
                page.iter().filter(|job| permit.allows(job)).for_each(|job| sooner(job.schedule.next_attempt_at.max(now)));
            }
        }
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
        first = due.first().map(|job| job.schedule.next_attempt_at).into_iter().chain(first).min();
    }
    Ok(first)
}
