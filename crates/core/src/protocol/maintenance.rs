//! Requests and answers about the store as a whole.

use serde::{Deserialize, Serialize};

use crate::{metrics::Metrics, schedule::periodic::PeriodicView, store::repair::Report, time::Millis};

/// The request of [`Op::Compact`](super::Op::Compact).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!Compact")]
pub struct Compact {
    /// Dead letters older than this many milliseconds, too.
    pub failed: Option<u64>,
}

/// A stored row that did not parse and was put aside as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedRow {
    /// Where it lay.
    pub store: String,
    /// Its job's id, as far as it has one.
    pub id: Option<String>,
    /// What did not parse.
    pub reason: String,
    /// Since when it lies aside.
    pub at: Millis,
}

/// What was put aside, and what was asked for: in a message, one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WithQuarantine<T> {
    /// What was asked for.
    #[serde(rename = "..of")]
    pub of: T,
    /// The current owner's rows that were put aside, and those of nobody knows whom.
    pub quarantine: Vec<QuarantinedRow>,
}

/// The answer to [`Op::Metrics`](super::Op::Metrics).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Figures about the queue.
    #[serde(rename = "..of")]
    pub of: Metrics,
    /// As [`WithQuarantine::quarantine`].
    pub quarantine: Vec<QuarantinedRow>,
    /// What became of periodic tasks, by tag.
    #[serde(default)]
    pub periodic: Vec<PeriodicView>,
}

/// The answer to [`Op::Repair`](super::Op::Repair).
pub type Repaired = WithQuarantine<Report>;
