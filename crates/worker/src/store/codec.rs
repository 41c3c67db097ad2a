//! A row with its index entries.

use shearwater_bridge::{parse, spell};
use shearwater_core::{
    store::{Entry, Row},
    wire::json::Json,
};
use wasm_bindgen::JsValue;

/// The row as it is stored: the record, and beside it the key of each index that it stands in, unless that is a member of
/// the record.
pub fn encode_row<R: Row>(row: &R) -> JsValue {
    let mut json = Json::new(spell);
    row.write(&mut json);
    finish(json, row.entries())
}

fn finish(mut json: Json, mut entries: Vec<(&'static str, Entry<'_>)>) -> JsValue {
    entries.retain(|(_, (texts, _))| !texts.is_empty());
    if !entries.is_empty() {
        json.extend(|json| {
            for (index, (texts, numbers)) in entries {
                json.name(index);
                json.list(|json| {
                    texts.into_iter().for_each(|text| json.item(text));
                    numbers.iter().for_each(|number| json.item(number));
                });
            }
        });
    }
    parse(&json.into_text())
}
