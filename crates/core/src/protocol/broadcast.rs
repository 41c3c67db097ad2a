//! What the worker tells every page.

use serde::{Deserialize, Serialize};

use crate::{
    id::JobId,
    protocol::view::{JobView, Status, SyncResult},
};

/// A message to every page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Broadcast {
    /// [`VERSION`](super::VERSION).
    pub shearwater: u32,
    /// The status as stored.
    pub status: Status,
    /// Jobs that changed.
    pub jobs: Vec<JobView>,
    /// What happened besides.
    pub event: Option<Event>,
}

/// Things that happen to no single job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A drain of this queue began.
    SyncStart(String),
    /// A drain of this queue ended.
    SyncComplete(SyncComplete),
    /// Jobs were removed by hand.
    Removed(Vec<JobId>),
}

/// The body of [`Event::SyncComplete`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncComplete {
    /// The queue.
    pub queue: String,
    /// What it did.
    pub result: SyncResult,
}
