//! Rebuilds what can be computed from the rows: counts, places, the next sequence number.
//!
//! Runs by itself when a row had to go to quarantine or the ledger cannot be read: the only time
//! that all rows are looked at.

use serde::{Deserialize, Serialize};

use crate::{
    boxed::boxed,
    error::Error,
    queue::{
        binding,
        config::WorkerConfig,
        job::{Job, Place, State},
        key_order,
    },
    store::{
        Tx, bodies,
        ledger::{Ledger, QueueLedger},
        load, oldest_outcomes, save,
    },
    time::Millis,
};

/// Rows looked at in one page.
const PAGE: u32 = 256;

/// Recounts everything and frees lines whose head is gone; returns the ledger, not yet written.
///
/// `old` gives what rows do not tell: owner, pauses, history, what is known of origins.
///
/// # Errors
/// What the transaction returns.
pub async fn rebuild<T: Tx>(tx: &T, old: Ledger) -> Result<Ledger, Error> {
    look_at_all(tx, old, true).await
}

/// Recounts everything and writes nothing: for a transaction that only reads.
///
/// # Errors
/// What the transaction returns.
pub async fn count<T: Tx>(tx: &T, old: Ledger) -> Result<Ledger, Error> {
    look_at_all(tx, old, false).await
}

/// What a repair found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Jobs that are stored, of all owners.
    pub jobs: u64,
    /// Rows that did not parse and were put aside by this repair.
    pub quarantined: u32,
    /// The counters did not agree with the rows, and do now.
    pub recounted: bool,
}

/// Looks at every row: puts aside what does not parse, counts anew, frees lines whose head is gone, deletes records of
/// bodies that nobody needs.
///
/// Dead leases are the next drain's to take back.
///
/// # Errors
/// What the transaction returns; then nothing was changed.
pub async fn repair<T: Tx>(tx: &T) -> Result<Report, Error> {
    let before = load(tx).await?;
    let mut after = rebuild(tx, before.clone()).await?;
    // No two of those that were counted anew are of one queue and owner.
    let agreed = before.queues.len() == after.queues.len()
        && after.queues.iter().all(|queue| {
            before.queues.iter().any(|old| (&old.queue, &old.owner, old.counts) == (&queue.queue, &queue.owner, queue.counts))
        });
    let report = Report {
        jobs: after.queues.iter().map(|queue| queue.counts.total()).sum(),
        quarantined: tx.quarantined(),
        recounted: !agreed,
    };
    bodies::recount(tx).await?;
    after.history = oldest_outcomes(tx, u32::MAX).await?.len() as u64;
    save(tx, &mut after).await?;
    Ok(report)
}

async fn look_at_all<T: Tx>(tx: &T, old: Ledger, free_lines: bool) -> Result<Ledger, Error> {
    let mut ledger = Ledger { queues: Vec::<QueueLedger>::new(), ..old };
    let mut after = None;
    loop {
        let page = tx.page::<Job>(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for mut job in page {
            if free_lines && job.place == Place::Behind && job.waits_to_be_bound().is_some() {
                boxed(binding::examine(tx, &mut job, ledger.device, &WorkerConfig::default())).await?;
                tx.put(&job)?;
            }
            ledger.next_seq = ledger.next_seq.max(job.order.seq + 1);
            ledger.tick(job.schedule.queued_at);
            ledger.enter(&job);
            if free_lines && job.state == State::Pending && job.place != Place::Ready {
                free(tx, job).await?;
            }
        }
    }
    Ok(ledger)
}

/// A job that waits for no other goes to the front.
async fn free<T: Tx>(tx: &T, mut job: Job) -> Result<(), Error> {
    let waits = job.place == Place::Behind && job.waits_to_be_bound().is_some();
    if job.place == Place::Out || (job.place == Place::Behind && !waits && key_order::is_free(tx, &job).await?) {
        job.place = key_order::open_place(&job, Millis(0));
        tx.put(&job)?;
    }
    Ok(())
}
