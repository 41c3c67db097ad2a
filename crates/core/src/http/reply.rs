//! Decides what an attempt's reply means, by its structured status and never by its text.
//!
//! | reply | disposition |
//! |---|---|
//! | 2xx; opaque (`no-cors`) | delivered (an opaque one "unknown": no more can be known) |
//! | 2xx that is not what the queue's `expect` says | not delivered: a captive portal burns no attempt, anything else does |
//! | `DELETE` answered 404 or 410 | delivered: what was to go is gone |
//! | a redirect that is not followed (`redirect: "manual"`, or the `auth` hook supplied headers) | failed, or what `statuses` says of 302 |
//! | no reply (offline, refused, cut off), 511 | unreachable: tried again, burns no attempt |
//! | a reply that CORS hides | retry: burns an attempt, for the server may have acted |
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

use crate::{
    queue::config::{Expect, QueueConfig},
    wire::text::Text,
};

/// The status whose override decides about a redirect: the platform does not tell which one it was.
const REDIRECT: u16 = 302;

/// What came back from one send, as the shell saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// A response with a status that could be read.
    Status(Response),
    /// An opaque response: the server answered, no more is known.
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
    pub kept: Option<KeptResponse>,
}

/// What is kept of the response to a delivered job, where the queue asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptResponse {
    /// The status.
    pub status: u16,
    /// The headers that the configuration names and the response has.
    pub headers: Vec<(String, String)>,
    /// The body as text, at most 64 KiB of it.
    pub body: Option<String>,
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
    /// The stored request could not be made into a fetch.
    Unsendable,
    /// It was not sent, for a reason on this side.
    Withheld,
    /// The response is hidden from us (CORS, a redirect loop, an integrity mismatch); the server may have acted.
    Hidden,
    /// The server redirects, and the redirect is not followed.
    Redirected,
    /// A success that is not what the queue's `expect` says.
    Unexpected,
    /// A person cancelled it while it was being sent; whether it arrived is not known.
    Cancelled,
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
pub enum Disposition {
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
pub fn disposition_of_status(method: &str, status: u16) -> Disposition {
    match status {
        200..=299 => Disposition::Delivered,
        404 | 410 if method == "DELETE" => Disposition::Delivered,
        401 | 419 | 440 => Disposition::Blocked,
        409 | 412 => Disposition::Conflict,
        408 | 425 | 429 => Disposition::Retry,
        501 | 505 | 507 => Disposition::Failed,
        // RFC 6585 §6: a captive portal answered in the server's place.
        511 => Disposition::Unreachable,
        500..=599 => Disposition::Retry,
        _ => Disposition::Failed,
    }
}

/// What a reply means in a queue.
#[must_use]
pub fn disposition(method: &str, reply: &AttemptResult, queue: &QueueConfig) -> Disposition {
    let overridden = |status: u16| queue.statuses.iter().find(|(other, _)| *other == status).map(|(_, disposition)| *disposition);
    match reply {
        AttemptResult::Opaque => Disposition::Delivered,
        AttemptResult::Unreachable | AttemptResult::Withheld(_) => Disposition::Unreachable,
        AttemptResult::TimedOut | AttemptResult::Hidden(_) => Disposition::Retry,
        AttemptResult::Unsendable(_) => Disposition::Failed,
        AttemptResult::Redirected(_) => overridden(REDIRECT).unwrap_or(Disposition::Failed),
        AttemptResult::Status(response) => {
            let disposition = overridden(response.status).unwrap_or_else(|| {
                // The first request under this key is still running at the server (draft
                // Idempotency-Key §2.6): it says when to come back.
                if response.status == 409 && response.retry_after.is_some() {
                    Disposition::Retry
                } else {
                    disposition_of_status(method, response.status)
                }
            });
            match queue.expect.as_ref().and_then(|expect| surprise(expect, response)) {
                Some(_) if disposition == Disposition::Delivered => {
                    if is_portal(response) {
                        Disposition::Unreachable
                    } else {
                        Disposition::Retry
                    }
                }
                _ => disposition,
            }
        }
    }
}

/// How a success differs from what the queue expects, for people.
fn surprise(expect: &Expect, response: &Response) -> Option<String> {
    let kind = response.content_type.as_deref().unwrap_or("no content type");
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if expect.redirected.is_some_and(|redirected| redirected != response.redirected) {
        return Some(if response.redirected { "it was redirected" } else { "it was not redirected" }.to_owned());
    }
    if !expect.status.is_empty() && !expect.status.contains(&response.status) {
        return Some(["its status is ", &response.status.to_string()].text());
    }
    let wanted = expect.content_type.as_deref()?;
    (!essence.eq_ignore_ascii_case(wanted)).then(|| ["it is ", essence].text())
}

/// Whether an unexpected success looks like the sign-in page of a captive portal or of the app itself.
fn is_portal(response: &Response) -> bool {
    response.redirected || response.content_type.as_deref().is_some_and(|kind| kind.starts_with("text/html"))
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
    pub fn reached_somebody(&self) -> bool {
        matches!(self, Self::Status(_) | Self::Opaque | Self::Hidden(_) | Self::Redirected(_))
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

    /// The error to store with the job.
    #[must_use]
    pub fn last_error(&self, queue: &QueueConfig) -> LastError {
        let unexpected = |response: &Response| {
            let success = disposition_of_status("", response.status) == Disposition::Delivered;
            queue.expect.as_ref().filter(|_| success).and_then(|expect| surprise(expect, response))
        };
        let (kind, message) = match self {
            Self::Unreachable => (ErrorKind::Network, "the server could not be reached".to_owned()),
            Self::TimedOut => (ErrorKind::Timeout, "the server did not answer in time".to_owned()),
            Self::Unsendable(why) => (ErrorKind::Unsendable, why.clone()),
            Self::Withheld(why) => (ErrorKind::Withheld, why.clone()),
            Self::Hidden(why) => (ErrorKind::Hidden, why.clone()),
            Self::Redirected(why) => (ErrorKind::Redirected, why.clone()),
            Self::Opaque => (ErrorKind::Http, String::new()),
            Self::Status(response) => match unexpected(response) {
                Some(how) => (ErrorKind::Unexpected, ["the response is not what the queue's `expect` says: ", &how].text()),
                None => (ErrorKind::Http, explain(response)),
            },
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
        511 => "a captive portal wants a sign-in before it lets anything through",
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
    Hidden: "hidden",
    Redirected: "redirected",
    Unexpected: "unexpected",
    Cancelled: "cancelled",
    Storage: "storage"
});
crate::record!(KeptResponse { status: "status", headers: "headers" = Vec::new(), body: "body" });
crate::record!(LastError { kind: "kind", status: "status", message: "message" });
crate::names!(Disposition {
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
        let table: &[(Disposition, &[u16])] = &[
            (Disposition::Delivered, &[200, 201, 202, 204, 207, 299]),
            (Disposition::Retry, &[408, 425, 429, 500, 502, 503, 504, 506, 508, 599]),
            (Disposition::Unreachable, &[511]),
            (Disposition::Blocked, &[401, 419, 440]),
            (Disposition::Conflict, &[409, 412]),
            (Disposition::Failed, &[300, 304, 400, 402, 403, 404, 405, 410, 413, 415, 422, 428, 451, 501, 505, 507, 600, 999]),
        ];
        for (expected, statuses) in table {
            for status in *statuses {
                assert_eq!(disposition_of_status("POST", *status), *expected, "{status}");
            }
        }
    }

    #[test]
    fn a_delete_of_what_is_gone_is_delivered() {
        assert_eq!(disposition_of_status("DELETE", 404), Disposition::Delivered);
        assert_eq!(disposition_of_status("DELETE", 410), Disposition::Delivered);
        assert_eq!(disposition_of_status("DELETE", 403), Disposition::Failed);
    }

    #[test]
    fn a_queue_overrides_single_statuses_only() {
        let reply = |status| AttemptResult::Status(Response { status, ..Response::default() });
        let overrides =
            QueueConfig { statuses: vec![(404, Disposition::Retry), (503, Disposition::Failed)], ..QueueConfig::default() };
        assert_eq!(disposition("POST", &reply(404), &overrides), Disposition::Retry);
        assert_eq!(disposition("POST", &reply(503), &overrides), Disposition::Failed);
        assert_eq!(disposition("POST", &reply(502), &overrides), Disposition::Retry);
    }

    #[test]
    fn a_409_that_says_when_to_come_back_is_no_conflict() {
        let reply = |retry_after: Option<&str>| {
            AttemptResult::Status(Response { status: 409, retry_after: retry_after.map(str::to_owned), ..Response::default() })
        };
        assert_eq!(disposition("POST", &reply(Some("1")), &QueueConfig::default()), Disposition::Retry);
        assert_eq!(disposition("POST", &reply(None), &QueueConfig::default()), Disposition::Conflict);
    }

    #[test]
    fn text_that_speaks_of_a_status_decides_nothing() {
        let response = Response { status: 503, excerpt: Some("error 400: bad request".into()), ..Response::default() };
        assert_eq!(disposition("POST", &AttemptResult::Status(response), &QueueConfig::default()), Disposition::Retry);
    }

    #[test]
    fn a_captive_portal_is_no_delivery_and_no_attempt() {
        let queue = QueueConfig {
            expect: Some(Expect { content_type: Some("application/json".into()), redirected: Some(false), ..Expect::default() }),
            ..QueueConfig::default()
        };
        let reply = |status, kind: &str, redirected| {
            AttemptResult::Status(Response { status, content_type: Some(kind.into()), redirected, ..Response::default() })
        };
        let of = |reply: &AttemptResult| disposition("POST", reply, &queue);
        assert_eq!(of(&reply(200, "application/JSON; charset=utf-8", false)), Disposition::Delivered);
        assert_eq!(of(&reply(200, "text/html", false)), Disposition::Unreachable);
        assert_eq!(of(&reply(200, "application/json", true)), Disposition::Unreachable);
        assert_eq!(of(&reply(200, "text/plain", false)), Disposition::Retry);
        assert_eq!(of(&reply(422, "text/html", false)), Disposition::Failed, "a refusal is one, whatever it looks like");
        assert_eq!(reply(200, "text/html", false).last_error(&queue).kind, ErrorKind::Unexpected);
        assert_eq!(disposition("POST", &reply(200, "text/html", true), &QueueConfig::default()), Disposition::Delivered);
    }

    #[test]
    fn an_expected_status_is_one_of_those_named() {
        let queue =
            QueueConfig { expect: Some(Expect { status: vec![201, 202], ..Expect::default() }), ..QueueConfig::default() };
        let of = |status| disposition("POST", &AttemptResult::Status(Response { status, ..Response::default() }), &queue);
        assert_eq!([of(201), of(202), of(200)], [Disposition::Delivered, Disposition::Delivered, Disposition::Retry]);
    }

    #[test]
    fn a_redirect_that_is_not_followed_fails_unless_the_queue_says_otherwise() {
        let reply = AttemptResult::Redirected("why".into());
        assert_eq!(disposition("POST", &reply, &QueueConfig::default()), Disposition::Failed);
        let queue = QueueConfig { statuses: vec![(302, Disposition::Blocked)], ..QueueConfig::default() };
        assert_eq!(disposition("POST", &reply, &queue), Disposition::Blocked);
    }

    #[test]
    fn a_reply_that_cors_hides_counts_as_an_attempt() {
        assert_eq!(disposition("POST", &AttemptResult::Hidden("CORS".into()), &QueueConfig::default()), Disposition::Retry);
    }
}
