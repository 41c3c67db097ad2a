//! A job's row with its index entries.

use shearwater_bridge::encode;
use shearwater_core::{job::Job, store::Index};
use wasm_bindgen::JsValue;

use crate::js;

/// The row as it is stored: the record, and beside it the key of each index that it stands in.
pub fn encode_job(job: &Job) -> JsValue {
    let row = encode(job);
    for index in Index::ALL {
        if let Some((texts, numbers)) = index.entry(job) {
            let texts = texts.into_iter().map(JsValue::from_str);
            js::set(&row, index.as_str(), &js::array(texts.chain(numbers.into_iter().map(js::number))));
        }
    }
    row
}
