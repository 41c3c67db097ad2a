//! Version 9: the index of records by the one that they wait for.
//!
//! Nothing is moved: no record of before waits. The number keeps a worker of before, which would send a record before the one
//! that it refers to, from opening the database.

use shearwater_core::store::{Store, WAITING_INDEX};
use wasm_bindgen::JsValue;
use web_sys::IdbTransaction;

pub(super) fn apply(upgrade: &IdbTransaction) -> Result<(), JsValue> {
    upgrade.object_store(Store::Records.as_str())?.create_index_with_str(WAITING_INDEX, WAITING_INDEX)?;
    Ok(())
}
