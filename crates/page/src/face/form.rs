//! A form as what `fetch` would send, but for the boundary.

use js_sys::{Array, JsString, RegExp};
use shearwater_core::wire::text::Text;
use wasm_bindgen::prelude::*;

use crate::js;

/// The form as it is now, in the parts that it is sent in, and its content type.
///
/// HTML's "multipart/form-data encoding algorithm". A part is a string, or a file by reference: nothing is read
/// here, so that a form can be handed over by a page that is about to go. The platform's own way
/// (`Response(form)`) reads the files, and in `WebKit` none that holds one.
pub fn encode(form: &JsValue) -> (Array, String) {
    let boundary = ["----shearwater-", &js::random::uuid()].text();
    // JavaScript's strings and patterns: Rust's would be 6 KB of what ships.
    let (breaks, parts, texts) = (RegExp::new("\r\n?|\n", "g"), Array::new(), Array::new());
    let add = |text: &str| {
        texts.push(&JsValue::from_str(text));
    };
    // Strings between two files travel as one.
    let join = || {
        parts.push(&texts.join("").into());
        texts.set_length(0);
    };
    for entry in Array::from(form).iter() {
        let entry: Array = entry.unchecked_into();
        let (name, value) = (entry.get(0).unchecked_into::<JsString>(), entry.get(1));
        add("--");
        add(&boundary);
        add("\r\nContent-Disposition: form-data; name=\"");
        texts.push(&quoted(&name.replace_by_pattern(&breaks, "\r\n")));
        if let Some(text) = value.dyn_ref::<JsString>() {
            add("\"\r\n\r\n");
            texts.push(&text.replace_by_pattern(&breaks, "\r\n"));
        } else {
            add("\"; filename=\"");
            texts.push(&quoted(js::get(&value, "name").unchecked_ref()));
            add("\"\r\nContent-Type: ");
            let kind = js::get(&value, "type");
            texts.push(&if kind.is_truthy() { kind } else { JsValue::from_str("application/octet-stream") });
            add("\r\n\r\n");
            join();
            parts.push(&value);
        }
        add("\r\n");
    }
    add("--");
    add(&boundary);
    add("--\r\n");
    join();
    (parts, ["multipart/form-data; boundary=", &boundary].text())
}

/// What stands between quotes.
fn quoted(text: &JsString) -> JsString {
    let escaped = |text: JsString, pattern: &str, by: &str| text.replace_by_pattern(&RegExp::new(pattern, "g"), by);
    escaped(escaped(escaped(text.clone(), "\n", "%0A"), "\r", "%0D"), "\"", "%22")
}
