//! Defines collections of records: REST resources whose rows carry versions, times and tombstones.
//!
//! A collection is made by its first use. Each write counts the row's version up by one and is logged in the
//! transaction that makes it. A deleted row stays as a tombstone. A row's `updatedAt` never goes back, unless a
//! test fixed the collection's clock.

mod merge_patch;
mod operation;
mod options;

pub(crate) use operation::{Change, Operation, Write, reply};
pub(crate) use options::{CollectionOptions, Collections, Stamp};

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The members of a JSON object.
pub(crate) type Members = Map<String, Value>;

/// What the server says of a row; ignored in the bodies of clients.
const OWNED: [&str; 4] = ["id", "version", "updatedAt", "deletedAt"];

const MAX_NAME_LENGTH: usize = 40;

/// A collection's name: 1 to 40 lower-case letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Collection(String);

/// Why a text is not a [`Collection`].
#[derive(Debug, thiserror::Error)]
#[error("a collection's name is 1 to 40 of a-z, 0-9 and -")]
pub(crate) struct NotACollection;

impl Collection {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Collection {
    type Error = NotACollection;

    fn try_from(name: String) -> Result<Self, NotACollection> {
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > MAX_NAME_LENGTH || !name.chars().all(valid) {
            return Err(NotACollection);
        }
        Ok(Self(name))
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The members that the client owns.
pub(crate) fn without_owned(mut members: Members) -> Members {
    for name in OWNED {
        members.remove(name);
    }
    members
}
