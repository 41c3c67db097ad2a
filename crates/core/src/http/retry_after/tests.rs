use proptest::prelude::*;

use super::*;

const NOW: Millis = Millis(1_792_567_680_000); // Wed, 21 Oct 2026 07:28:00 GMT
const DATE: Option<&str> = Some("Wed, 21 Oct 2026 07:28:00 GMT");

#[test]
fn seconds_and_dates_are_read() {
    assert_eq!(parse("120", None, NOW), Some(120_000));
    assert_eq!(parse(" 0 ", None, NOW), Some(0));
    assert_eq!(parse("Wed, 21 Oct 2026 07:28:30 GMT", DATE, NOW), Some(30_000));
    assert_eq!(parse("Wed, 21 Oct 2026 07:00:00 GMT", DATE, NOW), Some(0));
    assert_eq!(parse("99999999999999999999999", None, NOW), Some(LONGEST));
}

#[test]
fn without_a_readable_date_the_devices_clock_is_taken_within_bounds() {
    for date in [None, Some("yesterday")] {
        assert_eq!(parse("Wed, 21 Oct 2026 07:28:30 GMT", date, NOW), Some(30_000));
        assert_eq!(parse("Wed, 21 Oct 2026 07:28:30 GMT", date, NOW.after(60_000)), Some(0));
        assert_eq!(parse("Wed, 21 Oct 2026 07:28:30 GMT", date, Millis(0)), Some(LONGEST));
    }
}

#[test]
fn garbage_is_ignored() {
    for text in ["", "-1", "1.5", "soon", "1e3", "Wed, 99 Foo 2026", "١٢", "12 0", "0x10"] {
        assert_eq!(parse(text, DATE, NOW), None, "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_survived(text in ".*", date in proptest::option::of(".*")) {
        prop_assert!(parse(&text, date.as_deref(), NOW).unwrap_or(0) <= LONGEST);
    }
}
