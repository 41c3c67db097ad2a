//! Takes JSON text for the JavaScript values that a shell meets.
//!
//! What JSON cannot say is written as an object with the one member `$number`: `{"$number": "NaN"}`,
//! `"inf"`, `"-inf"`, `"-0"`. As in JavaScript, the names of a list are its indices.

use serde_json::Value as Json;
use shearwater_core::wire::Value;

/// A value as a shell would meet it.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreign(Json);

impl Foreign {
    /// Reads an input.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok().map(Self)
    }
}

impl Value for Foreign {
    fn as_boolean(&self) -> Option<bool> {
        self.0.as_bool()
    }

    fn as_number(&self) -> Option<f64> {
        match &self.0 {
            Json::Object(members) if members.len() == 1 => members.get("$number")?.as_str()?.parse().ok(),
            number => number.as_f64(),
        }
    }

    fn as_text(&self) -> Option<String> {
        self.0.as_str().map(str::to_owned)
    }

    fn as_list(&self) -> Option<Vec<Self>> {
        Some(self.0.as_array()?.iter().cloned().map(Self).collect())
    }

    fn is_object(&self) -> bool {
        self.0.is_object() && self.as_number().is_none()
    }

    fn names(&self) -> Vec<String> {
        match &self.0 {
            Json::Object(members) => members.keys().cloned().collect(),
            Json::Array(items) => (0..items.len()).map(|at| at.to_string()).collect(),
            _ => Vec::new(),
        }
    }

    fn member(&self, name: &'static str) -> Option<Self> {
        self.entry(name)
    }

    fn entry(&self, name: &str) -> Option<Self> {
        let inner = match &self.0 {
            Json::Array(items) => items.get(name.parse::<usize>().ok()?),
            other => other.get(name),
        };
        inner.filter(|inner| !inner.is_null()).cloned().map(Self)
    }
}
