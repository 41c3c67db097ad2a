//! Decides how far the device's clock is to be believed.
//!
//! Waiting and ageing go by the device's clock, which a person or a time server may set at any moment,
//! also while nothing of ours runs. Each drain notes in the ledger what the clock said (`device`) and
//! what time it was as far as known (`seen`).
//!
//! **Set back**: the clock says an earlier time than `device`. Then every wait that was noted by the
//! clock before means nothing. The next cycle keeps each one's length and counts it from now.
//!
//! **Set forward**: the clock says a later time than `seen`, which it also does when the app was not
//! used for long. The difference matters only to jobs that would expire, so only then is it looked into:
//! the drain has the app's own server asked for the time (the `Date` of any reply, RFC 9110 §6.6.1)
//! before it lets anything expire.
//!
//! ```text
//!   nothing would expire, or `seen` is recent ───────────▶ believe the clock
//!   something would expire, `seen` is old ── ask ─┬ a time ──▶ believe the server
//!                                                 ├ a reply without one ─▶ believe the clock
//!                                                 └ no reply ─▶ neither send nor expire these jobs now;
//!                                                               the next wake asks again
//! ```
//!
//! Every readable `Date` of an ordinary reply tells the time as well. After [`MOST_DOUBTS`] wakes without an
//! answer the clock is believed: no job is kept in doubt for ever.

use crate::{
    store::ledger::Ledger,
    time::{Millis, unit},
};

/// A clock is set by less than this every day, by time servers.
pub const TOLERANCE: u64 = unit::MINUTE;

/// A gap of more than this since the last drain may be a clock that was set forward.
pub const PLAUSIBLE: u64 = 10 * unit::MINUTE;

/// Wakes in a row that leave it open whether the clock is right.
pub const MOST_DOUBTS: u32 = 10;

/// What a cycle knows of the time besides what the device's clock says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Time {
    /// Nobody was asked.
    #[default]
    Unasked,
    /// It is this.
    Is(Millis),
    /// Nobody could be asked.
    Unknown,
}

/// Whether the clock was set back since the ledger was written.
#[must_use]
pub fn was_set_back(ledger: &Ledger, now: Millis) -> bool {
    is_set_back(ledger.device, now)
}

/// Whether the clock was set back since it said `before`.
#[must_use]
pub fn is_set_back(before: Millis, now: Millis) -> bool {
    now.after(TOLERANCE) < before
}

/// Whether the clock may have been set forward since the ledger was written.
#[must_use]
pub fn may_be_ahead(ledger: &Ledger, now: Millis) -> bool {
    ledger.seen > Millis(0) && now.since(ledger.seen) > PLAUSIBLE
}

/// What the answer to the question for the time says: `date` is the server's `Date` in milliseconds,
/// `replied` whether any reply came at all.
#[must_use]
pub fn answer(now: Millis, replied: bool, date: Option<Millis>) -> Time {
    match date {
        // A server's clock may be wrong too; but one that is behind makes nobody too old.
        Some(date) if is_off(now, date) => Time::Is(date),
        _ if replied => Time::Is(now),
        _ => Time::Unknown,
    }
}

/// Whether a device's clock differs from a server's by more than ages are measured by.
#[must_use]
pub fn is_off(now: Millis, date: Millis) -> bool {
    date.since(now).max(now.since(date)) > unit::HOUR
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_790_000_000_000);

    #[test]
    fn a_server_outranks_a_clock_that_is_off_by_hours() {
        let date = Millis(NOW.0 - 365 * unit::DAY);
        assert_eq!(answer(NOW, true, Some(date)), Time::Is(date));
        assert_eq!(answer(NOW, true, Some(NOW.after(unit::SECOND))), Time::Is(NOW));
        assert_eq!(answer(NOW, true, None), Time::Is(NOW));
        assert_eq!(answer(NOW, false, None), Time::Unknown);
    }

    #[test]
    fn a_fresh_ledger_doubts_nothing() {
        assert!(!may_be_ahead(&Ledger::default(), NOW));
        assert!(!was_set_back(&Ledger::default(), NOW));
    }
}
