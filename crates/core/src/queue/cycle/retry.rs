//! Decides what becomes of a job after an attempt: delivered, tried again and when, or given to a person.
//!
//! [`decide`] is the whole decision, a pure function of the job, the attempt's result, the queue's settings, the
//! time and a random number. It goes by the structured status and never by text:
//!
//! | result of the attempt | what becomes of the job |
//! |---|---|
//! | 2xx; opaque (`no-cors`) | delivered (an opaque one "unknown": no more can be known) |
//! | 2xx that is not what the queue's `expect` says | not delivered: a captive portal burns no attempt, anything else does |
//! | 404 or 410 to a `DELETE` | delivered: what was to go is gone |
//! | a redirect that is not followed (`redirect: "manual"`, or the `auth` hook supplied headers) | failed, or what `statuses` says of 302 |
//! | no reply (offline, refused, cut off), 511 | unreachable: tried again, burns no attempt |
//! | a reply that CORS hides | retry: burns an attempt, for the server may have acted |
//! | not sent: the `auth` hook failed, the owner changed | as unreachable, and says nothing about the server |
//! | a success of a batch with another number of results than items | retry: burns an attempt |
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
//!
//! A queue's `statuses` override single statuses; `expect` says what a success must look like. An attempt burnt by a
//! *retry* counts toward `maxAttempts`; the last one makes it *failed*.
//!
//! The next try waits for the queue's backoff with jitter ([`crate::queue::backoff`]). `Retry-After` is a minimum that
//! nothing cuts short, and replies that asked for the same wait are spread. `RateLimit` pauses the origin instead, and
//! the circuit breaker may keep it closed for longer ([`crate::health::origin`]). `maxAge` bounds all of this, but not
//! here: `cycle::expire` ends what is too old, whether it was tried or not.

use crate::{
    http::reply::{AttemptResult, Response},
    queue::{
        config::{Expect, QueueConfig},
        disposition::Disposition,
        job::Job,
    },
    time::Millis,
    wire::text::Text,
};

/// The status whose override decides about a redirect: the platform does not tell which one it was.
const REDIRECT: u16 = 302;

/// What becomes of a job after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It leaves the store, and its outcome goes to the history.
    Delivered,
    /// It is tried again.
    Retry(Retry),
    /// A dead letter: it would be tried again, had it any attempts left.
    Exhausted,
    /// A dead letter.
    Failed,
    /// The server's state disagrees; a person or the app decides.
    Conflict,
    /// It waits for sign-in.
    Blocked,
}

/// When a job is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// When it may be claimed.
    pub at: Millis,
    /// Nothing cuts the wait short before this instant.
    pub hold_until: Millis,
    /// The delay by the backoff alone, in milliseconds, from which decorrelated jitter goes on.
    pub delay: u64,
    /// It reached no server: it burns no attempt.
    pub unreachable: bool,
}

impl Next {
    /// Whether the attempt may have failed because the origin is in trouble, and not the job.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Retry(_) | Self::Exhausted)
    }

    /// Whether the attempt counts toward `maxAttempts`.
    #[must_use]
    pub fn burns_attempt(&self) -> bool {
        !matches!(self, Self::Retry(Retry { unreachable: true, .. }))
    }
}

/// Decides what becomes of `job`, whose attempt ended with `result` at `at`; `roll` is a random number in `[0, 1)`.
#[must_use]
pub fn decide(job: &Job, result: &AttemptResult, config: &QueueConfig, at: Millis, roll: f64) -> Next {
    let disposition = match result {
        // Whoever sends a page in place of a row is not the server of records.
        AttemptResult::Status(response) if job.record.is_some() && response.body.is_none() && is_portal(response) => {
            Disposition::Unreachable
        }
        result => disposition(&job.work.request().head.method, result, config),
    };
    let unreachable = disposition == Disposition::Unreachable;
    let attempts = job.attempts.made.saturating_add(u32::from(!unreachable));
    match disposition {
        Disposition::Delivered => return Next::Delivered,
        Disposition::Failed => return Next::Failed,
        Disposition::Conflict => return Next::Conflict,
        Disposition::Blocked => return Next::Blocked,
        Disposition::Retry if attempts >= job.attempts.limit.unwrap_or(config.max_attempts) => return Next::Exhausted,
        Disposition::Retry | Disposition::Unreachable => {}
    }
    // A server that is back and refuses is the same trouble: both count, so that no new stampede begins.
    let failures = attempts.saturating_add(job.attempts.unreachable).saturating_add(u32::from(unreachable));
    let Wait { wait, delay, least } = wait_after(result, config, failures, job.attempts.last_delay, at, roll);
    let hold_until = least.map_or(job.schedule.hold_until, |least| at.after(least));
    Next::Retry(Retry { at: at.after(wait), hold_until, delay, unreachable })
}

/// How long a request waits for its next try, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The whole wait.
    pub wait: u64,
    /// What the backoff alone asks for.
    pub delay: u64,
    /// What `Retry-After` asks for at least.
    pub least: Option<u64>,
}

/// How long to wait after the `failures`-th failure in a row, which ended with `result` at `at`; `last_delay` is the
/// backoff's delay before it.
#[must_use]
pub fn wait_after(result: &AttemptResult, config: &QueueConfig, failures: u32, last_delay: u64, at: Millis, roll: f64) -> Wait {
    let delay = config.backoff.delay(failures, last_delay, roll);
    let least = result.retry_after(at);
    let wait = least.map_or(delay, |least| {
        // All who were told the same come back over half as long again, not at once.
        let spread = part((least / 2).min(config.backoff.max), roll);
        least.saturating_add(delay.max(spread))
    });
    Wait { wait, delay, least }
}

/// What `status` means for a request of this `method`, before any queue's overrides.
#[must_use]
pub fn disposition_of_status(method: &str, status: u16) -> Disposition {
    match status {
        200..=299 => Disposition::Delivered,
        404 | 410 if method == "DELETE" => Disposition::Delivered,
        401 | 419 | 440 => Disposition::Blocked,
        409 | 412 => Disposition::Conflict,
        408 | 425 | 429 => Disposition::Retry,
        501 | 505 | 507 => Disposition::Failed,
        // RFC 6585 §6: a captive portal responded in place of the server.
        511 => Disposition::Unreachable,
        500..=599 => Disposition::Retry,
        _ => Disposition::Failed,
    }
}

/// What `result` means for a job of this queue, whatever the job has been through.
#[must_use]
pub fn disposition(method: &str, result: &AttemptResult, queue: &QueueConfig) -> Disposition {
    let overridden = |status: u16| queue.statuses.iter().find(|(other, _)| *other == status).map(|(_, disposition)| *disposition);
    match result {
        AttemptResult::Opaque => Disposition::Delivered,
        AttemptResult::Unreachable | AttemptResult::Withheld(_) => Disposition::Unreachable,
        AttemptResult::TimedOut | AttemptResult::Hidden(_) | AttemptResult::Miscounted(_) => Disposition::Retry,
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
            match queue.expect.as_ref().and_then(|expect| expect.mismatch(response)) {
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

impl Expect {
    /// How a success differs from what the queue expects, for people.
    pub(in crate::queue) fn mismatch(&self, response: &Response) -> Option<String> {
        let kind = response.content_type.as_deref().unwrap_or("no content type");
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if self.redirected.is_some_and(|redirected| redirected != response.redirected) {
            return Some(if response.redirected { "it was redirected" } else { "it was not redirected" }.to_owned());
        }
        if !self.status.is_empty() && !self.status.contains(&response.status) {
            return Some(["its status is ", &response.status.to_string()].text());
        }
        let wanted = self.content_type.as_deref()?;
        (!essence.eq_ignore_ascii_case(wanted)).then(|| ["it is ", essence].text())
    }
}

/// Whether an unexpected success looks like the sign-in page of a captive portal or of the app itself.
fn is_portal(response: &Response) -> bool {
    response.redirected || response.content_type.as_deref().is_some_and(|kind| kind.starts_with("text/html"))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a part of a day in milliseconds"
)]
fn part(of: u64, roll: f64) -> u64 {
    (of as f64 * roll) as u64
}

#[cfg(test)]
mod tests;
