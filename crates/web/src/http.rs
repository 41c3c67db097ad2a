//! Requests and responses of the platform, in the core's terms.

use js_sys::{Array, Uint8Array};
use wasm_bindgen::JsCast;
use web_sys::{AbortController, Headers, TextDecoder};

use crate::error::sure;

/// Names and values, in the order of their names.
#[must_use]
pub fn pairs(headers: &Headers) -> Vec<(String, String)> {
    let text = |pair: &Array, at| pair.get(at).as_string().unwrap_or_default();
    let pairs = Array::from(headers);
    pairs.iter().map(|pair| pair.unchecked_into()).map(|pair: Array| (text(&pair, 0), text(&pair, 1))).collect()
}

/// The header of this name.
#[must_use]
pub fn header(headers: &Headers, name: &str) -> Option<String> {
    // It throws for what is no name.
    headers.get(name).ok().flatten()
}

/// Bytes as text; what is no UTF-8 is replaced.
#[must_use]
pub fn text(bytes: &Uint8Array) -> String {
    sure(TextDecoder::new()).decode_with_js_u8_array(bytes).unwrap_or_default()
}

/// What aborts a request, or many.
#[must_use]
pub fn abort_controller() -> AbortController {
    sure(AbortController::new())
}
