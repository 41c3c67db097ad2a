//! The errors that the page itself answers.

use shearwater_core::{Error, ErrorCode};
use wasm_bindgen::prelude::*;

pub use shearwater_bridge::{error_of as to_js, with_code};

/// An `invalid-request`.
pub fn invalid(message: impl Into<String>) -> JsValue {
    to_js(&Error::invalid_request(message))
}

/// A `worker-unavailable`.
pub fn unavailable(message: impl Into<String>) -> JsValue {
    to_js(&Error::new(ErrorCode::WorkerUnavailable, message))
}
