//! Version 7: records of collections, and jobs that are their mutations.
//!
//! Nothing is moved. The number keeps a worker of before, which would deliver a mutation without telling its record, from
//! opening the database.

use shearwater_core::store::{RECORD_INDEXES, Store};
use wasm_bindgen::JsValue;
use web_sys::IdbDatabase;

use crate::store::schema;

pub(super) fn apply(database: &IdbDatabase) -> Result<(), JsValue> {
    let records = schema::create(database, Store::Records)?;
    // Those that came later are later versions'.
    for index in RECORD_INDEXES.into_iter().take(4) {
        records.create_index_with_str(index, index)?;
    }
    schema::create(database, Store::Collections)?;
    Ok(())
}
