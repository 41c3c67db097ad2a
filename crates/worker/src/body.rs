//! What a body is stored as.

use shearwater_core::{Error, text::Text};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::js;

/// A body that holds its bytes itself, for the database.
///
/// `WebKit` writes a stored `Blob` that is a part of another, or has such a part in it, as the *whole* of that
/// other: after a restart a slice of 10 bytes is all 300,000, under the `size` of 10. What `Response` reads is
/// nobody's part. Chromium hands the same blob on without reading it (50 MB: 0.5 ms); Firefox copies it, to a
/// file when it is large.
///
/// # Errors
/// `invalid-request` when it cannot be read.
pub async fn own(body: JsValue) -> Result<JsValue, Error> {
    if !body.is_instance_of::<js::Blob>() {
        return Ok(body);
    }
    let unreadable = |error: JsValue| {
        let advice = "the body cannot be read; a file that was changed or removed must be chosen again: ";
        Error::invalid_request([advice, &js::message_of(&error)].text())
    };
    let reading = js::Response::new(&body).and_then(|response| response.blob()).map_err(unreadable)?;
    JsFuture::from(reading).await.map_err(unreadable)
}
