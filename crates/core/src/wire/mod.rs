//! Reads records and messages from plain values, whatever a shell's values are, and writes them as a JSON string.
//!
//! The shells' values are JavaScript's; tests use JSON. Each type lists its members once, with
//! [`record!`](crate::record) or [`names!`](crate::names), and what does not fit is told by its path:
//! `queues.notes.maxAtempts: unknown member`. That is all of serde that this engine needs, in
//! fewer bytes.
//!
//! What is read may be foreign: a list or a string beyond [`LONGEST_LIST`] and [`LONGEST_STRING`] is a [`Mismatch`] before
//! anything of its size is allocated.
//!
//! A member that is absent, undefined or null reads as `None`, as its default, or is a [`Mismatch`].
//! Unknown members are passed over in stored records, which a later version may have written, and
//! refused in what an app or a page hands over (`strict`).

pub mod json;
pub mod text;

use crate::wire::{
    json::Json,
    text::{Text, listed},
};
use std::fmt;

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

/// A type that travels as a plain value.
pub trait Wire: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// Where the value differs from what it should be.
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch>;

    /// Writes it.
    fn write(&self, json: &mut Json);

    /// Any value at all: what stands in a record that was found not to fit, and that nobody gets to see.
    fn placeholder() -> Self;

    /// What an absent member reads as, where it may be absent.
    #[must_use]
    fn absent() -> Option<Self> {
        None
    }

    /// Whether it is written as an absent member.
    fn is_absent(&self) -> bool {
        false
    }
}

/// Reads a member of an object.
///
/// # Errors
/// When it is absent and must not be, or does not fit.
pub fn member<V: Value, T: Wire>(value: &V, name: &'static str, default: Option<T>) -> Result<T, Mismatch> {
    let mut trouble = None;
    let member = member_or(value, name, default, &mut trouble);
    trouble.map_or(Ok(member), Err)
}

/// As [`member`], for a record that is read to its end: the first mismatch goes to `trouble`. One
/// way out in place of one at each member keeps the readers small.
pub fn member_or<V: Value, T: Wire>(value: &V, name: &'static str, default: Option<T>, trouble: &mut Option<Mismatch>) -> T {
    let mismatch = match value.member(name) {
        Some(inner) => match T::read(&inner) {
            Ok(member) => return member,
            Err(mismatch) => mismatch,
        },
        None => match default.or_else(T::absent) {
            Some(member) => return member,
            None => missing(),
        },
    };
    note(trouble, name, mismatch);
    T::placeholder()
}

#[cold]
fn missing() -> Mismatch {
    Mismatch::new("is missing")
}

#[cold]
fn note(trouble: &mut Option<Mismatch>, name: &'static str, mismatch: Mismatch) {
    if trouble.is_none() {
        *trouble = Some(mismatch.within(name));
    }
}

/// Checks that a value is an object and, given `known`, that it has no other members.
///
/// # Errors
/// When it is not, or has.
pub fn object<V: Value>(value: &V, known: Option<&[&str]>) -> Result<(), Mismatch> {
    if !value.is_object() {
        return Err(Mismatch::new("is not an object"));
    }
    let Some(known) = known else { return Ok(()) };
    match value.names().into_iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Mismatch::new(&["unknown member; known: ", &listed(known)].text()).within(&name)),
    }
}

/// Reads a name as what it stands for.
///
/// # Errors
/// When it is none of these.
pub fn one_of<V: Value, T: Copy>(value: &V, names: &[(&str, T)]) -> Result<T, Mismatch> {
    let text = value.as_text();
    match names.iter().find(|(name, _)| Some(*name) == text.as_deref()) {
        Some((_, value)) => Ok(*value),
        None => {
            let mut reason = "is not one of".to_owned();
            for (name, _) in names {
                reason.push(' ');
                reason.push_str(name);
            }
            Err(Mismatch::new(&reason))
        }
    }
}

/// Reads an object as its entries, in their order.
///
/// # Errors
/// When it is no object, or a value does not fit.
pub fn entries<V: Value, T: Wire>(value: &V) -> Result<Vec<(String, T)>, Mismatch> {
    object(value, None)?;
    let entry = |name: String| match value.entry(&name) {
        Some(inner) => T::read(&inner).map_err(|mismatch| mismatch.within(&name)).map(|inner| (name, inner)),
        None => Err(Mismatch::new("is missing").within(&name)),
    };
    value.names().into_iter().map(entry).collect()
}

/// Some members of an object: a group of fields that is a type of its own in Rust, and lies flat in the record around it.
pub trait Members: Sized {
    /// Reads them from the record; the first mismatch goes to `trouble`.
    fn read<V: Value>(value: &V, trouble: &mut Option<Mismatch>) -> Self;

    /// Writes them into the record, which is open.
    fn write(&self, json: &mut Json);

    /// See [`Wire::placeholder`].
    fn placeholder() -> Self;
}

/// Implements [`Wire`] for a record: `record!(strict? Type { field: "name" = default?, group: flat, … })`. The
/// [`Members`] of a `flat` field are members of the record itself; a strict record has none.
#[macro_export]
macro_rules! record {
    (@known strict $($name:literal)*) => { Some(&[$($name),*]) };
    (@known $($name:tt)*) => { None };
    (@default $default:expr) => { Some($default) };
    (@default) => { None };
    (@read $value:ident $trouble:ident flat) => { $crate::wire::Members::read($value, &mut $trouble) };
    (@read $value:ident $trouble:ident $name:literal $($default:expr)?) => {
        $crate::wire::member_or($value, $name, $crate::record!(@default $($default)?), &mut $trouble)
    };
    (@write $json:ident $field:expr, flat) => { $crate::wire::Members::write($field, $json) };
    (@write $json:ident $field:expr, $name:literal) => { $json.member($name, $field) };
    (@placeholder flat) => { $crate::wire::Members::placeholder() };
    (@placeholder $name:literal) => { $crate::wire::Wire::placeholder() };
    (strict $type:ty { $($field:ident : $name:literal $(= $default:expr)?),* $(,)? }) => {
        $crate::record!(@imp $type, $crate::record!(@known strict $($name)*), $($field : $name $(= $default)?),*);
    };
    ($type:ty { $($field:ident : $name:tt $(= $default:expr)?),* $(,)? }) => {
        $crate::record!(@imp $type, $crate::record!(@known $($name)*), $($field : $name $(= $default)?),*);
    };
    (@imp $type:ty, $known:expr, $($field:ident : $name:tt $(= $default:expr)?),*) => {
        impl $crate::wire::Wire for $type {
            fn read<V: $crate::wire::Value>(value: &V) -> Result<Self, $crate::wire::Mismatch> {
                $crate::wire::object(value, $known)?;
                let mut trouble = None;
                let record = Self {
                    $($field: $crate::record!(@read value trouble $name $($default)?)),*
                };
                match trouble {
                    None => Ok(record),
                    Some(mismatch) => Err(mismatch),
                }
            }

            fn placeholder() -> Self {
                Self { $($field: $crate::record!(@placeholder $name)),* }
            }

            fn write(&self, json: &mut $crate::wire::json::Json) {
                json.object(|json| {
                    $($crate::record!(@write json &self.$field, $name);)*
                });
            }
        }
    };
}

/// Implements [`Members`] for a group of fields: `members!(Type { field: "name", … })`.
#[macro_export]
macro_rules! members {
    ($type:ty { $($field:ident : $name:literal),* $(,)? }) => {
        impl $crate::wire::Members for $type {
            fn read<V: $crate::wire::Value>(value: &V, trouble: &mut Option<$crate::wire::Mismatch>) -> Self {
                Self { $($field: $crate::wire::member_or(value, $name, None, trouble)),* }
            }

            fn write(&self, json: &mut $crate::wire::json::Json) {
                $(json.member($name, &self.$field);)*
            }

            fn placeholder() -> Self {
                Self { $($field: $crate::wire::Wire::placeholder()),* }
            }
        }
    };
}

/// Implements [`Wire`] for an enum without data: `names!(Type { Variant: "name", … })`.
#[macro_export]
macro_rules! names {
    ($type:ty { $first:ident : $first_name:literal $(, $variant:ident : $name:literal)* $(,)? }) => {
        impl $crate::wire::Wire for $type {
            fn placeholder() -> Self {
                Self::$first
            }

            fn read<V: $crate::wire::Value>(value: &V) -> Result<Self, $crate::wire::Mismatch> {
                $crate::wire::one_of(value, &[($first_name, Self::$first) $(, ($name, Self::$variant))*])
            }

            fn write(&self, json: &mut $crate::wire::json::Json) {
                json.text(match self { Self::$first => $first_name $(, Self::$variant => $name)* });
            }
        }
    };
}

/// Nothing to say: null.
impl Wire for () {
    fn read<V: Value>(_: &V) -> Result<Self, Mismatch> {
        Ok(())
    }

    fn write(&self, json: &mut Json) {
        json.null();
    }

    fn placeholder() -> Self {}

    fn absent() -> Option<Self> {
        Some(())
    }
}

impl Wire for bool {
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        value.as_boolean().ok_or_else(|| Mismatch::new("is not a boolean"))
    }

    fn write(&self, json: &mut Json) {
        json.boolean(*self);
    }

    fn placeholder() -> Self {
        false
    }
}

impl Wire for f64 {
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        value.as_number().filter(|number| number.is_finite()).ok_or_else(|| Mismatch::new("is not a number"))
    }

    fn write(&self, json: &mut Json) {
        json.number(*self);
    }

    fn placeholder() -> Self {
        0.0
    }
}

impl Wire for u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and within 0..2^53")]
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        match value.as_number() {
            Some(number) if number.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&number) => Ok(number as Self),
            _ => Err(Mismatch::new("is not a non-negative integer")),
        }
    }

    fn write(&self, json: &mut Json) {
        json.whole(*self);
    }

    fn placeholder() -> Self {
        0
    }
}

macro_rules! small_number {
    ($($type:ty)*) => {$(
        impl Wire for $type {
            fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
                Self::try_from(u64::read(value)?).map_err(|_| Mismatch::new("is too large"))
            }

            fn write(&self, json: &mut Json) {
                json.whole(u64::from(*self));
            }

            fn placeholder() -> Self {
                0
            }
        }
    )*};
}
small_number!(u8 u16 u32);

impl Wire for String {
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        value.as_text().ok_or_else(|| Mismatch::new("is not a string, or is too long"))
    }

    fn write(&self, json: &mut Json) {
        json.text(self);
    }

    fn placeholder() -> Self {
        Self::new()
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        let mut items = Self::new();
        for item in value.as_list().ok_or_else(|| Mismatch::new("is not an array, or is too long"))? {
            items.push(T::read(&item)?);
        }
        Ok(items)
    }

    fn write(&self, json: &mut Json) {
        json.list(|json| self.iter().for_each(|item| json.item(item)));
    }

    fn placeholder() -> Self {
        Self::new()
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        match value.as_list().as_deref() {
            Some([first, second]) => Ok((A::read(first)?, B::read(second)?)),
            _ => Err(Mismatch::new("is not a pair")),
        }
    }

    fn write(&self, json: &mut Json) {
        json.list(|json| {
            json.item(&self.0);
            json.item(&self.1);
        });
    }

    fn placeholder() -> Self {
        (A::placeholder(), B::placeholder())
    }
}

impl<T: Wire> Wire for Option<T> {
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        T::read(value).map(Some)
    }

    fn write(&self, json: &mut Json) {
        match self {
            Some(value) => value.write(json),
            None => json.null(),
        }
    }

    fn placeholder() -> Self {
        None
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
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
    pub(crate) fn parse<T: super::Wire>(text: &str) -> Result<T, String> {
        let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
        T::read(&json).map_err(|mismatch| mismatch.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::parse, *};

    #[test]
    fn numbers_are_whole_and_in_range() {
        assert_eq!(parse::<u64>("9007199254740991"), Ok(9_007_199_254_740_991));
        for text in ["-1", "1.5", "9007199254740992", "\"1\"", "true", "null", "[]"] {
            assert!(parse::<u64>(text).is_err(), "{text}");
        }
        assert!(parse::<u8>("256").is_err());
        assert_eq!(parse::<Vec<(String, u8)>>(r#"[["a", 1]]"#), Ok(vec![("a".to_owned(), 1)]));
        assert!(parse::<(u8, u8)>("[1]").is_err());
    }

    #[test]
    fn an_error_tells_its_place() {
        let mismatch = Mismatch::new("is not a number").within("maxAge").within("notes").within("queues");
        assert_eq!(mismatch.to_string(), "queues.notes.maxAge: is not a number");
    }
}
