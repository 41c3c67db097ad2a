//! Version 1: the five stores and the indexes of the jobs.

use shearwater_core::{store::Index, wire::text::Text};
use wasm_bindgen::JsValue;

use super::{BY_TIME, stores};
use crate::{idb::IdbDatabase, js, store::quarantine_entry as entry};

pub(super) fn apply(database: &IdbDatabase, loss: Option<String>) -> Result<(), JsValue> {
    let jobs = database.create_object_store(stores::JOBS, &keyed_by("id"))?;
    for index in Index::ALL {
        jobs.create_index(index.as_str(), index.as_str())?;
    }
    let history = database.create_object_store(stores::HISTORY, &keyed_by("id"))?;
    history.create_index(BY_TIME, BY_TIME)?;
    database.create_object_store(stores::BODIES, &JsValue::UNDEFINED)?;
    database.create_object_store(stores::META, &JsValue::UNDEFINED)?;
    let quarantine = js_sys::Object::new();
    js::set(&quarantine, "autoIncrement", &JsValue::TRUE);
    let quarantine = database.create_object_store(stores::QUARANTINE, &quarantine)?;
    if let Some(loss) = loss {
        // What was in it nobody can tell; that there was something is kept where people look.
        let reason = ["the browser found the database corrupt and deleted it: ", &loss].text();
        js::console_error("[shearwater]", &reason);
        quarantine.put(&entry("database", &JsValue::UNDEFINED, &reason))?;
    }
    Ok(())
}

pub(super) fn keyed_by(path: &str) -> JsValue {
    let options = js_sys::Object::new();
    js::set(&options, "keyPath", &JsValue::from_str(path));
    options.into()
}
