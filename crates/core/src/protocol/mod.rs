//! What page and worker say to each other: one versioned set of messages (rule 3 of the house).
//!
//! A page posts an [`Envelope`] to the worker and gets one answer `{shearwater, re, ok | error, status}` with
//! the same `re`; `status` is the [`Status`] after a change, so that a page reads its own writes. A message that gets
//! no answer is posted again as it was; however often it comes, it takes effect once ([`crate::store::receipts`]).
//! The worker broadcasts [`Broadcast`]s to all pages over a `BroadcastChannel`. Bodies travel beside the
//! operation, in the envelope's `bodies`, so that a `Blob` is passed by reference.
//!
//! A message that is not of this version, or of no known shape, is answered `invalid-message` and
//! changes nothing.

pub mod view;

use crate::{
    id::JobId,
    protocol::view::{JobView, Status, SyncResult},
    queue::{enqueue::NewJob, request::RequestHead},
    schedule::wakes::WakeReason,
    store::{Caller, read::Filter},
    time::Millis,
    wire::{Mismatch, Value, Wire, json::Json, member},
};

/// The version of these messages; page and worker of different versions refuse each other.
pub const VERSION: u32 = 1;

/// A page's message to the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// [`VERSION`].
    pub shearwater: u32,
    /// A UUID that the page makes for each call; the answer carries it back.
    pub re: String,
    /// When it was first posted.
    pub at: Option<Millis>,
    /// Who was signed in as the page knew it; empty for nobody.
    pub owner: Option<String>,
    /// What is asked.
    pub op: Op,
}

impl Envelope {
    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller { re: self.re.clone(), at: self.at, owner: self.owner.clone() }
    }
}

/// What a page can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Store jobs, all or none. `bodies[i]` belongs to `jobs[i]`. Answers their ids.
    Enqueue(Enqueue),
    /// Answers a [`JobView`] or null.
    Get(JobId),
    /// Answers [`JobView`]s.
    List(Filter),
    /// Answers whether it came in time.
    Retry(JobId),
    /// Answers whether it came in time.
    Discard(JobId),
    /// Stops a job, be it on its way. Answers whether it came in time.
    Cancel(JobId),
    /// Changes the request; `bodies[0]` is the new body where `body` says so. Answers whether it came in time.
    Edit(Edit),
    /// Answers how many were removed.
    Clear(Filter),
    /// Drain now, waiting for nobody but servers that said so. Answers a [`crate::protocol::view::SyncResult`].
    Sync(Option<String>),
    /// Stop sending. Answers null.
    Pause(Option<String>),
    /// Send again. Answers null.
    Resume(Option<String>),
    /// Say who is signed in. Answers null.
    SetOwner(SetOwner),
    /// Answers the [`crate::metrics::Metrics`].
    Metrics,
    /// Look at every row and put right what is wrong. Answers a [`crate::store::repair::Report`].
    Repair,
    /// Forget what is old; returns a [`crate::queue::manage::Compacted`].
    Compact(Compact),
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
    SyncComplete(SyncComplete),
    /// Jobs were removed by hand.
    Removed(Vec<JobId>),
}

crate::record!(strict Envelope {
    shearwater: "shearwater",
    re: "re",
    at: "at",
    owner: "owner",
    op: "op",
});
crate::record!(Broadcast { shearwater: "shearwater", status: "status", jobs: "jobs", event: "event" });

/// The body of [`Op::Enqueue`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueue {
    /// The jobs.
    pub jobs: Vec<NewJob>,
    /// The ids are of the caller's own making, the same for the same job each time.
    pub repeat: bool,
}
crate::record!(strict Enqueue { jobs: "jobs", repeat: "repeat" = false });

/// The body of [`Op::Edit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The job.
    pub id: JobId,
    /// The change; see [`RequestHead::change`].
    pub request: RequestHead,
    /// Replace the headers too.
    pub headers: bool,
    /// Replace the body too.
    pub body: bool,
}
crate::record!(strict Edit { id: "id", request: "request", headers: "headers" = false, body: "body" = false });

/// The body of [`Op::SetOwner`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetOwner {
    /// None for nobody.
    pub owner: Option<String>,
    /// Remove everything of this owner; empty for nobody.
    pub purge: Option<String>,
}
crate::record!(strict SetOwner { owner: "owner", purge: "purge" });

/// The body of [`Op::Compact`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compact {
    /// Dead letters older than this many milliseconds, too.
    pub failed: Option<u64>,
}
crate::record!(strict Compact { failed: "failed" });

/// The body of [`Event::SyncComplete`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncComplete {
    /// The queue.
    pub queue: String,
    /// What it did.
    pub result: SyncResult,
}
crate::record!(SyncComplete { queue: "queue", result: "result" });

/// An operation is `{"its-name": its body}`, or its name alone where there is no body.
impl Wire for Op {
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        let names = value.names();
        let name = match (value.as_text(), names.as_slice()) {
            (Some(name), _) => name,
            (None, [name]) => name.clone(),
            _ => return Err(Mismatch::new("is not exactly one operation")),
        };
        Ok(match name.as_str() {
            "enqueue" => Self::Enqueue(member(value, "enqueue", None)?),
            "get" => Self::Get(member(value, "get", None)?),
            "list" => Self::List(member(value, "list", Some(Filter::default()))?),
            "retry" => Self::Retry(member(value, "retry", None)?),
            "discard" => Self::Discard(member(value, "discard", None)?),
            "cancel" => Self::Cancel(member(value, "cancel", None)?),
            "edit" => Self::Edit(member(value, "edit", None)?),
            "clear" => Self::Clear(member(value, "clear", Some(Filter::default()))?),
            "sync" => Self::Sync(member(value, "sync", None)?),
            "pause" => Self::Pause(member(value, "pause", None)?),
            "resume" => Self::Resume(member(value, "resume", None)?),
            "setOwner" => Self::SetOwner(member(value, "setOwner", None)?),
            "metrics" => Self::Metrics,
            "repair" => Self::Repair,
            "compact" => Self::Compact(member(value, "compact", None)?),
            "export" => Self::Export(member(value, "export", Some(Filter::default()))?),
            "status" => Self::Status,
            "wake" => Self::Wake(member(value, "wake", None)?),
            _ => return Err(Mismatch::new("unknown operation").within(&name)),
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
            Self::Enqueue(jobs) => json.member("enqueue", jobs),
            Self::Get(id) => json.member("get", id),
            Self::List(filter) => json.member("list", filter),
            Self::Retry(id) => json.member("retry", id),
            Self::Discard(id) => json.member("discard", id),
            Self::Cancel(id) => json.member("cancel", id),
            Self::Edit(change) => json.member("edit", change),
            Self::Clear(filter) => json.member("clear", filter),
            Self::Sync(queue) => named(json, "sync", queue),
            Self::Pause(queue) => named(json, "pause", queue),
            Self::Resume(queue) => named(json, "resume", queue),
            Self::SetOwner(owner) => json.member("setOwner", owner),
            Self::Compact(which) => json.member("compact", which),
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
