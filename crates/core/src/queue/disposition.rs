//! What the result of an attempt can mean for its job, by the names that an app's `statuses` use.
//!
//! [`super::cycle::retry`] decides which.

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
    /// No response; tried again later, and counts as no attempt.
    Unreachable,
}

crate::names!(Disposition {
    Delivered: "deliver",
    Retry: "retry",
    Failed: "fail",
    Conflict: "conflict",
    Blocked: "block",
    Unreachable: "unreachable",
});
