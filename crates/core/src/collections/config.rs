//! What an app says of a collection.

use serde::Deserialize;

use super::indexes::{self, Declared};
use crate::{
    error::Error,
    time::unit,
    wire::{self, text::Text},
};

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
    /// What the server speaks.
    #[serde(default)]
    pub adapter: AdapterKind,
    /// The member that is a record's id, unless the adapter's own.
    pub key: Option<String>,
    /// The member by which the server says when a row changed last: RFC 3339, or milliseconds or seconds since 1970.
    pub updated_at: Option<String>,
    /// The member that names a row's version; without one, the adapter's, or when it changed last.
    pub version: Option<String>,
    /// The member that is set where a row is deleted.
    pub deleted_at: Option<String>,
    /// Members that are the server's alone, besides the four above.
    #[serde(default)]
    pub server_owned: Vec<String>,
    /// The queue of its mutations; named like the collection where it does not say.
    pub queue: Option<String>,
    /// What its records are found by, in the order of the names.
    #[serde(default, deserialize_with = "indexes::declared")]
    pub indexes: Vec<Declared>,
    /// Members that are the id of a record of another collection, or an array of such ids; and which collection.
    #[serde(default, deserialize_with = "wire::entries")]
    pub references: Vec<(String, String)>,
    /// How rows are fetched.
    #[serde(default)]
    pub pull: PullConfig,
    /// How changes are sent.
    #[serde(default)]
    pub push: PushConfig,
    /// How the whole of the rows is compared.
    #[serde(default)]
    pub reconcile: ReconcileConfig,
    /// What becomes of a record that both sides have changed.
    #[serde(default)]
    pub conflict: ConflictConfig,
}

/// What a server speaks ([`adapter`](super::adapter)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// REST, with entity tags and merge patches.
    #[default]
    Rest,
    /// PostgREST.
    Postgrest,
    /// CouchDB's protocol.
    Couchdb,
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

/// How the whole of the rows is compared ([`listing`](super::listing)).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename = "!ReconcileConfig", rename_all = "camelCase", default)]
pub struct ReconcileConfig {
    /// Milliseconds between two that nobody asks for, while they find changes; 0 is never.
    pub every: u64,
    /// Milliseconds up to which that doubles while they find none; 0 is eight times `every`.
    pub at_most: u64,
    /// Whether rows come in pages; otherwise one response has them all.
    pub paged: bool,
    /// Whether a list without rows means that there are none.
    pub allow_empty: bool,
}

impl Default for ReconcileConfig {
    fn default() -> Self {
        Self { every: 0, at_most: 0, paged: true, allow_empty: false }
    }
}

impl ReconcileConfig {
    /// The longest wait.
    #[must_use]
    pub fn longest(&self) -> u64 {
        if self.at_most == 0 { self.every.saturating_mul(8) } else { self.at_most }
    }
}

/// How changes are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename = "!PushConfig", rename_all = "camelCase", default)]
pub struct PushConfig {
    /// What an update sends.
    pub update: Update,
    /// What a deletion does.
    pub delete: Removal,
}

/// What a deletion does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Removal {
    /// Deletes the row.
    #[default]
    Delete,
    /// Sets the member that says when it was deleted, so that others see it go (PostgREST).
    Mark,
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
            adapter: AdapterKind::default(),
            key: None,
            updated_at: None,
            version: None,
            deleted_at: None,
            server_owned: Vec::new(),
            queue: None,
            indexes: Vec::new(),
            references: Vec::new(),
            pull: PullConfig::default(),
            push: PushConfig::default(),
            reconcile: ReconcileConfig::default(),
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
        for (option, member) in
            [("key", &self.key), ("updatedAt", &self.updated_at), ("version", &self.version), ("deletedAt", &self.deleted_at)]
        {
            if member.as_deref() == Some("") {
                return refuse(&[option, ": is empty"].text());
            }
        }
        if self.adapter != AdapterKind::Rest && self.push.update == Update::Put {
            return refuse("push.update: is \"put\" with the adapter \"rest\" alone");
        }
        if self.adapter != AdapterKind::Postgrest && self.push.delete == Removal::Mark {
            return refuse("push.delete: is \"mark\" with the adapter \"postgrest\" alone");
        }
        indexes::check(&self.indexes).map_err(|why| Error::invalid_config(["collections.", name, ".", &why].text()))?;
        if self.references.iter().any(|(member, _)| member.is_empty() || member == self.key() || self.is_server_owned(member)) {
            return refuse("references: a member has a name, is not the key, and is not the server's");
        }
        if self.pull.page_size == 0 || self.pull.page_size > LARGEST_PAGE {
            return refuse("pull.pageSize: is 1 to 1000");
        }
        if self.pull.every > 0 && self.pull.every < unit::SECOND {
            return refuse("pull.every: is 0 or at least one second (1000 ms)");
        }
        if self.reconcile.every > 0 && self.reconcile.every < unit::SECOND {
            return refuse("reconcile.every: is 0 or at least one second (1000 ms)");
        }
        if self.adapter == AdapterKind::Couchdb && !self.reconcile.paged {
            return refuse("reconcile.paged: is true with the adapter \"couchdb\"");
        }
        if self.reconcile.longest() < self.reconcile.every {
            return refuse("reconcile.atMost: is at least reconcile.every");
        }
        if self.pull.overlap > unit::DAY {
            return refuse("pull.overlap: is at most one day (86400000 ms)");
        }
        Ok(())
    }

    /// The member that is a record's id.
    #[must_use]
    pub fn key(&self) -> &str {
        self.key.as_deref().unwrap_or(if self.adapter == AdapterKind::Couchdb { "_id" } else { "id" })
    }

    /// The member that says when a row changed last.
    #[must_use]
    pub fn updated_at(&self) -> &str {
        self.updated_at.as_deref().unwrap_or(if self.adapter == AdapterKind::Postgrest { "updated_at" } else { "updatedAt" })
    }

    /// The member that names a row's version.
    #[must_use]
    pub fn version(&self) -> &str {
        match (&self.version, self.adapter) {
            (Some(version), _) => version,
            (None, AdapterKind::Couchdb) => "_rev",
            (None, _) => self.updated_at(),
        }
    }

    /// Whether rows have versions besides their times.
    #[must_use]
    pub fn has_version(&self) -> bool {
        self.version.is_some() || self.adapter == AdapterKind::Couchdb
    }

    /// The member that is set in a deleted row.
    #[must_use]
    pub fn deleted_at(&self) -> &str {
        self.deleted_at.as_deref().unwrap_or(match self.adapter {
            AdapterKind::Rest => "deletedAt",
            AdapterKind::Postgrest => "deleted_at",
            AdapterKind::Couchdb => "_deleted",
        })
    }

    /// Whether a member is the server's to set.
    #[must_use]
    pub fn is_server_owned(&self, member: &str) -> bool {
        member == self.updated_at() && self.adapter != AdapterKind::Couchdb
            || member == self.deleted_at()
            || member == self.version()
            || self.server_owned.iter().any(|owned| owned == member)
    }
}
