//! JSON pointers (RFC 6901).

use std::fmt;

use crate::wire::{Mismatch, Value, Wire, json::Json};

/// The longest pointer, in bytes.
const LONGEST: usize = 1_024;

/// A JSON pointer that is well-formed, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer(String);

impl Pointer {
    /// Checks a pointer: the empty string, or tokens that begin with `/`, in which `~` is followed by `0` or `1` (§3).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let begins_well = text.is_empty() || text.starts_with('/');
        let tildes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        (begins_well && tildes && text.len() <= LONGEST).then(|| Self(text.to_owned()))
    }

    /// The pointer to the member at a path of names such as `author.id`, none for the whole document.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let mut pointer = String::new();
        for name in path.split('.').filter(|name| !name.is_empty()) {
            pointer.push('/');
            pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        }
        Self(pointer)
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its tokens, unescaped.
    pub fn tokens(&self) -> impl Iterator<Item = String> {
        self.0.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"))
    }

    /// What it points to in `document` (§4); a member of an object, or an item of an array by its index.
    #[must_use]
    pub fn find<V: Value>(&self, document: V) -> Option<V> {
        let mut found = document;
        for token in self.tokens() {
            found = match found.as_list() {
                Some(items) => items.into_iter().nth(index(&token)?)?,
                None if found.is_object() => found.entry(&token)?,
                None => return None,
            };
        }
        Some(found)
    }
}

/// An array index: digits without leading zeros (§4).
fn index(token: &str) -> Option<usize> {
    let is_index =
        token == "0" || (!token.starts_with('0') && !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()));
    is_index.then(|| token.parse().ok())?
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Wire for Pointer {
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        let text = String::read(value)?;
        Self::parse(&text).ok_or_else(|| Mismatch::new("is not a JSON pointer (RFC 6901) such as \"/id\""))
    }

    fn write(&self, json: &mut Json) {
        json.text(&self.0);
    }

    fn placeholder() -> Self {
        Self(String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document of RFC 6901 §5.
    const DOCUMENT: &str = r#"{
        "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8
    }"#;

    fn find(pointer: &str) -> Option<serde_json::Value> {
        Pointer::parse(pointer).unwrap().find(serde_json::from_str::<serde_json::Value>(DOCUMENT).unwrap())
    }

    #[test]
    fn the_pointers_of_the_rfc_find_what_they_point_to() {
        assert_eq!(find(""), Some(serde_json::from_str(DOCUMENT).unwrap()));
        assert_eq!(find("/foo"), Some(serde_json::json!(["bar", "baz"])));
        assert_eq!(find("/foo/0"), Some("bar".into()));
        for (pointer, value) in
            [("/", 0), ("/a~1b", 1), ("/c%d", 2), ("/e^f", 3), ("/g|h", 4), ("/i\\j", 5), ("/k\"l", 6), ("/ ", 7), ("/m~0n", 8)]
        {
            assert_eq!(find(pointer), Some(value.into()), "{pointer}");
        }
    }

    #[test]
    fn a_pointer_to_nothing_finds_nothing() {
        for pointer in
            ["/bar", "/foo/2", "/foo/01", "/foo/-", "/foo/+1", "/foo/bar", "/foo/0/x", "/foo/99999999999999999999", "//"]
        {
            assert_eq!(find(pointer), None, "{pointer}");
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for text in ["foo", "#/foo", "/~", "/a~2", "/~x"] {
            assert_eq!(Pointer::parse(text), None, "{text}");
        }
        assert_eq!(Pointer::parse(&"/".repeat(LONGEST + 1)), None);
    }

    #[test]
    fn a_path_of_names_is_a_pointer() {
        for (path, pointer) in [("", ""), ("id", "/id"), ("author.id", "/author/id"), ("a/b.c~d", "/a~1b/c~0d")] {
            assert_eq!(Pointer::of_path(path).as_str(), pointer);
        }
    }
}
