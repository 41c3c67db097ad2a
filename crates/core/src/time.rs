//! Instants, as milliseconds since the Unix epoch.

use serde::{Deserialize, Serialize};

use crate::http::date;

/// An instant: milliseconds since the Unix epoch, as the shell's clock tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// The largest instant that JavaScript holds exactly (2⁵³ − 1 ms).
    pub const MAX: Self = Self((1 << 53) - 1);

    /// Reads an HTTP date (RFC 9110 §5.6.7).
    #[must_use]
    pub fn from_http_date(text: &str) -> Option<Self> {
        date::parse(text).map(Self)
    }

    /// The instant `ms` milliseconds later, at most [`Millis::MAX`].
    #[must_use]
    pub const fn after(self, ms: u64) -> Self {
        let sum = self.0.saturating_add(ms);
        if sum > Self::MAX.0 { Self::MAX } else { Self(sum) }
    }

    /// Milliseconds since `earlier`; 0 when the clock was set back in between.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// One second, one minute, one hour, one day in milliseconds.
pub mod unit {
    /// Milliseconds in a second.
    pub const SECOND: u64 = 1_000;
    /// Milliseconds in a minute.
    pub const MINUTE: u64 = 60 * SECOND;
    /// Milliseconds in an hour.
    pub const HOUR: u64 = 60 * MINUTE;
    /// Milliseconds in a day.
    pub const DAY: u64 = 24 * HOUR;
}
