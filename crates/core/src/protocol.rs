//! What page and worker say to each other: one versioned set of messages (rule 3 of the house).
//!
//! A page posts an [`Envelope`] to the worker and gets one answer `{shearwater, re, ok | error, status}` with
//! the same `re`; `status` is the [`Status`] after a change, so that a page reads its own writes. The
//! worker broadcasts [`Broadcast`]s to all pages over a `BroadcastChannel`. Bodies travel beside the
//! operation, in the envelope's `bodies`, so that a `Blob` is passed by reference.
//!
//! A message that is not of this version, or of no known shape, is answered `invalid-message` and
//! changes nothing.

use crate::{
    id::JobId,
    json::Json,
    request::RequestHead,
    store::{enqueue::NewJob, read::Filter},
    view::{JobView, Status, SyncResult},
    wake::WakeReason,
    wire::{Mismatch, Value, Wire, member},
};

/// The version of these messages; page and worker of different versions refuse each other.
pub const VERSION: u32 = 1;

/// A page's message to the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// [`VERSION`].
    pub shearwater: u32,
    /// Chosen by the page; the answer carries it back.
    pub re: String,
    /// What is asked.
    pub op: Op,
}

/// What a page can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Store jobs, all or none. `bodies[i]` belongs to `jobs[i]`. Answers their ids.
    Enqueue {
        /// The jobs.
        jobs: Vec<NewJob>,
        /// The page asks again for want of an answer.
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
    /// Changes the request; `bodies[0]` is the new body where `body` says so. Answers whether it came in time.
    Edit {
        /// The job.
        id: JobId,
        /// The change; see [`RequestHead::change`].
        request: RequestHead,
        /// Replace the headers too.
        headers: bool,
        /// Replace the body too.
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
    /// Say who is signed in. Answers null.
    SetOwner {
        /// None for nobody.
        owner: Option<String>,
        /// Remove everything of the one before.
        purge: bool,
    },
    /// Answers the [`crate::metrics::Metrics`].
    Metrics,
    /// Look at every row and put right what is wrong. Answers a [`crate::store::repair::Report`].
    Repair,
    /// Forget what is old; answers a [`crate::store::hands::Compacted`].
    Compact {
        /// Dead letters older than this many milliseconds, too.
        failed: Option<u64>,
    },
    /// Answers the dead letters with their requests and bodies.
    Export(Filter),
    /// Answers the [`Status`].
    Status,
    /// Something happened that makes a wake worth while. Answers null at once.
    Wake(WakeReason),
}

/// What the worker tells every page.
#[derive(Clone, Debug, PartialEq)]
pub struct Broadcast {
    /// [`VERSION`].
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
    SyncComplete {
        /// The queue.
        queue: String,
        /// What it did.
        result: SyncResult,
    },
    /// Jobs were removed by hand.
    Removed(Vec<JobId>),
}

crate::record!(strict Envelope {
    shearwater: "shearwater",
    re: "re",
    op: "op",
});
crate::record!(Broadcast { shearwater: "shearwater", status: "status", jobs: "jobs", event: "event" });

/// The body of [`Op::Enqueue`].
struct EnqueueOp {
    jobs: Vec<NewJob>,
    repeat: bool,
}
crate::record!(strict EnqueueOp { jobs: "jobs", repeat: "repeat" = false });

/// The body of [`Op::Edit`].
struct EditOp {
    id: JobId,
    request: RequestHead,
    headers: bool,
    body: bool,
}
crate::record!(strict EditOp { id: "id", request: "request", headers: "headers" = false, body: "body" = false });

/// The body of [`Op::SetOwner`].
struct SetOwnerOp {
    owner: Option<String>,
    purge: bool,
}
crate::record!(strict SetOwnerOp { owner: "owner", purge: "purge" = false });

/// The body of [`Op::Compact`].
struct CompactOp {
    failed: Option<u64>,
}
crate::record!(strict CompactOp { failed: "failed" });

/// The body of [`Event::SyncComplete`].
struct SyncCompleteEvent {
    queue: String,
    result: SyncResult,
}
crate::record!(SyncCompleteEvent { queue: "queue", result: "result" });

/// An operation is `{"its-name": its body}`, or its name alone where there is no body.
impl Wire for Op {
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        let names = value.names();
        let name = match (value.as_text(), names.as_slice()) {
            (Some(name), _) => name,
            (None, [name]) => name.clone(),
            _ => return Err(Mismatch::new("is not one operation")),
        };
        Ok(match name.as_str() {
            "enqueue" => {
                let EnqueueOp { jobs, repeat } = member(value, "enqueue", None)?;
                Self::Enqueue { jobs, repeat }
            }
            "get" => Self::Get(member(value, "get", None)?),
            "list" => Self::List(member(value, "list", Some(Filter::default()))?),
            "retry" => Self::Retry(member(value, "retry", None)?),
            "discard" => Self::Discard(member(value, "discard", None)?),
            "edit" => {
                let EditOp { id, request, headers, body } = member(value, "edit", None)?;
                Self::Edit { id, request, headers, body }
            }
            "clear" => Self::Clear(member(value, "clear", Some(Filter::default()))?),
            "sync" => Self::Sync(member(value, "sync", None)?),
            "pause" => Self::Pause(member(value, "pause", None)?),
            "resume" => Self::Resume(member(value, "resume", None)?),
            "setOwner" => {
                let SetOwnerOp { owner, purge } = member(value, "setOwner", None)?;
                Self::SetOwner { owner, purge }
            }
            "metrics" => Self::Metrics,
            "repair" => Self::Repair,
            "compact" => {
                let CompactOp { failed } = member(value, "compact", None)?;
                Self::Compact { failed }
            }
            "export" => Self::Export(member(value, "export", Some(Filter::default()))?),
            "status" => Self::Status,
            "wake" => Self::Wake(member(value, "wake", None)?),
            _ => return Err(Mismatch::new("there is no such operation").within(&name)),
        })
    }

    fn write(&self, json: &mut Json) {
        match self {
            Self::Metrics => return json.text("metrics"),
            Self::Repair => return json.text("repair"),
            Self::Status => return json.text("status"),
            _ => {}
        }
        json.object(|json| match self {
            Self::Enqueue { jobs, repeat } => {
                json.name("enqueue");
                json.object(|json| {
                    json.member("jobs", jobs);
                    json.member("repeat", repeat);
                });
            }
            Self::Get(id) => json.member("get", id),
            Self::List(filter) => json.member("list", filter),
            Self::Retry(id) => json.member("retry", id),
            Self::Discard(id) => json.member("discard", id),
            Self::Edit { id, request, headers, body } => {
                json.name("edit");
                json.object(|json| {
                    json.member("id", id);
                    json.member("request", request);
                    json.member("headers", headers);
                    json.member("body", body);
                });
            }
            Self::Clear(filter) => json.member("clear", filter),
            Self::Sync(queue) => named(json, "sync", queue),
            Self::Pause(queue) => named(json, "pause", queue),
            Self::Resume(queue) => named(json, "resume", queue),
            Self::SetOwner { owner, purge } => {
                json.name("setOwner");
                json.object(|json| {
                    json.member("owner", owner);
                    json.member("purge", purge);
                });
            }
            Self::Compact { failed } => {
                json.name("compact");
                json.object(|json| json.member("failed", failed));
            }
            Self::Export(filter) => json.member("export", filter),
            Self::Wake(reason) => json.member("wake", reason),
            Self::Metrics | Self::Repair | Self::Status => {}
        });
    }

    fn placeholder() -> Self {
        Self::Status
    }
}

/// A member that is null where there is nothing: its name tells the operation.
fn named(json: &mut Json, name: &'static str, queue: &Option<String>) {
    json.name(name);
    queue.write(json);
}

impl Wire for Event {
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        if let Some(queue) = value.member("sync-start") {
            return String::read(&queue).map(Self::SyncStart);
        }
        if let Some(ids) = value.member("removed") {
            return Vec::read(&ids).map(Self::Removed);
        }
        let SyncCompleteEvent { queue, result } = member(value, "sync-complete", None)?;
        Ok(Self::SyncComplete { queue, result })
    }

    fn write(&self, json: &mut Json) {
        json.object(|json| match self {
            Self::SyncStart(queue) => json.member("sync-start", queue),
            Self::SyncComplete { queue, result } => {
                json.name("sync-complete");
                json.object(|json| {
                    json.member("queue", queue);
                    json.member("result", result);
                });
            }
            Self::Removed(ids) => json.member("removed", ids),
        });
    }

    fn placeholder() -> Self {
        Self::Removed(Vec::new())
    }
}
