//! Requests and answers about drafts of forms.

use serde::{Deserialize, Serialize};

use crate::{
    drafts::{Draft, File},
    id::JobId,
    time::Millis,
};

/// The request of [`Op::DraftClaim`](super::Op::DraftClaim).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!DraftClaim")]
pub struct DraftClaim {
    /// The draft that another tab holds.
    pub from: JobId,
    /// Its new name.
    pub to: JobId,
}

/// A draft in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DraftView {
    /// Its name.
    pub id: JobId,
    /// Orders its saves.
    pub seq: u64,
    /// When it was last saved.
    pub saved_at: Millis,
}

impl From<Draft> for DraftView {
    fn from(Draft { id, seq, saved_at, .. }: Draft) -> Self {
        Self { id, seq, saved_at }
    }
}

/// A draft with all that it holds. The bytes of `files` are put beside them, as the member `bodies`, by reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DraftContent {
    /// Its name.
    pub id: JobId,
    /// Orders its saves.
    pub seq: u64,
    /// When it was last saved.
    pub saved_at: Millis,
    /// What was typed, as the page wrote it.
    pub fields: String,
    /// Its files.
    pub files: Vec<File>,
}

impl From<Draft> for DraftContent {
    fn from(Draft { id, seq, saved_at, fields, files, .. }: Draft) -> Self {
        Self { id, seq, saved_at, fields, files }
    }
}
