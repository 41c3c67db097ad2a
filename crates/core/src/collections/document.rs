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
    let ours = |member: &&String| !config.is_server_owned(member) && *member != config.key();
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

/// A difference from `base` as a merge patch (RFC 7396), which goes into objects: what is gone within one is null.
#[must_use]
pub fn merge_patch_between(difference: &Document, base: Option<&str>) -> Document {
    fn within(from: Option<&Value>, to: &Value) -> Value {
        let (Some(Value::Object(from)), Value::Object(to)) = (from, to) else { return to.clone() };
        let gone = from.keys().filter(|member| !to.contains_key(*member)).map(|member| (member.clone(), Value::Null));
        let there = to.iter().filter(|(member, value)| from.get(*member) != Some(*value));
        let changed = there.map(|(member, value)| (member.clone(), within(from.get(member), value)));
        Value::Object(gone.chain(changed).collect())
    }
    let base = base.and_then(read).unwrap_or_default();
    difference.iter().map(|(member, to)| (member.clone(), within(base.get(member), to))).collect()
}

/// Whether they differ in what is the app's.
#[must_use]
pub fn differ(from: Option<&str>, to: Option<&str>, config: &CollectionConfig) -> bool {
    match (from.and_then(read), to.and_then(read)) {
        (Some(from), Some(to)) => !difference(&from, &to, config).is_empty(),
        (from, to) => from.is_some() != to.is_some(),
    }
}

/// Whether a row has all of `part` that is not the server's, as it is; null is as good as absent.
#[must_use]
pub fn has_all(row: &Document, part: &Document, config: &CollectionConfig) -> bool {
    let ours = part.iter().filter(|(member, _)| !config.is_server_owned(member));
    ours.into_iter().all(|(member, value)| row.get(member).unwrap_or(&Value::Null) == value)
}

/// `document` with what the server owns taken from `row`.
#[must_use]
pub fn owned_by(mut document: Document, row: &Document, config: &CollectionConfig) -> Document {
    let members: Vec<String> =
        document.keys().chain(row.keys()).filter(|member| config.is_server_owned(member)).cloned().collect();
    for member in members.iter().map(String::as_str).chain([config.key()]) {
        match row.get(member) {
            Some(value) => drop(document.insert(member.to_owned(), value.clone())),
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
