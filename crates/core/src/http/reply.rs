//! What came back from one attempt to send a job, as far as it decides anything.
//!
//! What it means for the job is decided in [`crate::queue::cycle::retry`].

use super::retry_after;
use crate::{
    queue::{batch::ItemResult, capture::Capture},
    time::Millis,
};

/// What came back from one send, as the shell saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// A response with a status that could be read.
    Status(Response),
    /// An opaque response: the server responded; no more is known.
    Opaque,
    /// No response: offline, refused, or reset.
    Unreachable,
    /// A response that the browser does not show us, for a reason other than the network: CORS, a redirect loop,
    /// an integrity mismatch. The server may have acted. The reason, for people.
    Hidden(String),
    /// A redirect that was not followed. Why not, for people.
    Redirected(String),
    /// Our own time limit passed.
    TimedOut,
    /// The request could not be built from what is stored (a missing body, a header that the browser refuses).
    Unsendable(String),
    /// It was not sent or was aborted, for a reason on this side: the app's `auth` hook failed, the owner changed, a person
    /// cancelled it.
    Withheld(String),
    /// A success of a batch that does not say what became of each of its items. How not, for people.
    Miscounted(String),
}

/// The parts of a readable response that decide anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status code.
    pub status: u16,
    /// `Retry-After`, as sent.
    pub retry_after: Option<String>,
    /// `Date`, as sent.
    pub date: Option<String>,
    /// `RateLimit`, as sent.
    pub rate_limit: Option<String>,
    /// `Content-Type`, as sent.
    pub content_type: Option<String>,
    /// Whether the response was reached by following a redirect.
    pub redirected: bool,
    /// The beginning of a textual error body, for people to read.
    pub excerpt: Option<String>,
    /// What the queue's `response` setting asks to keep of a delivery.
    pub capture: Option<Box<Capture>>,
    /// All of its JSON, where it was read for jobs that are or may be bound to it.
    pub body: Option<String>,
    /// What it says about each item of a batch.
    pub items: Option<Vec<ItemResult>>,
}

impl AttemptResult {
    /// The HTTP status, where one could be read.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status(response) => Some(response.status),
            _ => None,
        }
    }

    /// Whether a server is known to have sent it: it was reached.
    #[must_use]
    pub fn reached_server(&self) -> bool {
        matches!(self, Self::Status(_) | Self::Opaque | Self::Hidden(_) | Self::Redirected(_) | Self::Miscounted(_))
    }

    /// Whether it may mean that its server is in trouble; the circuit breaker decides.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::Unreachable | Self::TimedOut => true,
            Self::Status(response) => matches!(response.status, 408 | 425 | 429 | 500..),
            _ => false,
        }
    }

    /// Milliseconds that `Retry-After` asks to wait, of a readable response that came at `at`.
    #[must_use]
    pub fn retry_after(&self, at: Millis) -> Option<u64> {
        let Self::Status(response) = self else { return None };
        retry_after::parse(response.retry_after.as_deref()?, response.date.as_deref(), at)
    }
}
