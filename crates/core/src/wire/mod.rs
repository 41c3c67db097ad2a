//! Reads records and messages from plain values, whatever a shell's values are, and writes them as a JSON string.
//!
//! The shells' values are JavaScript's; tests use JSON. A type derives serde's `Serialize` and `Deserialize`, and what does
//! not fit is told by its path: `queues.notes.maxAtempts: unknown member; known: …`.
//!
//! What is read may be foreign: a list or a string beyond [`LONGEST_LIST`] and [`LONGEST_STRING`] is a [`Mismatch`] before
//! anything of its size is allocated.
//!
//! # Conventions
//!
//! The reader looks up each member by its name and hands it to the derive by its position: no names to dispatch on, no
//! duplicates to refuse. So it knows of a type what the derive tells it, which is its name and those of its members:
//!
//! | a type says | and means |
//! |---|---|
//! | `#[serde(rename = "!Type")]` | strict: other members are refused, as in all that an app or a page hands over. Elsewhere they are passed over: a later version may have written them |
//! | `#[serde(rename = "..group")]` on a field | flat: the members of this field, which is an object, are members of the record itself; a strict record has none |
//! | a field is an `Option` | it is absent where the member is absent, undefined or null, and not written then |
//! | `#[serde(default)]` on a field or, with its `Default`, the type | what an absent member is otherwise; without it, a mismatch |
//! | an enum | its name alone, or where the variant holds a value, an object with that as its one member |
//!
//! `flatten`, `alias`, `skip_deserializing`, `deny_unknown_fields`, `untagged` and `tag` are not for these types, which
//! `tests/conventions.rs` checks. A type that takes values of several kinds has a `Visitor`: booleans, whole numbers and
//! strings come by their own methods, all else as a deserializer by `visit_newtype_struct`; its `expecting` is the whole
//! reason, such as "is not a job id". One that asks by `deserialize_tuple_struct` gets lists by `visit_seq`.

pub mod json;
mod read;
pub mod text;

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned, MapAccess, Visitor},
};

use crate::wire::{json::Json, read::Reader, text::Text};

/// What the serde name of a strict type begins with.
const STRICT: char = '!';

/// What the serde name of a flat field begins with.
const FLAT: &str = "..";

/// The most items of a list, or members of an object, that are read.
pub const LONGEST_LIST: u32 = 100_000;

/// The longest string that is read, in UTF-16 code units.
pub const LONGEST_STRING: u32 = 16 << 20;

/// A value as a shell holds it: null, boolean, number, string, array, or object.
pub trait Value: Sized {
    /// The truth value, if it is one.
    fn as_boolean(&self) -> Option<bool>;
    /// The number, if it is one.
    fn as_number(&self) -> Option<f64>;
    /// The text, if it is one and no longer than [`LONGEST_STRING`].
    fn as_text(&self) -> Option<String>;
    /// The items, if it is a list of at most [`LONGEST_LIST`].
    fn as_list(&self) -> Option<Vec<Self>>;
    /// Whether it is an object that is no list.
    fn is_object(&self) -> bool;
    /// The names of an object's members, at most [`LONGEST_LIST`].
    fn names(&self) -> Vec<String>;
    /// A member that is present and not null.
    fn member(&self, name: &'static str) -> Option<Self>;
    /// As [`Value::member`], by a name that is known only now.
    fn entry(&self, name: &str) -> Option<Self>;
}

/// Why a value is not what it should be, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    path: String,
    reason: String,
}

impl Mismatch {
    /// A value that should have been something else.
    #[must_use]
    pub fn new(reason: &str) -> Self {
        Self(Box::new(Inner { path: String::new(), reason: reason.to_owned() }))
    }

    #[cold]
    fn missing() -> Self {
        Self::new("is missing")
    }

    /// The same, seen from the object that has the value as its member `name`.
    #[must_use]
    pub fn within(mut self, name: &str) -> Self {
        self.0.path = if self.0.path.is_empty() { name.to_owned() } else { [name, ".", &self.0.path].text() };
        self
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.path.is_empty() {
            f.write_str(&self.0.path)?;
            f.write_str(": ")?;
        }
        f.write_str(&self.0.reason)
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    #[cold]
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::new(&reason.to_string())
    }

    #[cold]
    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(&expected.to_string())
    }

    #[cold]
    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(&expected.to_string())
    }

    /// A member without a default is absent.
    #[cold]
    fn invalid_length(_: usize, _: &dyn de::Expected) -> Self {
        Self::missing()
    }
}

/// A type that travels as a plain value.
pub trait Wire: Serialize + DeserializeOwned {
    /// Reads it.
    ///
    /// # Errors
    /// Where the value differs from what it should be.
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        read(value)
    }

    /// Writes it.
    fn write(&self, json: &mut Json) {
        json.value(self);
    }
}

impl<T: Serialize + DeserializeOwned> Wire for T {}

/// Reads what is only read.
///
/// # Errors
/// Where the value differs from what it should be.
pub fn read<T: DeserializeOwned, V: Value>(value: &V) -> Result<T, Mismatch> {
    read_or_absent(Some(value))
}

/// As [`read()`], of what may be absent.
///
/// # Errors
/// Also where the type has no value for that.
pub fn read_or_absent<T: DeserializeOwned, V: Value>(value: Option<&V>) -> Result<T, Mismatch> {
    T::deserialize(Reader(value)).map_err(|mismatch| if value.is_none() { Mismatch::missing() } else { mismatch })
}

/// Reads an object as its entries, in their order: for `deserialize_with`.
///
/// # Errors
/// When it is no object, or a name or value does not fit.
pub fn entries<'de, D, K, T>(deserializer: D) -> Result<Vec<(K, T)>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_map(Entries(PhantomData))
}

struct Entries<K, T>(PhantomData<(K, T)>);

impl<'de, K: Deserialize<'de>, T: Deserialize<'de>> Visitor<'de> for Entries<K, T> {
    type Value = Vec<(K, T)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// Reads what is absent as its default, where the type's place has no `#[serde(default)]`: for `deserialize_with`.
///
/// # Errors
/// When it does not fit.
pub fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// JSON as a shell's values, for tests.
#[cfg(test)]
pub(crate) mod testing {
    use serde_json::Value as Json;

    use super::Value;

    impl Value for Json {
        fn as_boolean(&self) -> Option<bool> {
            self.as_bool()
        }

        fn as_number(&self) -> Option<f64> {
            self.as_f64()
        }

        fn as_text(&self) -> Option<String> {
            self.as_str().map(str::to_owned)
        }

        fn as_list(&self) -> Option<Vec<Self>> {
            self.as_array().cloned()
        }

        fn is_object(&self) -> bool {
            Self::is_object(self)
        }

        fn names(&self) -> Vec<String> {
            self.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
        }

        fn member(&self, name: &'static str) -> Option<Self> {
            self.entry(name)
        }

        fn entry(&self, name: &str) -> Option<Self> {
            self.get(name).filter(|value| !value.is_null()).cloned()
        }
    }

    /// Reads a type from JSON text.
    pub(crate) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
        let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
        super::read(&json).map_err(|mismatch| mismatch.to_string())
    }
}

#[cfg(test)]
mod tests;
