//! What a delivery keeps of its response.
//!
//! A queue's `response` setting says what is kept; the shell reads it off the response before the result is settled, and
//! the [`Outcome`](super::history::Outcome) holds it, written in the transaction that records the delivery. So whatever
//! later needs a value of a response (an app that shows it, a job that is bound to it) finds it with the outcome, or
//! finds neither.

use serde::{Deserialize, Serialize};

/// What is kept of the response to a delivered job, where the queue asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// The status.
    pub status: u16,
    /// The headers that the configuration names and the response has.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body as text, at most 64 KiB of it.
    pub body: Option<String>,
}

