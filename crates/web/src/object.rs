//! Members and methods of JavaScript objects.

use js_sys::{Array, Function, Reflect};
use wasm_bindgen::{JsCast, JsValue};

use crate::{externs, names::js_name};

/// A member, or undefined where there is none to read.
#[must_use]
pub fn get(object: &JsValue, name: &'static str) -> JsValue {
    Reflect::get(object, &js_name(name)).unwrap_or(JsValue::UNDEFINED)
}

/// A member of a member, or undefined.
#[must_use]
pub fn get2(object: &JsValue, first: &'static str, second: &'static str) -> JsValue {
    get(&get(object, first), second)
}

/// Sets a member of an object of our own making.
pub fn set(object: &JsValue, name: &'static str, value: &JsValue) {
    // Only a frozen or exotic object refuses; ours are neither.
    let _ = Reflect::set(object, &js_name(name), value);
}

/// A global, or undefined.
#[must_use]
pub fn global(name: &'static str) -> JsValue {
    get(&js_sys::global(), name)
}

/// The name of the platform's class that `value` is of, in whatever window it was made; `Object` for those of the
/// app's own classes, `String`, `Number` and so on for primitive values.
#[must_use]
pub fn class_of(value: &JsValue) -> String {
    let text = externs::object_to_string(value).unwrap_or_default();
    text.strip_prefix("[object ").and_then(|rest| rest.strip_suffix(']')).unwrap_or_default().to_owned()
}

/// Calls a method by name.
///
/// # Errors
/// What it throws; that there is no such method.
pub fn call(target: &JsValue, method: &'static str, arguments: &[JsValue]) -> Result<JsValue, JsValue> {
    let method: Function = get(target, method).dyn_into()?;
    method.apply(target, &array(arguments.iter().cloned()))
}

/// An array of these values.
pub fn array(values: impl IntoIterator<Item = JsValue>) -> Array {
    values.into_iter().collect()
}

/// A count or an instant as a number.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts and instants are below 2^53")]
pub fn number(number: u64) -> JsValue {
    JsValue::from_f64(number as f64)
}
