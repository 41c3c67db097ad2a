//! Version 3: answers that are remembered, tombstones, and the session beside the ledger.
//!
//! Nothing is moved. Until somebody signs in or pauses, no session is stored, and what the ledger says holds.

use shearwater_core::store::{ByRemoval, Store};
use wasm_bindgen::JsValue;
use web_sys::IdbDatabase;

use crate::store::schema;

pub(super) fn apply(database: &IdbDatabase) -> Result<(), JsValue> {
    schema::create(database, Store::Receipts)?;
    schema::create_with(database, &[ByRemoval])?;
    schema::create(database, Store::Session)?;
    Ok(())
}
