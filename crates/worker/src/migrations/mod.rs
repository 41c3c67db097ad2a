//! The schema of the database, one file per step. Steps only add; none drops a store.

mod v1;
mod v2;

use wasm_bindgen::JsValue;

use crate::idb::IdbDatabase;

/// The version that this code reads and writes.
pub const VERSION: u32 = 2;

/// The stores; see `shearwater_core::store`.
pub mod stores {
    /// Rows.
    pub const JOBS: &str = "jobs";
    /// Bodies.
    pub const BODIES: &str = "bodies";
    /// Traces of delivered jobs.
    pub const HISTORY: &str = "history";
    /// The ledger.
    pub const META: &str = "meta";
    /// Rows that did not parse.
    pub const QUARANTINE: &str = "quarantine";

    /// All of them.
    pub const ALL: [&str; 5] = [JOBS, BODIES, HISTORY, META, QUARANTINE];
}

/// The index of the history by time.
pub const BY_TIME: &str = "deliveredAt";

/// Takes the database from `old` to [`VERSION`].
///
/// # Errors
/// What `IndexedDB` throws; then the upgrade is aborted and the database is as it was.
pub fn upgrade(database: &IdbDatabase, old: u32, loss: Option<String>) -> Result<(), JsValue> {
    if old < 1 {
        v1::apply(database, loss)?;
    }
    Ok(())
}
