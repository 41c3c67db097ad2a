//! What the result of an attempt can mean for its job, by the names that an app's `statuses` use.
//!
//! [`super::cycle::retry`] decides which.

use serde::{Deserialize, Serialize};

/// What an attempt's reply means for its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// Done.
    #[serde(rename = "deliver")]
    Delivered,
    /// Try again later; counts toward `maxAttempts`.
    Retry,
    /// Dead letter, for a person to look at.
    #[serde(rename = "fail")]
    Failed,
    /// The server's state disagrees.
    Conflict,
    /// Waits for sign-in.
    #[serde(rename = "block")]
    Blocked,
    /// No response; tried again later, and counts as no attempt.
    Unreachable,
}

