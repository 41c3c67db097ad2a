//! Why a job's last attempt did not deliver it: a kind for programs, a sentence for people.

use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    http::reply::{AttemptResult, Response},
    queue::config::QueueConfig,
    wire::text::Text,
};

/// Why the last attempt did not deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ErrorKind {
    /// No reply at all.
    Network,
    /// Our time limit passed.
    Timeout,
    /// The server responded with this status.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    pub fn storage(error: &Error) -> Self {
        Self { kind: ErrorKind::Storage, status: None, message: error.message.clone() }
    }

    /// Why `result` was no delivery, to store with the job.
    #[must_use]
    pub fn of(result: &AttemptResult, queue: &QueueConfig) -> Self {
        let unexpected = |response: &Response| {
            let success = (200..300).contains(&response.status);
            queue.expect.as_ref().filter(|_| success).and_then(|expect| expect.mismatch(response))
        };
        let (kind, message) = match result {
            AttemptResult::Unreachable => (ErrorKind::Network, "the server could not be reached".to_owned()),
            AttemptResult::TimedOut => (ErrorKind::Timeout, "the server did not respond in time".to_owned()),
            AttemptResult::Unsendable(why) => (ErrorKind::Unsendable, why.clone()),
            AttemptResult::Withheld(why) => (ErrorKind::Withheld, why.clone()),
            AttemptResult::Hidden(why) => (ErrorKind::Hidden, why.clone()),
            AttemptResult::Redirected(why) => (ErrorKind::Redirected, why.clone()),
            AttemptResult::Miscounted(why) => (ErrorKind::Unexpected, why.clone()),
            AttemptResult::Opaque => (ErrorKind::Http, String::new()),
            AttemptResult::Status(response) => match unexpected(response) {
                Some(how) => (ErrorKind::Unexpected, ["the response does not match `expect`: ", &how].text()),
                None => (ErrorKind::Http, explain(response)),
            },
        };
        Self { kind, status: result.status(), message }
    }
}

fn explain(response: &Response) -> String {
    let advice = match response.status {
        200..=299 => "a page came in place of the server's response",
        401 | 419 | 440 => "the server requires sign-in",
        409 | 412 => "the server's state has changed since",
        428 => "the server requires If-Match",
        429 => "the server asks to slow down",
        511 => "a captive portal requires sign-in",
        507 => "the server is out of storage; retry when it has room",
        500..=599 => "the server failed",
        _ => "the server refused the request",
    };
    match response.excerpt.as_deref() {
        Some(excerpt) if !excerpt.is_empty() => [advice, ": ", excerpt].text(),
        _ => advice.to_owned(),
    }
}
