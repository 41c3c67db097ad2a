//! Version 4: drafts of forms. Their files lie among the bodies.
//!
//! Nothing is moved. The number keeps a worker of before, which would purge an owner and leave their drafts, from opening
//! the database.

use shearwater_core::store::{ByForm, BySaving, RowIndex, Store};
use wasm_bindgen::JsValue;
use web_sys::IdbDatabase;

use crate::store::schema;

pub(super) fn apply(database: &IdbDatabase) -> Result<(), JsValue> {
    let drafts = schema::create(database, Store::Drafts)?;
    for index in [ByForm.as_str(), BySaving.as_str()] {
        drafts.create_index_with_str(index, index)?;
    }
    Ok(())
}
