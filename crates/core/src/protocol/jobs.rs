//! Requests and answers about jobs.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};

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
    /// The draft that ends with it.
    pub draft: Option<JobId>,
    /// The failed job that it stands for, which goes.
    pub replaces: Option<JobId>,
}

/// The request of [`Op::Discard`](super::Op::Discard) and [`Op::Cancel`](super::Op::Cancel): the job's id, or an object where
/// those that wait for its response go too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The job.
    pub id: JobId,
    /// Those that wait for its response go too.
    pub cascade: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "!RemovalRow")]
struct RemovalRow {
    id: JobId,
    #[serde(default)]
    cascade: bool,
}

impl From<JobId> for Removal {
    fn from(id: JobId) -> Self {
        Self { id, cascade: false }
    }
}

impl Serialize for Removal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.cascade {
            RemovalRow { id: self.id.clone(), cascade: true }.serialize(serializer)
        } else {
            // As versions write it that know no more.
            self.id.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Removal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RemovalVisitor)
    }
}

struct RemovalVisitor;

impl<'de> Visitor<'de> for RemovalVisitor {
    type Value = Removal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a job id")
    }

    fn visit_str<E: de::Error>(self, id: &str) -> Result<Removal, E> {
        JobId::parse(id).map(Removal::from).map_err(|_| E::invalid_value(de::Unexpected::Unit, &self))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Removal, D::Error> {
        RemovalRow::deserialize(deserializer).map(|RemovalRow { id, cascade }| Removal { id, cascade })
    }
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
