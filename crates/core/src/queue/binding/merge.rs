//! JSON merge patch (RFC 7396), from text to text: what is not changed stays as it was written.

use super::{
    pointer::Pointer,
    scan::{children, find},
};
use crate::wire::json::Json;

/// `target` with `patch` applied to it; `None` where either is no JSON.
#[must_use]
pub fn merge(target: &str, patch: &str) -> Option<String> {
    let whole = Pointer::of_path("");
    Some(apply(find(target, &whole)?, find(patch, &whole)?))
}

/// §2.
fn apply(target: &str, patch: &str) -> String {
    let patch = patch.trim();
    if !patch.starts_with('{') {
        return patch.to_owned();
    }
    let mut members: Vec<(String, String)> = Vec::new();
    if target.trim().starts_with('{') {
        for (name, value) in children(target) {
            set(&mut members, name.unwrap_or_default(), Some(value.trim().to_owned()));
        }
    }
    for (name, value) in children(patch) {
        let name = name.unwrap_or_default();
        let before = members.iter().find(|(other, _)| *other == name).map_or("null", |(_, value)| value.as_str());
        let after = (value.trim() != "null").then(|| apply(before, value));
        set(&mut members, name, after);
    }
    let mut text = "{".to_owned();
    for (at, (name, value)) in members.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&Json::of(name, |_| String::new()));
        text.push(':');
        text.push_str(value);
    }
    text.push('}');
    text
}

fn set(members: &mut Vec<(String, String)>, name: String, value: Option<String>) {
    let at = members.iter().position(|(other, _)| *other == name);
    match (at, value) {
        (Some(at), Some(value)) => {
            if let Some(member) = members.get_mut(at) {
                member.1 = value;
            }
        }
        (Some(at), None) => drop(members.remove(at)),
        (None, Some(value)) => members.push((name, value)),
        (None, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        // Appendix A.
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            assert_eq!(merge(target, patch).as_deref(), Some(result), "{target} {patch}");
        }
    }

    #[test]
    fn what_is_not_patched_stays_as_it_was_written() {
        let merged = merge(r#" { "id" : 12345678901234567890.10 , "t\u0065xt": "\u00e9" } "#, r#"{"n": 1e400}"#);
        assert_eq!(merged.as_deref(), Some(r#"{"id":12345678901234567890.10,"text":"\u00e9","n":1e400}"#));
    }

    #[test]
    fn what_is_no_json_is_not_merged() {
        assert_eq!((merge("{", "{}"), merge("{}", "{a: 1}"), merge("", "")), (None, None, None));
    }
}
