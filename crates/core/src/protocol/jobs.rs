//! Requests and answers about jobs.

use crate::{
    id::JobId,
    protocol::view::JobView,
    queue::{enqueue::NewJob, request::RequestHead},
    wire::{Mismatch, Value, Wire, json::Json, member},
};

/// The request of [`Op::Enqueue`](super::Op::Enqueue).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueue {
    /// The jobs.
    pub jobs: Vec<NewJob>,
    /// The ids are of the caller's own making, the same for the same job each time.
    pub repeat: bool,
    /// The draft that ends with it.
    pub draft: Option<JobId>,
    /// The failed job that it stands for, which goes.
    pub replaces: Option<JobId>,
}
crate::record!(strict Enqueue { jobs: "jobs", repeat: "repeat" = false, draft: "draft", replaces: "replaces" });

/// The request of [`Op::Edit`](super::Op::Edit).
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

/// An item of the answer to [`Op::Export`](super::Op::Export): a job's view with its headers. Its body is put beside them,
/// as the member `body`, by reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The job.
    pub job: JobView,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
}

impl Wire for Exported {
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        Ok(Self { job: JobView::read(value)?, headers: member(value, "headers", None)? })
    }

    fn write(&self, json: &mut Json) {
        self.job.write(json);
        json.extend(|json| json.member("headers", &self.headers));
    }

    fn placeholder() -> Self {
        Self { job: JobView::placeholder(), headers: Vec::new() }
    }
}
