//! Records as JSON documents: what differs, what one says over another.

use serde_json::{Map, Value};

use super::config::CollectionConfig;

/// A record's members.
pub type Document = Map<String, Value>;

/// Reads an object.
#[must_use]
pub fn read(text: &str) -> Option<Document> {
    match serde_json::from_str(text) {
        Ok(Value::Object(document)) => Some(document),
        _ => None,
    }
}

/// As it is stored.
#[must_use]
pub fn text(document: &Document) -> String {
    serde_json::to_string(document).unwrap_or_default()
}

/// What makes `to` of `from`, as a merge patch (RFC 7396), but for what the server owns.
#[must_use]
pub fn difference(from: &Document, to: &Document, config: &CollectionConfig) -> Document {
    let ours = |member: &&String| !config.is_server_owned(member) && **member != config.key;
    let mut patch = Document::new();
    for member in from.keys().chain(to.keys()).filter(ours) {
        match (from.get(member), to.get(member)) {
            (before, after) if before == after => {}
            (_, Some(after)) => drop(patch.insert(member.clone(), after.clone())),
            (_, None) => drop(patch.insert(member.clone(), Value::Null)),
        }
    }
    patch
}

/// `target` with a difference applied to it: member by member, for a difference names whole members.
pub fn apply(target: &mut Document, patch: &Document) {
    for (member, value) in patch {
        if value.is_null() {
            target.remove(member);
        } else {
            target.insert(member.clone(), value.clone());
        }
    }
}

/// `document` with what the server owns taken from `row`.
#[must_use]
pub fn owned_by(mut document: Document, row: &Document, config: &CollectionConfig) -> Document {
    let members: Vec<String> =
        document.keys().chain(row.keys()).filter(|member| config.is_server_owned(member)).cloned().collect();
    for member in members.iter().chain([&config.key]) {
        match row.get(member) {
            Some(value) => drop(document.insert(member.clone(), value.clone())),
            None => drop(document.remove(member)),
        }
    }
    document
}

/// RFC 7396 §2.
pub fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Document::new());
    }
    let Value::Object(target) = target else { return };
    for (member, value) in patch {
        if value.is_null() {
            target.remove(member);
        } else {
            merge_patch(target.entry(member.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_it_was_read() {
        for number in ["90.42225290942383", "42.215889504792884", "0.30000000000000004", "5e-324"] {
            let record = [r#"{"at":"#, number, "}"].concat();
            assert_eq!(text(&read(&record).unwrap()), record);
        }
    }
}
