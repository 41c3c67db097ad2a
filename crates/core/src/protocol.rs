//! What page and worker say to each other: one versioned set of messages (rule 3 of the house).
//!
//! A page posts an [`Envelope`] to the worker and gets one [`Answer`] with the same `re`; the
//! worker broadcasts [`Broadcast`]s to all pages over a `BroadcastChannel`. Bodies travel beside the
//! operation, in the envelope's `bodies`, so that a `Blob` is passed by reference.
//!
//! A message that is not of this version, or of no known shape, is answered `invalid-message` and
//! changes nothing.

use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    id::JobId,
    request::RequestHead,
    store::{enqueue::NewJob, read::Filter},
    view::{JobView, Status},
};

/// The version of these messages; page and worker of different versions refuse each other.
pub const VERSION: u32 = 1;

/// A page's message to the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// [`VERSION`].
    pub shearwater: u32,
    /// Chosen by the page; the answer carries it back.
    pub re: String,
    /// What is asked.
    pub op: Op,
}

/// What a page can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Op {
    /// Store jobs, all or none. `bodies[i]` belongs to `jobs[i]`. Answers their ids.
    Enqueue {
        /// The jobs.
        jobs: Vec<NewJob>,
        /// The page asks again for want of an answer.
        #[serde(default)]
        repeat: bool,
    },
    /// Answers a [`JobView`] or null.
    Get(JobId),
    /// Answers [`JobView`]s.
    List(Filter),
    /// Answers whether it came in time.
    Retry(JobId),
    /// Answers whether it came in time.
    Discard(JobId),
    /// Replaces the request; `bodies[0]` is the new body where `body` says so. Answers whether it came in time.
    Edit {
        /// The job.
        id: JobId,
        /// The whole new head.
        request: RequestHead,
        /// Replace the body too.
        #[serde(default)]
        body: bool,
    },
    /// Answers how many were removed.
    Clear(Filter),
    /// Drain now, waiting for nobody but servers that said so. Answers a [`crate::view::SyncResult`].
    Sync(Option<String>),
    /// Stop sending. Answers null.
    Pause(Option<String>),
    /// Send again. Answers null.
    Resume(Option<String>),
    /// Say who is signed in; null for nobody. Answers null.
    SetOwner(Option<String>),
    /// Answers the [`Status`].
    Status,
    /// Something happened that makes a wake worth while. Answers null at once.
    Wake(WakeReason),
}

/// Why a page pokes the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WakeReason {
    /// A page was opened.
    Load,
    /// The browser says the network is back.
    Online,
    /// The page became visible.
    Visible,
    /// What was due at a known time is due.
    Due,
}

/// The worker's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer<T> {
    /// [`VERSION`].
    pub shearwater: u32,
    /// The envelope's.
    pub re: String,
    /// What was asked for; absent where `error` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<T>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// What the worker tells every page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Broadcast {
    /// [`VERSION`].
    pub shearwater: u32,
    /// The status as stored.
    pub status: Status,
    /// Jobs that changed.
    #[serde(default)]
    pub jobs: Vec<JobView>,
    /// What happened besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
}

/// Things that happen to no single job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A drain of this queue began.
    SyncStart(String),
    /// A drain of this queue ended.
    SyncComplete {
        /// The queue.
        queue: String,
        /// What it did.
        result: crate::view::SyncResult,
    },
    /// Jobs were removed by hand.
    Removed(Vec<JobId>),
}
