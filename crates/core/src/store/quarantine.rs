//! Rows that did not parse, as far as anything can be read of them still.

use crate::{error::Error, id::JobId, store::Tx};

/// A row in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Its key there.
    pub key: u64,
    /// Whose it says that it is.
    pub owner: Option<String>,
    /// The job that it says to be.
    pub id: Option<JobId>,
    /// The pack that it says its body is in.
    pub pack: Option<JobId>,
}

/// Deletes what lies in quarantine of this owner, or of nobody knows whom; returns whose rows they were.
///
/// # Errors
/// What the transaction returns.
pub(crate) async fn purge<T: Tx>(tx: &T, owner: &str) -> Result<Vec<JobId>, Error> {
    let mut ids = Vec::new();
    for aside in tx.aside().await? {
        // Of one that does not even say whose it is nobody can be sure.
        if aside.owner.is_none_or(|of| of == owner) {
            tx.delete_aside(aside.key)?;
            ids.extend(aside.id);
        }
    }
    Ok(ids)
}
