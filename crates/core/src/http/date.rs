//! Reads HTTP dates (RFC 9110 §5.6.7): the preferred form and the two old ones.
//!
//! The well-known crate for it brings the standard library's `SystemTime` and what that prints in a panic, 3 KB
//! brotli of what ships. The tests hold the two against each other.

use crate::time::unit::{DAY, HOUR, MINUTE, SECOND};

/// From the day of the epoch on.
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// What stands for a digit or a letter of the month.
const MARKS: &[u8] = b"DNYhms";

/// Where the parts of a form stand, behind the day's name: letters for digits, the rest for itself.
struct Form {
    parts: &'static str,
    month: usize,
    long_name: bool,
    short_year: bool,
}

const PREFERRED: Form = Form { parts: ", DD NNN YYYY hh:mm:ss GMT", month: 5, long_name: false, short_year: false };
const RFC_850: Form = Form { parts: ", DD-NNN-YY hh:mm:ss GMT", month: 5, long_name: true, short_year: true };
const ASCTIME: Form = Form { parts: " NNN DD hh:mm:ss YYYY", month: 1, long_name: false, short_year: false };

/// Milliseconds since the epoch; `None` for what is no date, or before it.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let name = text.bytes().position(|byte| !byte.is_ascii_alphabetic())?;
    let (name, rest) = text.as_bytes().split_at_checked(name)?;
    let form = match (name.len(), rest.first()) {
        (3, Some(b',')) => PREFERRED,
        (3, _) => ASCTIME,
        _ => RFC_850,
    };
    let number = |mark| number(rest, &form, mark);
    let month = rest.get(form.month..form.month + 3)?;
    let month = MONTHS.iter().position(|name| name.as_bytes() == month)? as u64 + 1;
    let (day, hour, minute, second) = (number(b'D')?, number(b'h')?, number(b'm')?, number(b's')?);
    let year = match number(b'Y')? {
        year if !form.short_year => year,
        year @ 0..70 => year + 2000,
        year => year + 1900,
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !form.fits(rest) || year < 1970 || !(1..=length).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Years that begin in March end with the day that may be missing.
    let (march_year, march_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = march_year / 4 - march_year / 100 + march_year / 400;
    let days = march_year * 365 + leap_days + (march_month * 153 + 2) / 5 + day - 719_469;
    let named = DAYS.get(usize::try_from(days % 7).ok()?)?.as_bytes();
    let is_named = if form.long_name { named == name } else { named.starts_with(name) };
    is_named.then_some(days * DAY + hour * HOUR + minute * MINUTE + second * SECOND)
}

impl Form {
    fn fits(&self, text: &[u8]) -> bool {
        text.len() == self.parts.len() && text.iter().zip(self.parts.bytes()).all(|(a, b)| *a == b || MARKS.contains(&b))
    }
}

/// The number whose digits stand where `form` has `mark`.
fn number(text: &[u8], form: &Form, mark: u8) -> Option<u64> {
    let mut number = 0;
    for (byte, at) in text.iter().zip(form.parts.bytes()) {
        match byte {
            _ if at != mark => {}
            b'0'..=b'9' => number = number * 10 + u64::from(byte - b'0'),
            // A day below ten, in the oldest form.
            b' ' if number == 0 && mark == b'D' && form.month == 1 => {}
            _ => return None,
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference(text: &str) -> Option<u64> {
        let time = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        u64::try_from(time.as_millis()).ok()
    }

    #[test]
    fn the_three_forms_are_one_instant() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse(text), Some(784_111_777_000), "{text}");
        }
        assert_eq!(parse(" Thu, 01 Jan 1970 00:00:00 GMT "), Some(0));
    }

    #[test]
    fn every_day_of_three_centuries_is_as_the_crate_has_it() {
        for day in 0..110_000 {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(day * 86_400 + day % 86_400);
            let text = httpdate::fmt_http_date(time);
            assert_eq!(parse(&text), Some(day * DAY + day % 86_400 * SECOND), "{text}");
        }
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in [
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Tue, 29 Feb 2023 00:00:00 GMT",
            "Wed, 29 Feb 2023 00:00:00 GMT",
            "Mon, 31 Apr 2023 00:00:00 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:60 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun,  6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GXT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday Nov  6 08:49:37 1994",
            "",
        ] {
            assert_eq!((parse(text), reference(text)), (None, None), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_nearly_a_date_is_as_the_crate_has_it(
            day in "(Mon|Tue|Wed|Thu|Fri|Sat|Sun|Sunday|Monday|Fry)",
            of_month in "( [1-9]|[0-3][0-9])",
            month in "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Foo)",
            year in "(19[6-9][0-9]|20[0-9][0-9]|[0-9]{2})",
            time in "[0-2][0-9]:[0-6][0-9]:[0-6][0-9]",
        ) {
            for text in [
                format!("{day}, {of_month} {month} {year} {time} GMT"),
                format!("{day}, {of_month}-{month}-{year} {time} GMT"),
                format!("{day} {month} {of_month} {time} {year}"),
            ] {
                prop_assert_eq!(parse(&text), reference(&text), "{}", text);
            }
        }

        #[test]
        fn any_text_is_survived(text in ".{0,32}") {
            prop_assert_eq!(parse(&text), reference(&text));
        }
    }
}
