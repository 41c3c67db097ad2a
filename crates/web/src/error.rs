//! Errors between Rust and JavaScript.

use shearwater_core::Error;
use wasm_bindgen::JsValue;

use crate::object::{get, set};

/// A JavaScript `Error` with `name: "ShearwaterError"` and the stable `code`.
#[must_use]
pub fn error_of(error: &Error) -> JsValue {
    with_code(error.code.as_str(), &error.message)
}

/// As [`error_of`], from a code and message that came by message.
#[must_use]
pub fn with_code(code: &str, message: &str) -> JsValue {
    let object = js_sys::Error::new(message);
    object.set_name("ShearwaterError");
    set(&object, "code", &JsValue::from_str(code));
    object.into()
}

/// The `name` of anything that was thrown, by which its kind is told; messages differ by browser.
#[must_use]
pub fn name_of(thrown: &JsValue) -> String {
    get(thrown, "name").as_string().unwrap_or_default()
}

/// The text of anything that was thrown.
#[must_use]
pub fn message_of(thrown: &JsValue) -> String {
    get(thrown, "message")
        .as_string()
        .or_else(|| thrown.as_string())
        .unwrap_or_else(|| "something that is not an Error was thrown".to_owned())
}

/// What a call returns that nothing can make fail: `web-sys` declares every constructor as one that throws.
///
/// Should it throw all the same, so does this, through the Rust code that called: the instance is dead then.
pub fn sure<T>(made: Result<T, JsValue>) -> T {
    made.unwrap_or_else(|thrown| wasm_bindgen::throw_val(thrown))
}
