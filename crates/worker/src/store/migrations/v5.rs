//! Version 5: the runs of periodic tasks.
//!
//! Nothing is moved. A tag without a row is one that was never seen.

use shearwater_core::store::Store;
use wasm_bindgen::JsValue;
use web_sys::IdbDatabase;

use crate::store::schema;

pub(super) fn apply(database: &IdbDatabase) -> Result<(), JsValue> {
    schema::create(database, Store::Periodic)?;
    Ok(())
}
