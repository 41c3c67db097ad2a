//! The steps of the schema, one file each. Steps only add; none drops a store.

mod v1;
mod v2;
mod v3;
mod v4;
mod v5;
mod v6;
mod v7;
mod v8;
mod v9;

use wasm_bindgen::JsValue;
use web_sys::{IdbDatabase, IdbTransaction};

/// Takes the database from `old` to [`VERSION`](super::schema::VERSION).
///
/// # Errors
/// What `IndexedDB` throws; then the upgrade is aborted and the database is as it was.
pub fn upgrade(database: &IdbDatabase, upgrade: &IdbTransaction, old: u32, loss: Option<String>) -> Result<(), JsValue> {
    if old < 1 {
        v1::apply(database, loss)?;
    }
    if old < 3 {
        v3::apply(database)?;
    }
    if old < 4 {
        v4::apply(database)?;
    }
    if old < 5 {
        v5::apply(database)?;
    }
    if old < 7 {
        v7::apply(database)?;
    }
    if old < 8 {
        v8::apply(upgrade)?;
    }
    if old < 9 {
        v9::apply(upgrade)?;
    }
    Ok(())
}
