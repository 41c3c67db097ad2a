//! A form as bytes.

use js_sys::{Array, JsString, Promise, RegExp};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};

use crate::js::{self, Blob, FormData, Readable, Response};

/// A promise of the form as it is now, a `Blob`, and its content type.
///
/// `WebKit` sends a form that holds files, and reads none: `Response` answers `InvalidStateError`. So there it is
/// encoded here. Only there: a `Blob` of files takes one that was removed for an empty one (Chromium).
///
/// # Errors
/// What the platform throws.
pub fn encode(form: &FormData) -> Result<(Promise, Option<String>), JsValue> {
    let response: Readable = Response::new(form)?.unchecked_into();
    let kind = response.headers().get("content-type");
    let boundary = kind.as_deref().and_then(|kind| kind.rsplit_once('=')).map_or("", |(_, boundary)| boundary);
    let ours = blob(form, boundary)?;
    let theirs = response.blob()?;
    let read = async move {
        match JsFuture::from(theirs).await {
            Err(error) if js::get(&error, "name").as_string().as_deref() == Some("InvalidStateError") => Ok(ours.into()),
            outcome => outcome,
        }
    };
    Ok((future_to_promise(read), kind))
}

/// HTML's "multipart/form-data encoding algorithm". The files are named and not read, so that nothing is copied.
fn blob(form: &FormData, boundary: &str) -> Result<Blob, JsValue> {
    // JavaScript's strings and patterns: Rust's would be 6 KB of what ships.
    let (breaks, parts) = (RegExp::new("\r\n?|\n", "g"), Array::new());
    let add = |text: &str| {
        parts.push(&JsValue::from_str(text));
    };
    form.for_each(&mut |value, name| {
        add("--");
        add(boundary);
        add("\r\nContent-Disposition: form-data; name=\"");
        parts.push(&quoted(&name.replace_by_pattern(&breaks, "\r\n")));
        if let Some(text) = value.dyn_ref::<JsString>() {
            add("\"\r\n\r\n");
            parts.push(&text.replace_by_pattern(&breaks, "\r\n"));
        } else {
            add("\"; filename=\"");
            parts.push(&quoted(js::get(&value, "name").unchecked_ref()));
            add("\"\r\nContent-Type: ");
            let kind = js::get(&value, "type");
            parts.push(&if kind.is_truthy() { kind } else { JsValue::from_str("application/octet-stream") });
            add("\r\n\r\n");
            parts.push(&value);
        }
        add("\r\n");
    });
    add("--");
    add(boundary);
    add("--\r\n");
    Blob::new(&parts)
}

/// What stands between quotes.
fn quoted(text: &JsString) -> JsString {
    let escaped = |text: JsString, pattern: &str, by: &str| text.replace_by_pattern(&RegExp::new(pattern, "g"), by);
    escaped(escaped(escaped(text.clone(), "\n", "%0A"), "\r", "%0D"), "\"", "%22")
}
