//! Finds what a JSON pointer points to in JSON text, without reading the rest of it.
//!
//! A reply is kept as text; of a long one a few values are wanted. The text is a server's, so it may be anything: what is no
//! JSON up to the value, or nested deeper than `DEEPEST`, has no value. Of members of one name the last counts, as for
//! `JSON.parse` (ECMA-262 §25.5.1).

use super::pointer::Pointer;

/// The deepest nesting that is looked into.
const DEEPEST: u32 = 128;

/// The JSON text of the value that `pointer` points to in `text`.
#[must_use]
pub fn find<'a>(text: &'a str, pointer: &Pointer) -> Option<&'a str> {
    let mut scanner = Scanner { text, at: 0 };
    let mut found = scanner.value(0)?;
    scanner.blanks();
    if scanner.at < text.len() {
        return None;
    }
    for token in pointer.tokens() {
        found = Scanner { text: found, at: 0 }.step(&token)?;
    }
    Some(found)
}

/// The members of the object, or the items of the array, that `text` is, in their order; nothing for any other value.
///
/// The text must be well-formed, as what [`find`] returns is.
#[must_use]
pub fn children(text: &str) -> Vec<(Option<String>, &str)> {
    let mut children = Vec::new();
    let mut scanner = Scanner { text, at: 0 };
    // What broke off is no concern here.
    let _ = scanner.each(|name, value| children.push((name, value)));
    children
}

/// Whether the name of any member, at any depth, is such a one. Text that is no JSON has none.
pub fn any_name(text: &str, is_such: impl Fn(&str) -> bool + Copy) -> bool {
    children(text).into_iter().any(|(name, value)| name.is_some_and(|name| is_such(&name)) || any_name(value, is_such))
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Passes this byte, after blanks.
    fn pass(&mut self, byte: u8) -> Option<()> {
        self.blanks();
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    /// Passes a whole value, and returns its text.
    fn value(&mut self, depth: u32) -> Option<&'a str> {
        self.blanks();
        let from = self.at;
        match self.peek()? {
            b'"' => {
                self.string()?;
            }
            b'{' => self.items(b'}', depth, |scanner| {
                scanner.blanks();
                scanner.string()?;
                scanner.pass(b':')
            })?,
            b'[' => self.items(b']', depth, |_| Some(()))?,
            _ => self.literal()?,
        }
        self.text.get(from..self.at)
    }

    /// Passes what stands between brackets; `name` passes what stands before each value.
    fn items(&mut self, close: u8, depth: u32, mut name: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if depth >= DEEPEST {
            return None;
        }
        self.at += 1;
        if self.pass(close).is_some() {
            return Some(());
        }
        loop {
            name(self)?;
            self.value(depth + 1)?;
            if self.pass(close).is_some() {
                return Some(());
            }
            self.pass(b',')?;
        }
    }

    /// Passes a string, and returns its text with the quotes.
    fn string(&mut self) -> Option<&'a str> {
        let from = self.at;
        self.pass(b'"')?;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return self.text.get(from..self.at);
                }
                b'\\' => match self.text.as_bytes().get(self.at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
                    b'u' => {
                        unit(self.text.get(self.at + 2..)?)?;
                        self.at += 6;
                    }
                    _ => return None,
                },
                0..0x20 => return None,
                _ => self.at += 1,
            }
        }
    }

    /// Passes a number, or `true`, `false` or `null`.
    fn literal(&mut self) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        let end = rest.find(|char: char| !matches!(char, '0'..='9' | 'a'..='z' | 'E' | '+' | '-' | '.')).unwrap_or(rest.len());
        let word = rest.get(..end)?;
        self.at += end;
        (matches!(word, "true" | "false" | "null") || is_number(word)).then_some(())
    }

    /// The member or item `token` of the structure that is all of the text.
    fn step(&mut self, token: &str) -> Option<&'a str> {
        let (mut found, mut index) = (None, 0_usize);
        self.each(|name, value| {
            if name.unwrap_or_else(|| index.to_string()) == token {
                found = Some(value);
            }
            index += 1;
        })?;
        found
    }

    /// Gives each member or item of the structure that is all of the text, with its name where it has one.
    fn each(&mut self, mut take: impl FnMut(Option<String>, &'a str)) -> Option<()> {
        self.blanks();
        let is_object = match self.peek()? {
            b'{' => true,
            b'[' => false,
            _ => return None,
        };
        self.at += 1;
        if self.pass(if is_object { b'}' } else { b']' }).is_some() {
            return Some(());
        }
        loop {
            let name = if is_object {
                self.blanks();
                let name = unescape(self.string()?)?;
                self.pass(b':')?;
                Some(name)
            } else {
                None
            };
            take(name, self.value(0)?);
            if self.pass(b',').is_none() {
                return Some(());
            }
        }
    }
}

/// A number (RFC 8259 §6).
fn is_number(word: &str) -> bool {
    let unsigned = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) =
        unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(whole, fraction)| (whole, Some(fraction)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// What a JSON string says (RFC 8259 §7); a lone surrogate is replaced.
pub(super) fn unescape(string: &str) -> Option<String> {
    let mut rest = string.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::with_capacity(rest.len());
    while let Some((plain, escaped)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut chars = escaped.chars();
        let char = match chars.next()? {
            char @ ('"' | '\\' | '/') => char,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (unit, after) = unit(chars.as_str())?;
                chars = after.chars();
                match after.strip_prefix("\\u").and_then(self::unit) {
                    Some((low, after)) if (0xd800..0xdc00).contains(&unit) && (0xdc00..0xe000).contains(&low) => {
                        chars = after.chars();
                        char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
                    }
                    _ => char::from_u32(unit),
                }
                .unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return None,
        };
        text.push(char);
        rest = chars.as_str();
    }
    text.push_str(rest);
    Some(text)
}

/// Four hexadecimal digits, and what follows.
fn unit(text: &str) -> Option<(u32, &str)> {
    let (digits, after) = text.split_at_checked(4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok().map(|unit| (unit, after)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
        find(text, &Pointer::parse(pointer).unwrap())
    }

    /// The document of RFC 6901 §5.
    const DOCUMENT: &str = r#"{
        "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8
    }"#;

    #[test]
    fn the_pointers_of_the_rfc_find_what_they_point_to() {
        assert_eq!(found(DOCUMENT, ""), Some(DOCUMENT));
        assert_eq!(found(DOCUMENT, "/foo"), Some(r#"["bar", "baz"]"#));
        assert_eq!(found(DOCUMENT, "/foo/0"), Some("\"bar\""));
        for (pointer, value) in [
            ("/", "0"),
            ("/a~1b", "1"),
            ("/c%d", "2"),
            ("/e^f", "3"),
            ("/g|h", "4"),
            ("/i\\j", "5"),
            ("/k\"l", "6"),
            ("/ ", "7"),
            ("/m~0n", "8"),
        ] {
            assert_eq!(found(DOCUMENT, pointer), Some(value), "{pointer}");
        }
        for nothing in
            ["/bar", "/foo/2", "/foo/01", "/foo/-", "/foo/+1", "/foo/bar", "/foo/0/x", "/foo/99999999999999999999", "//"]
        {
            assert_eq!(found(DOCUMENT, nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_value_is_found_as_it_is_written() {
        let reply =
            r#" {"id": 42, "note": {"id": "n-7", "tags": ["a", {"b": -1.5e3}], "x": {} , "y":[]}, "ok" : true, "none":null} "#;
        assert_eq!(found(reply, "/id"), Some("42"));
        assert_eq!(found(reply, "/note/id"), Some("\"n-7\""));
        assert_eq!(found(reply, "/note/tags/1/b"), Some("-1.5e3"));
        assert_eq!(found(reply, "/note/tags/1"), Some(r#"{"b": -1.5e3}"#));
        assert_eq!((found(reply, "/ok"), found(reply, "/none")), (Some("true"), Some("null")));
        for nothing in ["/x", "/id/x", "/note/x/a", "/note/y/0"] {
            assert_eq!(found(reply, nothing), None, "{nothing}");
        }
    }

    #[test]
    fn names_are_read_as_json_writes_them_and_the_last_of_a_name_counts() {
        assert_eq!(found(r#"{"\u0061\/": 1}"#, "/a~1"), Some("1"));
        assert_eq!(found(r#"{"a": 1, "a": 2}"#, "/a"), Some("2"));
        let text = r#""x\"\\\/\b\f\n\r\té\ud83d\ude00\ud800""#;
        assert_eq!(unescape(text).unwrap(), "x\"\\/\u{8}\u{c}\n\r\té😀\u{fffd}");
    }

    #[test]
    fn names_are_found_at_any_depth() {
        let text = r#" {"a": [1, {"b": {"\u0063": 1}}], "d": "e"} "#;
        for name in ["a", "b", "c", "d"] {
            assert!(any_name(text, |other| other == name), "{name}");
        }
        assert!(!any_name(text, |other| other == "e") && !any_name("[", |_| true) && !any_name("7", |_| true));
    }

    #[test]
    fn what_is_no_json_has_no_value() {
        for text in [
            "",
            " ",
            "{",
            "{\"id\": 1",
            "{\"id\": 1} x",
            "{\"id\": 01}",
            "{\"id\": 1,}",
            "{id: 1}",
            "{\"id\": +1}",
            "{\"id\": .5}",
            "{\"id\": 1.}",
            "{\"id\": 1e}",
            "{\"id\": tru}",
            "{\"id\": 1 \"x\": 2}",
            "<html>",
            "{\"id\": \"\n\"}",
            "{\"id\": \"\\",
            "{\"id\": \"\\u12\"}",
            "{\"id\": \"\\x\"}",
            "[1",
        ] {
            assert_eq!(found(text, "/id"), None, "{text}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(found(&deep, "/0"), None);
    }
}
