//! JavaScript values as the core's [`Value`].

use js_sys::{Array, Object, Reflect};
use shearwater_core::wire::{Mismatch, Value, Wire};
use wasm_bindgen::{JsCast, JsValue};

use crate::{
    names::js_name,
    object::{array, set},
};

/// A JavaScript value.
#[derive(Clone, Debug)]
pub struct Js(pub JsValue);

/// A record or message as a plain object.
pub fn encode<T: Wire>(value: &T) -> JsValue {
    value.write::<Js>().0
}

/// A record or message from a plain object.
///
/// # Errors
/// Where and why it does not fit.
pub fn decode<T: Wire>(value: &JsValue) -> Result<T, Mismatch> {
    T::read(&Js(value.clone()))
}

impl Value for Js {
    fn null() -> Self {
        Self(JsValue::NULL)
    }

    fn boolean(value: bool) -> Self {
        Self(JsValue::from_bool(value))
    }

    fn number(value: f64) -> Self {
        Self(JsValue::from_f64(value))
    }

    fn text(value: &str) -> Self {
        Self(JsValue::from_str(value))
    }

    fn list(items: Vec<Self>) -> Self {
        Self(array(items.into_iter().map(|item| item.0)).into())
    }

    fn object() -> Self {
        Self(Object::new().into())
    }

    fn set(&mut self, name: &'static str, value: Self) {
        set(&self.0, name, &value.0);
    }

    fn as_boolean(&self) -> Option<bool> {
        self.0.as_bool()
    }

    fn as_number(&self) -> Option<f64> {
        self.0.as_f64()
    }

    fn as_text(&self) -> Option<String> {
        self.0.as_string()
    }

    fn as_list(&self) -> Option<Vec<Self>> {
        Array::is_array(&self.0).then(|| self.0.unchecked_ref::<Array>().iter().map(Self).collect())
    }

    fn is_object(&self) -> bool {
        self.0.is_object() && !Array::is_array(&self.0)
    }

    fn names(&self) -> Vec<String> {
        if !self.0.is_object() {
            return Vec::new();
        }
        Object::keys(self.0.unchecked_ref::<Object>()).iter().filter_map(|name| name.as_string()).collect()
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
