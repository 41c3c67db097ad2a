//! Jobs that were removed lately, so that a repeated message does not bring them back.

use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    id::JobId,
    store::{ByRemoval, Scan, Tx},
    time::Millis,
};

/// Tombstones that are cleared away in one transaction.
const PRUNED_AT_ONCE: u32 = 1_000;

/// Says that a job was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The job.
    pub id: JobId,
    /// When.
    pub at: Millis,
}

/// Forgets removals of before this instant, all but the latest `keep`, some of them where there are many.
///
/// # Errors
/// What the transaction returns.
pub(crate) async fn prune<T: Tx>(tx: &T, before: Millis, keep: u32) -> Result<(), Error> {
    let excess = tx.count::<Tombstone>().await?.saturating_sub(keep);
    if excess > 0 {
        for old in tx.scan(&Scan::of(ByRemoval, Vec::new(), excess.min(PRUNED_AT_ONCE)).upto(before.0)).await? {
            tx.delete::<Tombstone>(&old.id)?;
        }
    }
    Ok(())
}
