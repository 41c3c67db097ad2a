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
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_left_is_a_pause() {
        assert_eq!(pause("\"default\";r=0;t=30"), Some(30_000));
        assert_eq!(pause("\"default\"; t=30; r=0"), Some(30_000));
        assert_eq!(pause("limit=100, remaining=0, reset=5"), Some(5_000));
        assert_eq!(pause("\"a\";r=0;t=3, \"b\";r=0;t=60, \"c\";r=9;t=900"), Some(60_000));
        assert_eq!(pause("\"a\";r=0;t=99999999999999"), Some(LONGEST));
    }

    #[test]
    fn something_left_or_garbage_is_none() {
        for text in [
            "",
            "\"default\";r=50;t=30",
            "\"default\";r=0",
            "r=-1;t=5",
            "r=0;t=soon",
            "limit=1, remaining=1, reset=5",
            "=",
            ";;,",
        ] {
            assert_eq!(pause(text), None, "{text}");
        }
        assert_eq!(pause("\"a\";r=0, \"b\";t=5"), None, "of two policies");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".*") {
            prop_assert!(pause(&text).unwrap_or(0) <= LONGEST);
        }
    }
}
