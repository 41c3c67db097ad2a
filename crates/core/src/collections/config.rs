//! What an app says of a collection.

use serde::Deserialize;

use super::indexes::{self, Declared};
use crate::{error::Error, time::unit, wire::text::Text};

/// The longest name of a collection, in bytes.
const LONGEST_NAME: usize = 64;

/// The most rows of a page.
const LARGEST_PAGE: u32 = 1_000;

/// A collection of `start({collections})`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename = "!CollectionConfig", rename_all = "camelCase")]
pub struct CollectionConfig {
    /// Where the server has it. The row of an id is one path segment below.
    pub url: String,
    /// The member that is a record's id.
    #[serde(default = "id")]
    pub key: String,
    /// The member by which the server says when a row changed last: RFC 3339, or milliseconds or seconds since 1970.
    #[serde(default = "updated_at")]
    pub updated_at: String,
    /// The member that names a row's version; without one, when it changed last.
    pub version: Option<String>,
    /// The member that is set where a row is deleted.
    #[serde(default = "deleted_at")]
    pub deleted_at: String,
    /// Members that are the server's alone, besides the four above.
    #[serde(default)]
    pub server_owned: Vec<String>,
    /// The queue of its mutations; named like the collection where it does not say.
    pub queue: Option<String>,
    /// What its records are found by, in the order of the names.
    #[serde(default, deserialize_with = "indexes::declared")]
    pub indexes: Vec<Declared>,
    /// How rows are fetched.
    #[serde(default)]
    pub pull: PullConfig,
    /// How changes are sent.
    #[serde(default)]
    pub push: PushConfig,
    /// What becomes of a record that both sides have changed.
    #[serde(default)]
    pub conflict: ConflictConfig,
}

fn id() -> String {
    "id".to_owned()
}

fn updated_at() -> String {
    "updatedAt".to_owned()
}

fn deleted_at() -> String {
    "deletedAt".to_owned()
}

/// How rows are fetched.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename = "!PullConfig", rename_all = "camelCase", default)]
pub struct PullConfig {
    /// Milliseconds between two pulls that nobody asks for; 0 is never.
    pub every: u64,
    /// Rows of a page.
    pub page_size: u32,
    /// Milliseconds before the cursor from which each pull begins, for rows that the server commits behind their time.
    pub overlap: u64,
}

impl Default for PullConfig {
    fn default() -> Self {
        Self { every: 5 * unit::MINUTE, page_size: 200, overlap: 10 * unit::SECOND }
    }
}

/// How changes are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename = "!PushConfig", rename_all = "camelCase", default)]
pub struct PushConfig {
    /// What an update sends.
    pub update: Update,
}

/// What an update sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Update {
    /// What has changed, as a merge patch (RFC 7396), by `PATCH`.
    #[default]
    Patch,
    /// The whole record, by `PUT`.
    Put,
}

/// What becomes of a record that both sides have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename = "!ConflictConfig", rename_all = "camelCase", default)]
pub struct ConflictConfig {
    /// Who decides.
    pub strategy: Strategy,
    /// How `merge` decides about members that both sides have changed.
    pub merge: MergeRules,
}

/// Who decides about a record that both sides have changed (D6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// What was written here is written over the server's row.
    LocalWins,
    /// The server's row takes the place of what was written here.
    RemoteWins,
    /// Whichever was written later, by the device's clock and the server's.
    NewestWins,
    /// Member by member, against the row that both began from.
    #[default]
    Merge,
    /// A person: it is listed with all three sides.
    AskUser,
}

/// How [`Strategy::Merge`] decides about members that both sides have changed. Those that none of these names go by the later
/// write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename = "!MergeRules", default)]
pub struct MergeRules {
    /// Members of which the value here counts.
    pub local: Vec<String>,
    /// Members of which the later value counts.
    pub newest: Vec<String>,
    /// Lists of which the union counts: what either side added, without what either took away.
    pub union: Vec<String>,
}

impl CollectionConfig {
    /// A collection at this address, with every default.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            key: id(),
            updated_at: updated_at(),
            version: None,
            deleted_at: deleted_at(),
            server_owned: Vec::new(),
            queue: None,
            indexes: Vec::new(),
            pull: PullConfig::default(),
            push: PushConfig::default(),
            conflict: ConflictConfig::default(),
        }
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// `invalid-config` naming the option.
    pub fn check(&self, name: &str) -> Result<(), Error> {
        let refuse = |what: &str| Err(Error::invalid_config(["collections.", name, ".", what].text()));
        if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(Error::invalid_config("a collection's name has 1 to 64 bytes and no control characters"));
        }
        if self.url.contains('#') {
            return refuse("url: has a fragment");
        }
        for (option, member) in [("key", &self.key), ("updatedAt", &self.updated_at), ("deletedAt", &self.deleted_at)] {
            if member.is_empty() {
                return refuse(&[option, ": is empty"].text());
            }
        }
        indexes::check(&self.indexes).map_err(|why| Error::invalid_config(["collections.", name, ".", &why].text()))?;
        if self.pull.page_size == 0 || self.pull.page_size > LARGEST_PAGE {
            return refuse("pull.pageSize: is 1 to 1000");
        }
        if self.pull.every > 0 && self.pull.every < unit::SECOND {
            return refuse("pull.every: is 0 or at least one second (1000 ms)");
        }
        if self.pull.overlap > unit::DAY {
            return refuse("pull.overlap: is at most one day (86400000 ms)");
        }
        Ok(())
    }

    /// Whether a member is the server's to set.
    #[must_use]
    pub fn is_server_owned(&self, member: &str) -> bool {
        member == self.updated_at
            || member == self.deleted_at
            || self.version.as_deref() == Some(member)
            || self.server_owned.iter().any(|owned| owned == member)
    }
}
