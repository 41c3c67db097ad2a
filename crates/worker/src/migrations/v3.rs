//! Version 3: answers that are remembered, tombstones, and the session beside the ledger.
//!
//! Nothing is moved. Until somebody signs in or pauses, no session is stored, and what the ledger says holds.

use wasm_bindgen::JsValue;

use super::{BY_REMOVAL, stores, v1::keyed_by};
use crate::idb::IdbDatabase;

pub(super) fn apply(database: &IdbDatabase) -> Result<(), JsValue> {
    database.create_object_store(stores::RECEIPTS, &JsValue::UNDEFINED)?;
    database.create_object_store(stores::TOMBSTONES, &keyed_by("id"))?.create_index(BY_REMOVAL, BY_REMOVAL)?;
    database.create_object_store(stores::SESSION, &JsValue::UNDEFINED)?;
    Ok(())
}
