//! Requests and answers about jobs.

use serde::{Deserialize, Serialize};

use crate::{
    id::JobId,
    protocol::view::JobView,
    queue::{enqueue::NewJob, request::RequestHead},
};

/// The request of [`Op::Enqueue`](super::Op::Enqueue).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!Enqueue")]
pub struct Enqueue {
    /// The jobs.
    pub jobs: Vec<NewJob>,
    /// The ids are of the caller's own making, the same for the same job each time.
    #[serde(default)]
    pub repeat: bool,
}

/// The request of [`Op::Edit`](super::Op::Edit).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!Edit")]
pub struct Edit {
    /// The job.
    pub id: JobId,
    /// The change; see [`RequestHead::change`].
    pub request: RequestHead,
    /// Replace the headers too.
    #[serde(default)]
    pub headers: bool,
    /// Replace the body too.
    #[serde(default)]
    pub body: bool,
}

/// An item of the answer to [`Op::Export`](super::Op::Export): a job's view with its headers. Its body is put beside them,
/// as the member `body`, by reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// The job.
    #[serde(rename = "..job")]
    pub job: JobView,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
}
