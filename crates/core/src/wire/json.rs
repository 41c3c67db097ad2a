//! Writes JSON text (RFC 8259): how records and messages leave for the shell.
//!
//! A shell's own parser makes its values of the text in one go: `JSON.parse` of a row takes a fifth of what
//! it takes to make the same object member by member across the border.

use crate::wire::Wire;

/// A text that is being written.
#[derive(Debug)]
pub struct Json {
    text: String,
    /// Spells a number that is not whole: to do it exactly takes more code than the rest of the engine's texts.
    spell: fn(f64) -> String,
}

impl Json {
    /// The JSON text of `value`.
    pub fn of<T: Wire>(value: &T, spell: fn(f64) -> String) -> String {
        let mut json = Self::new(spell);
        value.write(&mut json);
        json.text
    }

    /// An empty text.
    #[must_use]
    pub fn new(spell: fn(f64) -> String) -> Self {
        Self { text: String::new(), spell }
    }

    /// What was written.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// Null.
    pub fn null(&mut self) {
        self.text.push_str("null");
    }

    /// A value that was written before.
    pub fn written(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// A truth value.
    pub fn boolean(&mut self, value: bool) {
        self.text.push_str(if value { "true" } else { "false" });
    }

    /// A whole number.
    pub fn whole(&mut self, mut value: u64) {
        let mut digits = [b'0'; 20];
        let mut from = digits.len();
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
            from -= 1;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.text.extend(digits.iter().skip(from).map(|digit| char::from(*digit)));
    }

    /// A number; null for what is none.
    pub fn number(&mut self, value: f64) {
        if value.is_finite() { self.text.push_str(&(self.spell)(value)) } else { self.null() }
    }

    /// A text.
    pub fn text(&mut self, value: &str) {
        self.text.push('"');
        let mut plain = 0;
        for (at, byte) in value.bytes().enumerate() {
            if byte >= b' ' && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.text.push_str(value.get(plain..at).unwrap_or_default());
            plain = at + 1;
            if byte >= b' ' {
                self.text.push('\\');
                self.text.push(char::from(byte));
            } else {
                let hex = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
                self.text.push_str("\\u00");
                self.text.push(hex(byte >> 4));
                self.text.push(hex(byte & 15));
            }
        }
        self.text.push_str(value.get(plain..).unwrap_or_default());
        self.text.push('"');
    }

    /// A list.
    pub fn list(&mut self, items: impl FnOnce(&mut Self)) {
        self.text.push('[');
        items(self);
        self.text.push(']');
    }

    /// An item of a list.
    pub fn item<T: Wire>(&mut self, value: &T) {
        self.follow();
        value.write(self);
    }

    /// A text as an item of a list.
    pub fn text_item(&mut self, value: &str) {
        self.follow();
        self.text(value);
    }

    /// An object.
    pub fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.text.push('{');
        members(self);
        self.text.push('}');
    }

    /// Further members of the object that was written last.
    pub fn extend(&mut self, members: impl FnOnce(&mut Self)) {
        self.text.pop();
        members(self);
        self.text.push('}');
    }

    /// A member of an object, unless it is absent. The name is one of ours: nothing in it wants an escape.
    pub fn member<T: Wire>(&mut self, name: &'static str, value: &T) {
        if !value.is_absent() {
            self.name(name);
            value.write(self);
        }
    }

    /// The name of a member; its value is to follow.
    pub fn name(&mut self, name: &'static str) {
        self.follow();
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    /// The name of a member that is not one of ours; its value is to follow.
    pub fn entry(&mut self, name: &str) {
        self.follow();
        self.text(name);
        self.text.push(':');
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// A comma, but for the first. No value ends in an opening bracket.
    fn follow(&mut self) {
        if !self.text.ends_with(['[', '{']) {
            self.text.push(',');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Json;

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was(text: String, name: u64) {
            let pairs = vec![(text.clone(), name), ("[{".to_owned(), 0)];
            let written = Json::of(&pairs, |value| value.to_string());
            prop_assert_eq!(serde_json::from_str::<Vec<(String, u64)>>(&written).unwrap(), pairs);
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        let all: String = (0..=0x9f_u8).map(char::from).collect();
        let written = Json::of(&all, |value| value.to_string());
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), all);
        assert!(written.is_ascii() || written.chars().all(|char| char >= ' '));
    }
}
