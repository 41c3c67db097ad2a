//! Reads a server's reply: the first line is the status, the others are headers.

#![no_main]

use fuzz::check;
use libfuzzer_sys::fuzz_target;
use shearwater_core::{
    http::{
        rate_limit,
        reply::{AttemptResult, Response},
        retry_after,
    },
    queue::{config::QueueConfig, cycle::retry::disposition, last_error::LastError},
    time::Millis,
};

/// When the reply came, by the device's clock.
const NOW: Millis = Millis(1_790_000_000_000);

fuzz_target!(|data: &[u8]| {
    // Header values are bytes, which `fetch` gives as one character each.
    let head: String = data.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = head.split('\n');
    let status = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let header = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| (*value).to_owned())
    };
    let response = Response {
        status,
        retry_after: header("retry-after"),
        date: header("date"),
        rate_limit: header("ratelimit"),
        content_type: header("content-type"),
        ..Response::default()
    };

    if let Some(text) = &response.retry_after {
        waits(text, response.date.as_deref());
    }
    if let Some(text) = &response.rate_limit {
        assert!(rate_limit::pause(text).unwrap_or(0) <= retry_after::LONGEST, "{text:?}");
    }
    let reply = AttemptResult::Status(response);
    check::keeps(&LastError::of(&reply, &QueueConfig::default()));
    check::keeps(&disposition("POST", &reply, &QueueConfig::default()));
});

/// Digits are seconds, a date counts from the reply's own, and nothing waits for longer than the longest.
fn waits(text: &str, date: Option<&str>) {
    let wait = retry_after::parse(text, date, NOW);
    assert!(wait.unwrap_or(0) <= retry_after::LONGEST, "{wait:?} for {text:?}");
    let digits = text.trim();
    if !digits.is_empty() && digits.chars().all(|char| char.is_ascii_digit()) {
        let seconds = digits.bytes().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
        assert_eq!(wait, Some(seconds.saturating_mul(1_000).min(retry_after::LONGEST)), "{text:?}");
    } else if date.is_none() && Millis::from_http_date(digits).is_none() {
        assert_eq!(wait, None, "{text:?} is no date");
    }
}
