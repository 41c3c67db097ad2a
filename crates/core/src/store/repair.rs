//! Rebuilds what can be computed from the rows: counts, places, the next sequence number.
//!
//! Runs by itself when a row had to go to quarantine or the ledger cannot be read: the only time
//! that all rows are looked at.

use super::{Tx, line};
use crate::{
    error::Error,
    job::{Job, Place, State},
    ledger::{Ledger, QueueLedger},
    time::Millis,
};

/// Rows looked at in one page.
const PAGE: u32 = 256;

/// Counts everything anew and frees lines whose head is gone; answers the ledger, not yet written.
///
/// `old` gives what rows do not tell: owner, pauses, history, what is known of origins.
///
/// # Errors
/// What the transaction answers.
pub async fn rebuild<T: Tx>(tx: &T, old: Ledger) -> Result<Ledger, Error> {
    look_at_all(tx, old, true).await
}

/// Counts everything anew and writes nothing: for a transaction that only reads.
///
/// # Errors
/// What the transaction answers.
pub async fn count<T: Tx>(tx: &T, old: Ledger) -> Result<Ledger, Error> {
    look_at_all(tx, old, false).await
}

async fn look_at_all<T: Tx>(tx: &T, old: Ledger, free_lines: bool) -> Result<Ledger, Error> {
    let mut ledger = Ledger { queues: Vec::<QueueLedger>::new(), ..old };
    let mut after = None;
    loop {
        let page = tx.all(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for job in page {
            ledger.next_seq = ledger.next_seq.max(job.seq + 1);
            ledger.tick(job.queued_at);
            ledger.enter(&job);
            if free_lines && job.state == State::Pending && job.place != Place::Ready {
                free(tx, job).await?;
            }
        }
    }
    Ok(ledger)
}

/// A job behind nobody goes to the front.
async fn free<T: Tx>(tx: &T, mut job: Job) -> Result<(), Error> {
    if job.place == Place::Out || (job.place == Place::Behind && line::is_free(tx, &job).await?) {
        job.place = line::open_place(&job, Millis(0));
        tx.put_job(&job)?;
    }
    Ok(())
}
