//! Reads the `Retry-After` header (RFC 9110 §10.2.3).

use crate::time::{Millis, unit};

/// The longest wait that a server may ask for; a longer one is cut to this.
pub const LONGEST: u64 = unit::DAY;

/// Milliseconds that `Retry-After` asks for, or `None` where it is absent or garbage.
///
/// A date is measured against the reply's own `date` header, so that a client clock that is wrong does not matter.
/// CORS hides that header unless the server exposes it; then the device's clock, `now`, takes its place.
#[must_use]
pub fn parse(retry_after: &str, date: Option<&str>, now: Millis) -> Option<u64> {
    let text = retry_after.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits for a u64 is an honest, if absurd, number of seconds.
        text.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(unit::SECOND)
    } else {
        Millis::from_http_date(text)?.since(date.and_then(|date| Millis::from_http_date(date.trim())).unwrap_or(now))
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests;
