//! What pages ask of records. All but [`RecordSync`](super::operation::RecordSync) is read past the worker, straight from the store.

use serde::{Deserialize, Serialize};

use crate::id::JobId;

/// A local write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!RecordWrite")]
pub struct RecordWrite {
    /// The collection.
    pub collection: String,
    /// The record's id.
    pub id: String,
    /// What is written.
    pub change: Change,
    /// Random: what the ids of its mutations are made of, where it is the record's first.
    pub seed: JobId,
}

/// What a local write does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// The whole record, as JSON.
    Put(String),
    /// A merge patch (RFC 7396) to it.
    Patch(String),
    /// An edit, by what it began from.
    Edit(RecordEdit),
    /// It goes.
    Delete,
}

/// What an edit made of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!RecordEdit")]
pub struct RecordEdit {
    /// What the record was, as JSON.
    pub from: String,
    /// What it is to be.
    pub to: String,
}

/// How a person settles a conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!Resolve")]
pub struct Resolve {
    /// The collection.
    pub collection: String,
    /// The record's id.
    pub id: String,
    /// What counts.
    pub choice: Choice,
}

/// Which side of a conflict counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// What was written here.
    Local,
    /// The server's row.
    Remote,
    /// This record, as JSON.
    Record(String),
}

/// A record by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!RecordName")]
pub struct RecordName {
    /// The collection.
    pub collection: String,
    /// The record's id.
    pub id: String,
}

/// Asks for a listing of a collection's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!RecordListing")]
pub struct RecordListing {
    /// The collection.
    pub collection: String,
    /// Parameters of the request, of a part of the rows; all of them where there are none.
    pub scope: Vec<(String, String)>,
}

/// What a listing of a collection's rows found (D5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reconciled {
    /// Rows that were not here.
    pub added: u64,
    /// Rows that were here, and changed.
    pub updated: u64,
    /// Records that are not listed any more.
    pub expired: u64,
    /// Rows that were here as they are.
    pub unchanged: u64,
    /// What went wrong; then nothing is expired.
    pub errors: Vec<String>,
    /// When it ended; none where it did not.
    pub synced_at: Option<crate::time::Millis>,
}

/// Removes records that expired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!RecordCleanUp", rename_all = "camelCase")]
pub struct RecordCleanUp {
    /// The collection.
    pub collection: String,
    /// Milliseconds for which they have been.
    pub for_ms: u64,
}

/// What became of a collection that was synced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synced {
    /// The collection.
    pub collection: String,
    /// Rows of the server that changed what is here.
    pub applied: u64,
    /// Why it was not pulled to its end.
    pub error: Option<String>,
}
