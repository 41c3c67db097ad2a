//! What the worker tells every page.

use crate::{
    id::JobId,
    protocol::view::{JobView, Status, SyncResult},
    wire::{Mismatch, Value, Wire, json::Json, member},
};

/// A message to every page.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A drain of this queue began.
    SyncStart(String),
    /// A drain of this queue ended.
    SyncComplete(SyncComplete),
    /// Jobs were removed by hand.
    Removed(Vec<JobId>),
}

crate::record!(Broadcast { shearwater: "shearwater", status: "status", jobs: "jobs", event: "event" });

/// The body of [`Event::SyncComplete`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncComplete {
    /// The queue.
    pub queue: String,
    /// What it did.
    pub result: SyncResult,
}
crate::record!(SyncComplete { queue: "queue", result: "result" });

impl Wire for Event {
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        if let Some(queue) = value.member("sync-start") {
            return String::read(&queue).map(Self::SyncStart);
        }
        if let Some(ids) = value.member("removed") {
            return Vec::read(&ids).map(Self::Removed);
        }
        member(value, "sync-complete", None).map(Self::SyncComplete)
    }

    fn write(&self, json: &mut Json) {
        json.object(|json| match self {
            Self::SyncStart(queue) => json.member("sync-start", queue),
            Self::SyncComplete(done) => json.member("sync-complete", done),
            Self::Removed(ids) => json.member("removed", ids),
        });
    }

    fn placeholder() -> Self {
        Self::Removed(Vec::new())
    }
}
