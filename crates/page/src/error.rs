//! Errors on their way to JavaScript.

use js_sys::Error as JsError;
use shearwater_core::{Error, ErrorCode};
use wasm_bindgen::prelude::*;

use crate::js;

/// A JavaScript `Error` with `name: "ShearwaterError"` and the stable `code`.
pub fn to_js(error: &Error) -> JsValue {
    with_code(error.code.as_str(), &error.message)
}

/// As [`to_js`], from the code and message of a worker's answer.
pub fn with_code(code: &str, message: &str) -> JsValue {
    let object = JsError::new(message);
    object.set_name("ShearwaterError");
    js::set(&object, "code", &JsValue::from_str(code));
    object.into()
}

/// An `invalid-request`.
pub fn invalid(message: impl Into<String>) -> JsValue {
    to_js(&Error::invalid_request(message))
}

/// A `worker-unavailable`.
pub fn unavailable(message: impl Into<String>) -> JsValue {
    to_js(&Error::new(ErrorCode::WorkerUnavailable, message))
}
