//! Rows to and from their stored JavaScript form.

use serde::{Serialize, de::DeserializeOwned};
use shearwater_core::{Error, job::Job, store::Index};
use wasm_bindgen::JsValue;

use crate::{idb, js};

/// Any message or row as a plain object.
///
/// # Errors
/// `internal`: all our types can be written.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<JsValue, Error> {
    value
        .serialize(&serde_wasm_bindgen::Serializer::new().serialize_maps_as_objects(true))
        .map_err(|error| Error::internal(js::message_of(&error.into())))
}

/// A stored row or a message, or the text of what is wrong with it.
pub fn decode<T: DeserializeOwned>(value: JsValue) -> Result<T, String> {
    serde_wasm_bindgen::from_value(value).map_err(|error| js::message_of(&error.into()))
}

/// A job's row with its index entries.
///
/// # Errors
/// `internal`: all our types can be written.
pub fn encode_job(job: &Job) -> Result<JsValue, Error> {
    let row = encode(job)?;
    for index in Index::ALL {
        if let Some((texts, numbers)) = index.entry(job) {
            let texts = texts.into_iter().map(JsValue::from_str);
            let key = js::array(texts.chain(numbers.into_iter().map(idb::number_key)));
            js::set(&row, index.as_str(), &key);
        }
    }
    Ok(row)
}
