//! The trace that a delivered job leaves.
//!
//! A job's row and body go in the transaction that writes its [`Outcome`]. The history is bounded
//! ([`HistoryConfig`](crate::queue::config::HistoryConfig)).

use serde::{Deserialize, Serialize};

use super::{binding::Captured, capture::Capture};
use crate::{id::JobId, time::Millis};

/// A delivered job's trace in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The record's version.
    pub v: u32,
    /// The job.
    pub id: JobId,
    /// Its queue.
    pub queue: String,
    /// Its owner.
    pub owner: String,
    /// Its key.
    pub key: Option<String>,
    /// Its method.
    pub method: String,
    /// Its URL.
    pub url: String,
    /// The status of the response; `None` for an opaque reply, of which no more is known.
    pub status: Option<u16>,
    /// Attempts that got a response or timed out, this one included.
    pub attempts: u32,
    /// When it was queued.
    pub queued_at: Millis,
    /// When the outcome was recorded.
    pub delivered_at: Millis,
    /// What the queue asked to keep of the response.
    #[serde(rename = "response")]
    pub capture: Option<Capture>,
    /// What jobs that are bound to it may ask for.
    pub captured: Option<Vec<Captured>>,
}
