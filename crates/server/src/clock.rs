//! Reads the wall clock, in milliseconds, and writes times in RFC 3339.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970; 0 for a clock set before that.
pub(crate) fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// A time from 1970 to 9999, written as `2026-11-29T06:00:00.123Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Timestamp(i64);

/// Why a text is not a [`Timestamp`].
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a UTC time of RFC 3339")]
pub(crate) struct NotATime(String);

impl Timestamp {
    /// The last millisecond of the year 9999.
    const LAST: i64 = 253_402_300_799_999;

    pub(crate) fn now() -> Self {
        Self::from_ms(now_ms())
    }

    pub(crate) fn from_ms(ms: i64) -> Self {
        Self(ms.clamp(0, Self::LAST))
    }

    pub(crate) fn ms(self) -> i64 {
        self.0
    }
}

impl TryFrom<String> for Timestamp {
    type Error = NotATime;

    fn try_from(text: String) -> Result<Self, NotATime> {
        let time = humantime::parse_rfc3339(&text).ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let ms = time.and_then(|since| i64::try_from(since.as_millis()).ok());
        ms.map(Self::from_ms).ok_or(NotATime(text))
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = Duration::from_millis(self.0.unsigned_abs());
        fmt::Display::fmt(&humantime::format_rfc3339_millis(UNIX_EPOCH + since), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_and_written_with_milliseconds() {
        let read = |text: &str| Timestamp::try_from(text.to_owned());
        let time = read("2026-11-29T06:00:00.123Z").unwrap();
        assert_eq!((time.ms(), time.to_string().as_str()), (1_795_932_000_123, "2026-11-29T06:00:00.123Z"));
        assert_eq!(read("2026-11-29T06:00:00Z").unwrap().to_string(), "2026-11-29T06:00:00.000Z");
        assert_eq!(read(&Timestamp::from_ms(i64::MAX).to_string()).unwrap().ms(), Timestamp::LAST);
        for bad in ["", "yesterday", "2026-11-29", "2026-11-29T06:00:00+01:00", "1969-12-31T23:59:59Z"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
