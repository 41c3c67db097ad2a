//! Version 1: the five stores and the indexes of the jobs.

use shearwater_core::{
    store::{ByDelivery, Index, Store},
    wire::text::Text,
};
use wasm_bindgen::JsValue;
use web_sys::IdbDatabase;

use crate::{
    js,
    store::{quarantine::entry, schema},
};

pub(super) fn apply(database: &IdbDatabase, loss: Option<String>) -> Result<(), JsValue> {
    schema::create_with(database, &Index::ALL)?;
    schema::create_with(database, &[ByDelivery])?;
    schema::create(database, Store::Bodies)?;
    schema::create(database, Store::Meta)?;
    let quarantine = schema::create(database, Store::Quarantine)?;
    if let Some(loss) = loss {
        // What was in it nobody can tell; that there was something is kept where people look.
        let reason = ["the browser found the database corrupt and deleted it: ", &loss].text();
        js::console::error(&reason);
        quarantine.put(&entry("database", &JsValue::UNDEFINED, &reason))?;
    }
    Ok(())
}
