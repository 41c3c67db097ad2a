//! Requests and answers about the store as a whole.

use crate::{
    metrics::Metrics,
    store::repair::Report,
    time::Millis,
    wire::{Mismatch, Value, Wire, json::Json, member},
};

/// The request of [`Op::Compact`](super::Op::Compact).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compact {
    /// Dead letters older than this many milliseconds, too.
    pub failed: Option<u64>,
}
crate::record!(strict Compact { failed: "failed" });

/// A stored row that did not parse and was put aside as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
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
crate::record!(QuarantinedRow { store: "store", id: "id", reason: "reason", at: "at" });

/// What was put aside, and what was asked for: in a message, one object.
#[derive(Clone, Debug, PartialEq)]
pub struct WithQuarantine<T> {
    /// What was asked for.
    pub of: T,
    /// The current owner's rows that were put aside, and those of nobody knows whom.
    pub quarantine: Vec<QuarantinedRow>,
}

/// The answer to [`Op::Metrics`](super::Op::Metrics).
pub type Measured = WithQuarantine<Metrics>;

/// The answer to [`Op::Repair`](super::Op::Repair).
pub type Repaired = WithQuarantine<Report>;

impl<T: Wire> Wire for WithQuarantine<T> {
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        Ok(Self { of: T::read(value)?, quarantine: member(value, "quarantine", None)? })
    }

    fn write(&self, json: &mut Json) {
        self.of.write(json);
        json.extend(|json| json.member("quarantine", &self.quarantine));
    }

    fn placeholder() -> Self {
        Self { of: T::placeholder(), quarantine: Vec::new() }
    }
}
