//! Puts texts together: as `concat` and `join` of the standard library do, in a tenth of the bytes.

/// Texts that follow each other.
pub trait Text {
    /// All of them as one.
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

/// Texts with commas between them, for people.
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
