//! Finds the places of a request that wait for a value of an earlier reply, and fills them in.
//!
//! A place is `{name}` or `{name.path}`, where `name` is one that the job binds; any other braces are text. In a URL the
//! platform's parser has written some of them as `%7B` and `%7D`, which are taken alike. A value is escaped for its place,
//! so that it stays one path segment, one parameter, one header value or one JSON string, whatever it holds:
//!
//! | place | what may stand there | how it is written |
//! |---|---|---|
//! | URL: path, query | a string, number or boolean; in the path none that is empty, `.` or `..` | all but unreserved characters (RFC 3986 §2.3) as `%XX` |
//! | header | a string, number or boolean of visible Latin-1 characters, blanks and tabs | as it is (RFC 9110 §5.5) |
//! | JSON body, a string that is nothing but the place | any JSON value | in place of the string |
//! | JSON body, within a longer string | a string, number or boolean | as JSON escapes it |

use super::scan::unescape;
use crate::http::credentials::decoded;
use crate::wire::{json::Json, text::Text};

/// The longest text that is filled in, in bytes.
pub const LONGEST: usize = 16 << 20;

/// One place of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Bytes before it.
    pub at: usize,
    /// Its bytes, with the braces.
    pub len: usize,
    /// The name that the job binds.
    pub name: &'a str,
    /// What follows the name and a dot, or nothing.
    pub path: &'a str,
}

/// A value that was captured, as JSON says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Captured {
    /// A string.
    Text(String),
    /// A number, a boolean or null, as JSON spells it.
    Literal(String),
    /// An object or an array, as JSON text.
    Structure(String),
    /// Nothing: the response has no such member.
    Missing,
}

/// Why a value cannot stand in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// An object, an array or null, where a word must stand.
    NoWord,
    /// Empty, `.` or `..`, which would name another resource.
    Segment,
    /// A line break or a character that no header holds.
    Header,
    /// The response has no such member.
    Missing,
    /// What is sent would be longer than [`LONGEST`].
    Long,
}

impl Unfit {
    /// A sentence for people, behind the name of the place.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoWord => "is neither a string nor a number nor a boolean",
            Self::Segment => "is empty, \".\" or \"..\", which would name another resource",
            Self::Header => "holds characters that no header can hold",
            Self::Missing => "is not in the response",
            Self::Long => "makes it longer than 16 MiB",
        }
    }
}

impl Captured {
    /// A value by its JSON text, which is well-formed.
    #[must_use]
    pub fn of_json(json: &str) -> Self {
        match json.as_bytes().first() {
            Some(b'"') => Self::Text(unescape(json).unwrap_or_default()),
            Some(b'{' | b'[') => Self::Structure(json.to_owned()),
            _ => Self::Literal(json.to_owned()),
        }
    }

    /// The value as a word.
    fn word(&self) -> Result<&str, Unfit> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Literal(literal) if literal != "null" => Ok(literal),
            Self::Literal(_) | Self::Structure(_) => Err(Unfit::NoWord),
            Self::Missing => Err(Unfit::Missing),
        }
    }
}

/// How the braces of a text may be spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Braces {
    /// As `{` and `}`.
    Plain,
    /// Also as `%7B` and `%7D`, as the platform's parser of URLs does.
    Escaped,
}

/// The places of a text, in their order; `names` are those that the job binds.
pub fn places<'a>(text: &'a str, names: &'a [&str], braces: Braces) -> impl Iterator<Item = Place<'a>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(from..)?;
            let (open, width) = first_of(rest, "{", "%7B", braces)?;
            let at = from + open;
            from = at + width;
            let inner = text.get(from..)?;
            let Some((close, closing)) = first_of(inner, "}", "%7D", braces) else { continue };
            let reference = inner.get(..close)?;
            let (name, path) = reference.split_once('.').unwrap_or((reference, ""));
            if let Some(name) = names.iter().find(|known| **known == name) {
                from += close + closing;
                return Some(Place { at, len: from - at, name, path });
            }
        }
    })
}

/// Where the first of two spellings begins, and how long it is.
fn first_of(text: &str, plain: &str, escaped: &str, braces: Braces) -> Option<(usize, usize)> {
    let plain = text.find(plain).map(|at| (at, plain.len()));
    if braces == Braces::Plain {
        return plain;
    }
    let escaped = [escaped.to_ascii_lowercase().as_str(), escaped]
        .iter()
        .filter_map(|spelling| text.find(spelling).map(|at| (at, spelling.len())))
        .min();
    plain.into_iter().chain(escaped).min()
}

/// Fills in the places of a URL; `value` gives that of a place.
///
/// # Errors
/// The name of the first place whose value does not fit, and why.
pub fn fill_url(url: &str, names: &[&str], value: impl Fn(&str, &str) -> Option<Captured>) -> Result<String, (String, Unfit)> {
    let query = url.find('?').unwrap_or(url.len());
    fill(url, names, Braces::Escaped, value, |place, word, filled| {
        if place.at < query && matches!(word, "" | "." | "..") {
            return Err(Unfit::Segment);
        }
        for byte in word.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                filled.push(char::from(byte));
            } else {
                filled.push('%');
                filled.push(hex(byte >> 4));
                filled.push(hex(byte & 15));
            }
        }
        Ok(())
    })
}

/// Fills in the places of a header's value.
///
/// # Errors
/// As [`fill_url`].
pub fn fill_header(
    header: &str,
    names: &[&str],
    value: impl Fn(&str, &str) -> Option<Captured>,
) -> Result<String, (String, Unfit)> {
    fill(header, names, Braces::Plain, value, |_, word, filled| {
        let fits = word.chars().all(|char| char == '\t' || ((' '..='\u{ff}').contains(&char) && char != '\u{7f}'));
        filled.push_str(word);
        fits.then_some(()).ok_or(Unfit::Header)
    })
}

/// Fills in the places within the strings of a JSON text, member names included.
///
/// # Errors
/// As [`fill_url`].
pub fn fill_json(json: &str, names: &[&str], value: impl Fn(&str, &str) -> Option<Captured>) -> Result<String, (String, Unfit)> {
    let mut filled = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(open) = rest.find('"') {
        let (before, from) = rest.split_at(open);
        let end = string_end(from);
        let (string, after) = from.split_at(end);
        filled.push_str(before);
        rest = after;
        if filled.len() > LONGEST {
            let name = names.first().copied().unwrap_or_default();
            return Err((name.to_owned(), Unfit::Long));
        }
        let inner = string.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or_default();
        let whole = places(inner, names, Braces::Plain).next().filter(|place| place.at == 0 && place.len == inner.len());
        match whole.and_then(|place| value(place.name, place.path)) {
            // A member's name stays a string.
            Some(Captured::Text(text)) => push_string(&mut filled, &text),
            Some(Captured::Literal(literal)) if !is_name(after) => filled.push_str(&literal),
            Some(Captured::Structure(structure)) if !is_name(after) => filled.push_str(&structure),
            _ => {
                let within = fill(string, names, Braces::Plain, &value, |_, word, filled| {
                    let mut quoted = String::new();
                    push_string(&mut quoted, word);
                    filled.push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
                    Ok(())
                })?;
                filled.push_str(&within);
            }
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Fills in the places of a text, each by `write`.
fn fill(
    text: &str,
    names: &[&str],
    braces: Braces,
    value: impl Fn(&str, &str) -> Option<Captured>,
    mut write: impl FnMut(&Place<'_>, &str, &mut String) -> Result<(), Unfit>,
) -> Result<String, (String, Unfit)> {
    let (mut filled, mut from) = (String::with_capacity(text.len()), 0);
    for place in places(text, names, braces) {
        let path = if braces == Braces::Escaped { decoded(place.path) } else { place.path.to_owned() };
        let Some(captured) = value(place.name, &path) else { continue };
        filled.push_str(text.get(from..place.at).unwrap_or_default());
        from = place.at + place.len;
        let unfit = |unfit| {
            let dot = if place.path.is_empty() { "" } else { "." };
            ([place.name, dot, place.path].text(), unfit)
        };
        if filled.len() > LONGEST {
            return Err(unfit(Unfit::Long));
        }
        let word = captured.word().map_err(unfit)?;
        write(&place, word, &mut filled).map_err(unfit)?;
    }
    filled.push_str(text.get(from..).unwrap_or_default());
    Ok(filled)
}

/// The length of the JSON string that a text begins with, its quotes included; all of the text where it does not end.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Whether the string before `after` is a member's name.
fn is_name(after: &str) -> bool {
    after.trim_start().starts_with(':')
}

fn push_string(filled: &mut String, text: &str) {
    filled.push_str(&Json::of(&text.to_owned(), |_| String::new()));
}

fn hex(nibble: u8) -> char {
    char::from(if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["note", "user"];

    fn text(text: &str) -> Captured {
        Captured::Text(text.to_owned())
    }

    /// Every place gets the same.
    fn with(captured: Captured) -> impl Fn(&str, &str) -> Option<Captured> {
        move |_, _| Some(captured.clone())
    }

    #[test]
    fn the_places_of_bound_names_are_found_in_both_spellings_and_no_others() {
        let found: Vec<_> = places("/{note.id}/%7Buser%7D/{other}/{note/{user.a.b}%7bnote.x%7d{}", NAMES, Braces::Escaped)
            .map(|place| (place.name, place.path))
            .collect();
        assert_eq!(found, [("note", "id"), ("user", ""), ("user", "a.b"), ("note", "x")]);
        for none in ["{note", "", "{}"] {
            assert_eq!(places(none, NAMES, Braces::Escaped).count(), 0);
        }
        assert_eq!(places("{note%7D %7Buser%7D", NAMES, Braces::Plain).count(), 0, "of a URL alone");
    }

    #[test]
    fn a_value_in_a_url_stays_one_segment_or_parameter() {
        for (value, escaped) in [
            ("42", "42"),
            ("a/b?c#d", "a%2Fb%3Fc%23d"),
            ("../admin", "..%2Fadmin"),
            ("%2e", "%252e"),
            ("ä €", "%C3%A4%20%E2%82%AC"),
            ("a&b=c", "a%26b%3Dc"),
        ] {
            let filled = fill_url("https://app.example/n/{note.id}/p?of={note.id}", NAMES, with(text(value)));
            assert_eq!(filled, Ok(format!("https://app.example/n/{escaped}/p?of={escaped}")));
        }
        let number = Captured::Literal("7".to_owned());
        assert_eq!(fill_url("/n/%7Bnote%7D", NAMES, with(number)).unwrap(), "/n/7");
    }

    #[test]
    fn a_value_that_would_name_another_resource_is_refused() {
        for value in ["", ".", ".."] {
            let refused = fill_url("/n/{note.id}/p", NAMES, with(text(value)));
            assert_eq!(refused, Err(("note.id".to_owned(), Unfit::Segment)));
            assert_eq!(fill_url("/n?of={note}", NAMES, with(text(value))).unwrap(), format!("/n?of={value}"));
        }
        for value in [Captured::Structure("{}".to_owned()), Captured::Literal("null".to_owned())] {
            assert_eq!(fill_url("/n/{note}", NAMES, with(value)), Err(("note".to_owned(), Unfit::NoWord)));
        }
    }

    #[test]
    fn a_value_cannot_add_a_header() {
        assert_eq!(fill_header("\"{note}\"", NAMES, with(text("v1 é"))).unwrap(), "\"v1 é\"");
        for value in ["a\r\nx: y", "a\0", "日", "\u{7f}"] {
            assert_eq!(fill_header("{note}", NAMES, with(text(value))), Err(("note".to_owned(), Unfit::Header)));
        }
    }

    #[test]
    fn a_value_in_a_json_body_keeps_its_type_where_it_is_the_whole_string() {
        let body = r#"{"note": "{note.id}", "text": "see {note.id}, \"{user}\"", "{user}": ["{note}", "{other}"], "n": 1}"#;
        let filled = fill_json(body, NAMES, with(Captured::Literal("42".to_owned()))).unwrap();
        let expected = serde_json::json!({ "note": 42, "text": "see 42, \"42\"", "42": [42, "{other}"], "n": 1 });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&filled).unwrap(), expected);
        let object = Captured::Structure(r#"{"a": "{note}"}"#.to_owned());
        assert_eq!(fill_json(r#"["{note}"]"#, NAMES, with(object.clone())).unwrap(), r#"[{"a": "{note}"}]"#);
        assert_eq!(fill_json(r#"["x{note}"]"#, NAMES, with(object)), Err(("note".to_owned(), Unfit::NoWord)));
    }

    #[test]
    fn a_value_in_a_json_body_cannot_leave_its_string() {
        let value = "\", \"admin\": true, \"x\": \"\\\n\u{2028}";
        for (body, pointer) in [(r#"{"a": "{note}"}"#, "/a"), (r#"{"a": "{note}!"}"#, "/a"), (r#"{"{note}": 1}"#, "")] {
            let filled = fill_json(body, NAMES, with(text(value))).unwrap();
            let read: serde_json::Value = serde_json::from_str(&filled).unwrap();
            assert_eq!(read.as_object().unwrap().len(), 1, "{filled}");
            if let Some(Some(string)) = read.pointer(pointer).map(serde_json::Value::as_str) {
                assert!(string.starts_with(value));
            }
        }
    }

    #[test]
    fn text_that_is_no_json_comes_through_whole() {
        for body in ["", "\"", "\"{note", "{note}", "\\\"{note}", "{\"a\": \"\\"] {
            assert!(fill_json(body, NAMES, |_, _| None).is_ok_and(|filled| filled == body), "{body}");
        }
    }
}
