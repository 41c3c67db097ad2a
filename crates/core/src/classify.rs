//! Decides what an attempt's reply means, by its structured status and never by its text.
//!
//! | reply | meaning |
//! |---|---|
//! | 2xx; opaque (`no-cors`, `redirect: "manual"`) | delivered (an opaque one "unknown": no more can be known) |
//! | `DELETE` answered 404 or 410 | delivered: what was to go is gone |
//! | no reply (offline, refused, cut off) | unreachable: tried again, burns no attempt |
//! | not sent: the `auth` hook failed, the owner changed | as unreachable, and says nothing about the server |
//! | timeout, 408, 425, 429, 5xx but 501, 505, 507 | retry: burns an attempt |
//! | 401, 419, 440 | blocked until signed in |
//! | 409 with `Retry-After` | retry: the first request under this key is still running |
//! | other 409, 412 | conflict |
//! | 428 | failed: the request needs `If-Match` |
//! | 507 | failed until a person retries |
//! | every other status | failed |
//!
//! "No reply" burns no attempt because a browser cannot tell "offline" from "server down": both are
//! the same `TypeError`. What bounds such a job is its `maxAge`.

use crate::text::Text;

/// What came back from one send, as the shell saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A response with a status that could be read.
    Status(Response),
    /// An opaque response: the server answered, no more is known.
    Opaque,
    /// No response: offline, refused, reset, or blocked by CORS.
    Unreachable,
    /// Our own time limit passed.
    TimedOut,
    /// The request could not be built from what is stored (a missing body, a header that the browser refuses).
    Unsendable(String),
    /// It was not sent, for a reason on this side: the app's `auth` hook failed, the owner changed.
    Withheld(String),
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
    /// The beginning of a textual error body, for people to read.
    pub excerpt: Option<String>,
}

/// Why the last attempt did not deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No reply at all.
    Network,
    /// Our time limit passed.
    Timeout,
    /// The server answered with this status.
    Http,
    /// The worker was killed while the job was in flight; whether it arrived is not known.
    Interrupted,
    /// The job is older than its `maxAge`.
    Expired,
    /// The stored request could not be turned into a fetch.
    Unsendable,
    /// It was not sent, for a reason on this side.
    Withheld,
    /// The drain could not write what it does; of the status only, no job has it.
    Storage,
}

/// A job's last error, as stored and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// What kind.
    pub kind: ErrorKind,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// One sentence for people.
    pub message: String,
}

impl LastError {
    /// What ended a drain.
    #[must_use]
    pub fn storage(error: &crate::error::Error) -> Self {
        Self { kind: ErrorKind::Storage, status: None, message: error.message.clone() }
    }
}

/// What an attempt's reply means for its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Done.
    Delivered,
    /// Try again later; counts toward `maxAttempts`.
    Retry,
    /// Dead letter, for a person to look at.
    Failed,
    /// The server's state disagrees.
    Conflict,
    /// Waits for sign-in.
    Blocked,
    /// Nobody answered; try again later, counts toward nothing.
    Unreachable,
}

/// What `status` in answer to `method` means, before any queue's overrides.
#[must_use]
pub fn status_meaning(method: &str, status: u16) -> Meaning {
    match status {
        200..=299 => Meaning::Delivered,
        404 | 410 if method == "DELETE" => Meaning::Delivered,
        401 | 419 | 440 => Meaning::Blocked,
        409 | 412 => Meaning::Conflict,
        408 | 425 | 429 => Meaning::Retry,
        501 | 505 | 507 => Meaning::Failed,
        500..=599 => Meaning::Retry,
        _ => Meaning::Failed,
    }
}

/// What a reply means, given a queue's overrides as `(status, meaning)`.
#[must_use]
pub fn meaning(method: &str, reply: &Reply, overrides: &[(u16, Meaning)]) -> Meaning {
    match reply {
        Reply::Opaque => Meaning::Delivered,
        Reply::Unreachable | Reply::Withheld(_) => Meaning::Unreachable,
        Reply::TimedOut => Meaning::Retry,
        Reply::Unsendable(_) => Meaning::Failed,
        Reply::Status(response) => overrides.iter().find(|(status, _)| *status == response.status).map_or_else(
            // The first request under this key is still running at the server (draft
            // Idempotency-Key §2.6): it says when to come back.
            || {
                if response.status == 409 && response.retry_after.is_some() {
                    Meaning::Retry
                } else {
                    status_meaning(method, response.status)
                }
            },
            |(_, meaning)| *meaning,
        ),
    }
}

impl Reply {
    /// The HTTP status, where one could be read.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status(response) => Some(response.status),
            _ => None,
        }
    }

    /// The error to store with the job.
    #[must_use]
    pub fn last_error(&self) -> LastError {
        let (kind, message) = match self {
            Self::Unreachable => (ErrorKind::Network, "the server could not be reached".to_owned()),
            Self::TimedOut => (ErrorKind::Timeout, "the server did not answer in time".to_owned()),
            Self::Unsendable(why) => (ErrorKind::Unsendable, why.clone()),
            Self::Withheld(why) => (ErrorKind::Withheld, why.clone()),
            Self::Opaque => (ErrorKind::Http, String::new()),
            Self::Status(response) => (ErrorKind::Http, explain(response)),
        };
        LastError { kind, status: self.status(), message }
    }
}

fn explain(response: &Response) -> String {
    let advice = match response.status {
        401 | 419 | 440 => "the server wants a sign-in",
        409 | 412 => "the server's state has changed since",
        428 => "the server needs If-Match",
        429 => "the server asks to slow down",
        507 => "the server is out of storage; retry by hand when it has room",
        500..=599 => "the server failed",
        _ => "the server refused the request",
    };
    match response.excerpt.as_deref() {
        Some(excerpt) if !excerpt.is_empty() => [advice, ": ", excerpt].text(),
        _ => advice.to_owned(),
    }
}

crate::names!(ErrorKind {
    Network: "network",
    Timeout: "timeout",
    Http: "http",
    Interrupted: "interrupted",
    Expired: "expired",
    Unsendable: "unsendable",
    Withheld: "withheld",
    Storage: "storage"
});
crate::record!(LastError { kind: "kind", status: "status", message: "message" });
crate::names!(Meaning {
    Delivered: "deliver",
    Retry: "retry",
    Failed: "fail",
    Conflict: "conflict",
    Blocked: "block",
    Unreachable: "unreachable",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_the_table() {
        let table: &[(Meaning, &[u16])] = &[
            (Meaning::Delivered, &[200, 201, 202, 204, 207, 299]),
            (Meaning::Retry, &[408, 425, 429, 500, 502, 503, 504, 506, 508, 511, 599]),
            (Meaning::Blocked, &[401, 419, 440]),
            (Meaning::Conflict, &[409, 412]),
            (Meaning::Failed, &[300, 304, 400, 402, 403, 404, 405, 410, 413, 415, 422, 428, 451, 501, 505, 507, 600, 999]),
        ];
        for (expected, statuses) in table {
            for status in *statuses {
                assert_eq!(status_meaning("POST", *status), *expected, "{status}");
            }
        }
    }

    #[test]
    fn a_delete_of_what_is_gone_is_delivered() {
        assert_eq!(status_meaning("DELETE", 404), Meaning::Delivered);
        assert_eq!(status_meaning("DELETE", 410), Meaning::Delivered);
        assert_eq!(status_meaning("DELETE", 403), Meaning::Failed);
    }

    #[test]
    fn a_queue_overrides_single_statuses_only() {
        let reply = |status| Reply::Status(Response { status, ..Response::default() });
        let overrides = [(404, Meaning::Retry), (503, Meaning::Failed)];
        assert_eq!(meaning("POST", &reply(404), &overrides), Meaning::Retry);
        assert_eq!(meaning("POST", &reply(503), &overrides), Meaning::Failed);
        assert_eq!(meaning("POST", &reply(502), &overrides), Meaning::Retry);
    }

    #[test]
    fn a_409_that_says_when_to_come_back_is_no_conflict() {
        let reply = |retry_after: Option<&str>| {
            Reply::Status(Response { status: 409, retry_after: retry_after.map(str::to_owned), ..Response::default() })
        };
        assert_eq!(meaning("POST", &reply(Some("1")), &[]), Meaning::Retry);
        assert_eq!(meaning("POST", &reply(None), &[]), Meaning::Conflict);
    }

    #[test]
    fn text_that_speaks_of_a_status_decides_nothing() {
        let response = Response { status: 503, excerpt: Some("error 400: bad request".into()), ..Response::default() };
        assert_eq!(meaning("POST", &Reply::Status(response), &[]), Meaning::Retry);
    }
}
