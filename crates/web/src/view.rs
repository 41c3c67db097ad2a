//! A job as the app sees it.

use js_sys::{JSON, Object};
use wasm_bindgen::JsValue;

use crate::object::{get, set};

/// A job's object as the app sees it: its metadata is what the app gave, not its JSON text, and headers are an object.
#[must_use]
pub fn as_shown(job: JsValue) -> JsValue {
    let response = get(&job, "response");
    if let Ok(headers) = Object::from_entries(&get(&response, "headers")) {
        set(&response, "headers", &headers);
    }
    if let Some(text) = get(&job, "metadata").as_string()
        && let Ok(metadata) = JSON::parse(&text)
    {
        set(&job, "metadata", &metadata);
    }
    job
}
