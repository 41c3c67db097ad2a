//! The schema of the database, one file per step. Steps only add; none drops a store.

mod v1;
mod v2;
mod v3;

use wasm_bindgen::JsValue;

use crate::idb::IdbDatabase;

/// The version that this code reads and writes.
pub const VERSION: u32 = 3;

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

    /// Answers to operations, by when they were asked for and the message's name.
    pub const RECEIPTS: &str = "receipts";
    /// Jobs that were removed lately.
    pub const TOMBSTONES: &str = "tombstones";
    /// Who is signed in.
    pub const SESSION: &str = "session";

    /// All of them.
    pub const ALL: [&str; 8] = [JOBS, BODIES, HISTORY, META, QUARANTINE, RECEIPTS, TOMBSTONES, SESSION];
    /// All that a drain works on: a look at who is signed in does not wait for it.
    pub const WORK: [&str; 7] = [JOBS, BODIES, HISTORY, META, QUARANTINE, RECEIPTS, TOMBSTONES];
}

/// The index of the history by time.
pub const BY_TIME: &str = "deliveredAt";

/// The index of the tombstones by time.
pub const BY_REMOVAL: &str = "at";

/// Takes the database from `old` to [`VERSION`].
///
/// # Errors
/// What `IndexedDB` throws; then the upgrade is aborted and the database is as it was.
pub fn upgrade(database: &IdbDatabase, old: u32, loss: Option<String>) -> Result<(), JsValue> {
    if old < 1 {
        v1::apply(database, loss)?;
    }
    if old < 3 {
        v3::apply(database)?;
    }
    Ok(())
}
