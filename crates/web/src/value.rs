//! JavaScript values as the core's [`Value`].

use js_sys::{Array, JSON, JsString, Object, Reflect};
use shearwater_core::wire::{LONGEST_LIST, LONGEST_STRING, Mismatch, Value, Wire, json::Json};
use wasm_bindgen::{JsCast, JsValue};

use crate::names::js_name;

/// A JavaScript value.
#[derive(Clone, Debug)]
pub struct Js(pub JsValue);

/// A record or message as a plain object.
pub fn encode<T: Wire>(value: &T) -> JsValue {
    parse(&Json::of(value, spell))
}

/// What a JSON text of our own making says.
#[must_use]
pub fn parse(json: &str) -> JsValue {
    // What the core writes is JSON.
    JSON::parse(json).unwrap_or(JsValue::NULL)
}

/// A number as JavaScript spells it, which is as JSON does.
#[must_use]
pub fn spell(number: f64) -> String {
    JSON::stringify(&JsValue::from_f64(number)).ok().and_then(|text| text.as_string()).unwrap_or_default()
}

/// A record or message from a plain object.
///
/// # Errors
/// Where and why it does not fit.
pub fn decode<T: Wire>(value: &JsValue) -> Result<T, Mismatch> {
    T::read(&Js(value.clone()))
}

impl Value for Js {
    fn as_boolean(&self) -> Option<bool> {
        self.0.as_bool()
    }

    fn as_number(&self) -> Option<f64> {
        self.0.as_f64()
    }

    fn as_text(&self) -> Option<String> {
        let text = self.0.dyn_ref::<JsString>()?;
        (text.length() <= LONGEST_STRING).then(|| self.0.as_string())?
    }

    fn as_list(&self) -> Option<Vec<Self>> {
        let list = Array::is_array(&self.0).then(|| self.0.unchecked_ref::<Array>())?;
        (list.length() <= LONGEST_LIST).then(|| list.iter().map(Self).collect())
    }

    fn is_object(&self) -> bool {
        self.0.is_object() && !Array::is_array(&self.0)
    }

    fn names(&self) -> Vec<String> {
        if !self.0.is_object() {
            return Vec::new();
        }
        let names = Object::keys(self.0.unchecked_ref::<Object>());
        names.iter().take(LONGEST_LIST as usize).filter_map(|name| name.as_string()).collect()
    }

    fn member(&self, name: &'static str) -> Option<Self> {
        present(Reflect::get(&self.0, &js_name(name)))
    }

    fn entry(&self, name: &str) -> Option<Self> {
        present(Reflect::get(&self.0, &JsValue::from_str(name)))
    }
}

fn present(value: Result<JsValue, JsValue>) -> Option<Js> {
    value.ok().filter(|value| !value.is_undefined() && !value.is_null()).map(Js)
}
