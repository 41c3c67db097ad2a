//! Fills values of a server's response into a URL, a header and a JSON body: the first line is the response, the second the
//! pointer, the rest the text with the place `{v}`; and applies the response to the text as a merge patch.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use shearwater_core::queue::binding::{
    merge::merge,
    pointer::Pointer,
    scan::{any_name, find},
    template::{Captured, fill_header, fill_json, fill_url},
};

const NAMES: &[&str] = &["v"];

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parts = text.splitn(3, '\n');
    let (response, pointer, template) =
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Some(pointer) = Pointer::parse(pointer) else { return };
    // As JavaScript, we take what serde_json does not: halves of surrogate pairs.
    if text.to_ascii_lowercase().contains("\\ud") {
        return;
    }
    let read: Option<Value> = serde_json::from_str(response).ok();
    any_name(response, |name| name.len() > 3);

    let found = find(response, &pointer);
    if let (Some(document), Some(found)) = (&read, found) {
        // What is found is JSON, and what any other reader finds there.
        if let (Some(value), Some(expected)) = (parsed(found), document.pointer(pointer.as_str())) {
            assert_eq!(&value, expected, "{pointer}");
        }
    }
    let Some(captured) = found.map(|found| Captured::of_json(found.trim())) else { return };
    let value = |_: &str, path: &str| path.is_empty().then(|| captured.clone());

    let places = |text: &str| text.matches("{v").count();
    if let Ok(filled) = fill_url(template, NAMES, value) {
        let delimiters = |text: &str| text.matches(['/', '?', '#', '&', '=', '\\', '\r', '\n']).count();
        assert!(delimiters(&filled) <= delimiters(template), "{filled:?} has more parts than {template:?}");
    }
    if let Ok(filled) = fill_header(template, NAMES, value) {
        let breaks = |text: &str| text.matches(['\r', '\n', '\0']).count();
        assert!(breaks(&filled) <= breaks(template), "{filled:?}");
    }
    if let Ok(before) = serde_json::from_str::<Value>(template)
        && let Ok(filled) = fill_json(template, NAMES, value)
    {
        let Some(after) = parsed(&filled) else { return };
        if places(template) == 0 && !template.contains("\\u") {
            assert_eq!(before, after);
        }
        assert!(shape(&after) >= shape(&before) || places(template) > 0, "{filled:?} lost something of {template:?}");
    }
    if let Some(merged) = merge(template, response) {
        parsed(&merged);
        assert_eq!(merge(&merged, response).as_deref(), Some(merged.as_str()), "a patch that is applied again changes nothing");
    }
});

/// JSON of ours; nothing for what serde_json does not take though it is well-formed.
fn parsed(json: &str) -> Option<Value> {
    match serde_json::from_str(json) {
        Ok(value) => Some(value),
        Err(error) if ["out of range", "recursion"].iter().any(|limit| error.to_string().contains(limit)) => None,
        Err(error) => panic!("{json:?}: {error}"),
    }
}

/// How many values there are.
fn shape(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(shape).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(shape).sum::<usize>(),
        _ => 1,
    }
}
