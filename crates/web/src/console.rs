//! The console, where each line says whose it is.

use wasm_bindgen::JsValue;
use web_sys::console;

/// Who speaks.
const NAME: &str = "[shearwater]";

/// Says what a developer must know.
pub fn error(text: &str) {
    console::error_2(&JsValue::from_str(NAME), &JsValue::from_str(text));
}

/// Says what a developer should know.
pub fn warn(text: &str) {
    console::warn_2(&JsValue::from_str(NAME), &JsValue::from_str(text));
}

/// Says what a developer may want to follow.
pub fn info(text: &str) {
    console::info_2(&JsValue::from_str(NAME), &JsValue::from_str(text));
}

/// Shows what the app's code threw.
pub fn error_thrown(text: &str, thrown: &JsValue) {
    console::error_3(&JsValue::from_str(NAME), &JsValue::from_str(text), thrown);
}
