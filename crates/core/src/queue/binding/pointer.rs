//! JSON pointers (RFC 6901).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// The longest pointer, in bytes.
const LONGEST: usize = 1_024;

/// A JSON pointer that is well-formed, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
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

    /// Its tokens, unescaped: the names of members and the indexes of items on the way (§4).
    pub fn tokens(&self) -> impl Iterator<Item = String> {
        self.0.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"))
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("is not a JSON pointer (RFC 6901) such as \"/id\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
