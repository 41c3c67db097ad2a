//! A job's row with its index entries.

use shearwater_bridge::{parse, spell};
use shearwater_core::{
    queue::job::Job,
    store::Index,
    wire::{Wire, json::Json},
};
use wasm_bindgen::JsValue;

/// The row as it is stored: the record, and beside it the key of each index that it stands in.
pub fn encode_job(job: &Job) -> JsValue {
    let mut json = Json::new(spell);
    job.write(&mut json);
    json.extend(|json| {
        for index in Index::ALL {
            if let Some((texts, numbers)) = index.entry(job) {
                json.name(index.as_str());
                json.list(|json| {
                    texts.into_iter().for_each(|text| json.text_item(text));
                    numbers.iter().for_each(|number| json.item(number));
                });
            }
        }
    });
    parse(&json.into_text())
}
