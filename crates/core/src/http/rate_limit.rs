//! Reads the `RateLimit` header (draft-ietf-httpapi-ratelimit-headers).
//!
//! `RateLimit: "default";r=0;t=30` says that nothing is left of a quota for 30 more seconds. The form of
//! earlier drafts, `limit=100, remaining=0, reset=30`, means the same. What is not understood says nothing.

use crate::{http::retry_after::LONGEST, time::unit};

/// Milliseconds for which the server has nothing left; `None` while something is, or where it does not say.
#[must_use]
pub fn pause(text: &str) -> Option<u64> {
    let mut pause = None;
    let (mut remaining, mut reset) = (None, None);
    for part in text.split([',', ';']) {
        let Some((name, value)) = part.split_once('=') else {
            // The name of the next policy.
            (remaining, reset) = (None, None);
            continue;
        };
        match name.trim() {
            "r" | "remaining" => remaining = value.trim().parse::<u64>().ok(),
            "t" | "reset" => reset = value.trim().parse::<u64>().ok(),
            _ => continue,
        }
        if let (Some(0), Some(seconds)) = (remaining, reset) {
            pause = pause.max(Some(seconds.saturating_mul(unit::SECOND).min(LONGEST)));
        }
    }
    pause
}

#[cfg(test)]
mod tests;
