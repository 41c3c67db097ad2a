//! Times as servers write them: RFC 3339, or numbers of milliseconds or seconds since 1970.

use serde_json::Value;

use crate::time::Millis;

/// Below this a number counts seconds: as milliseconds it would be in 1973.
const SECONDS: f64 = 1e11;

/// The instant that a member names, to the millisecond.
#[must_use]
pub fn parse(value: &Value) -> Option<Millis> {
    match value {
        Value::String(text) => rfc3339(text),
        Value::Number(number) => {
            let number = number.as_f64()?;
            let ms = if number < SECONDS { number * 1_000.0 } else { number };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range that is checked")]
            (0.0..=9e15).contains(&ms).then(|| Millis(ms as u64).min(Millis::MAX))
        }
        _ => None,
    }
}

/// The same member `ms` milliseconds earlier, spelt as it was.
#[must_use]
pub fn before(value: &Value, ms: u64) -> Option<Value> {
    let at = parse(value)?;
    let earlier = at.0.saturating_sub(ms);
    match value {
        Value::Number(number) if number.as_f64()? < SECONDS => Some(Value::from(earlier / 1_000)),
        Value::Number(_) => Some(Value::from(earlier)),
        _ => Some(Value::String(spell(Millis(earlier)))),
    }
}

/// RFC 3339 §5.6, and a space in place of the `T`, which it permits and databases write.
fn rfc3339(text: &str) -> Option<Millis> {
    let bytes = text.as_bytes();
    let number = |from: usize, length: usize| -> Option<u64> {
        let digits = text.get(from..from + length)?;
        digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let is = |at: usize, options: &[u8]| bytes.get(at).is_some_and(|byte| options.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let fraction: String = match rest.strip_prefix('.') {
        Some(rest) => rest.chars().take_while(char::is_ascii_digit).collect(),
        None => String::new(),
    };
    let zone = rest.get(if fraction.is_empty() { 0 } else { fraction.len() + 1 }..)?;
    let ms: u64 = [&fraction, "000"].concat().get(..3)?.parse().ok()?;
    let offset: i64 = match zone.as_bytes() {
        // A database's time without a zone is UTC.
        b"Z" | b"z" | b"" => 0,
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let digits: String = rest.iter().map(|byte| char::from(*byte)).filter(|char| *char != ':').collect();
            let of = |from: usize, length: usize| digits.get(from..from + length).and_then(|part| part.parse::<i64>().ok());
            let minutes = of(0, 2)? * 60 + if digits.len() == 2 { 0 } else { of(2, 2)? };
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + i64::try_from(hour * 3_600 + minute * 60 + second).ok()? - offset * 60;
    u64::try_from(seconds).ok()?.checked_mul(1_000)?.checked_add(ms).map(Millis)
}

/// Days from 1970 to a date of the Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> i64 {
    // Years begin in March, so that the leap day is the last of one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.saturating_sub(1), month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    i64::try_from(days).unwrap_or(i64::MAX) - 719_469
}

/// An instant in RFC 3339, in UTC, with milliseconds.
#[must_use]
pub fn spell(at: Millis) -> String {
    let (days, ms) = (at.0 / 86_400_000, at.0 % 86_400_000);
    // Howard Hinnant's `civil_from_days`, for days since 1970.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    let mut text = String::with_capacity(24);
    for (number, digits, after) in
        [(year, 4, "-"), (month, 2, "-"), (day, 2, "T"), (hour, 2, ":"), (minute, 2, ":"), (second, 2, "."), (ms % 1_000, 3, "Z")]
    {
        let number = number.to_string();
        (number.len()..digits).for_each(|_| text.push('0'));
        text.push_str(&number);
        text.push_str(after);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_in_every_spelling_that_servers_have() {
        for (value, ms) in [
            (json!("1970-01-01T00:00:00Z"), 0),
            (json!("2026-11-29T06:00:00.123Z"), 1_795_932_000_123),
            (json!("2026-11-29T06:00:00.123456+00:00"), 1_795_932_000_123),
            (json!("2026-11-29 08:00:00.1+02"), 1_795_932_000_100),
            (json!("2026-11-29T00:30:00-0530"), 1_795_932_000_000),
            (json!("2026-11-29T06:00:00"), 1_795_932_000_000),
            (json!(1_795_932_000_123_u64), 1_795_932_000_123),
            (json!(1_795_932_000), 1_795_932_000_000),
        ] {
            assert_eq!(parse(&value), Some(Millis(ms)), "{value}");
        }
        for value in [json!("yesterday"), json!("2026-13-01T00:00:00Z"), json!(null), json!(-1), json!("2026-11-29"), json!([])] {
            assert_eq!(parse(&value), None, "{value}");
        }
    }

    #[test]
    fn an_earlier_time_is_spelt_as_it_was() {
        assert_eq!(before(&json!("2028-02-29T00:00:05.000Z"), 10_000), Some(json!("2028-02-28T23:59:55.000Z")));
        assert_eq!(before(&json!(1_795_932_000), 10_000), Some(json!(1_795_931_990)));
        assert_eq!(before(&json!(1_795_932_000_123_u64), 123), Some(json!(1_795_932_000_000_u64)));
        assert_eq!(before(&json!("1970-01-01T00:00:01Z"), 10_000), Some(json!("1970-01-01T00:00:00.000Z")));
    }
}
