//! Concatenates strings: as `concat` and `join` of the standard library do, in a tenth of the bytes.

/// Strings to concatenate.
pub trait Text {
    /// The concatenation.
    fn text(&self) -> String;
}

impl Text for [&str] {
    fn text(&self) -> String {
        let mut whole = String::new();
        for part in self {
            whole.push_str(part);
        }
        whole
    }
}

/// Strings joined by commas, for people.
pub fn listed<T: AsRef<str>>(texts: &[T]) -> String {
    let mut whole = String::new();
    for text in texts {
        if !whole.is_empty() {
            whole.push_str(", ");
        }
        whole.push_str(text.as_ref());
    }
    whole
}
