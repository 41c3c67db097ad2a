//! One test for each convention of the types that are read and written.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{json::Json, testing::parse, *};

fn written<T: Serialize>(value: &T) -> String {
    Json::of(value, |number| number.to_string())
}

fn refused<T: DeserializeOwned + fmt::Debug>(text: &str) -> String {
    parse::<T>(text).expect_err(text)
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "!Strict", rename_all = "camelCase")]
struct Strict {
    max_age: u32,
    name: Option<String>,
    #[serde(default)]
    items: Vec<u8>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Group {
    seq: u32,
    key: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    id: u32,
    #[serde(rename = "..group")]
    group: Group,
    strict: Option<Strict>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default)]
struct Settings {
    burst: u32,
    ratio: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { burst: 10, ratio: 0.5 }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Choice {
    Nothing,
    AllOfThem(Option<u32>),
    One(u32),
    #[serde(rename = "other")]
    Other(Group),
}

#[test]
fn numbers_are_whole_and_in_range() {
    assert_eq!(parse::<u64>("9007199254740991"), Ok(9_007_199_254_740_991));
    for text in ["-1", "1.5", "9007199254740992", "\"1\"", "true", "null", "[]"] {
        assert!(parse::<u64>(text).is_err(), "{text}");
    }
    assert_eq!(refused::<u8>("256"), "is too large");
    assert_eq!(parse::<Vec<(String, u8)>>(r#"[["a", 1]]"#), Ok(vec![("a".to_owned(), 1)]));
    assert!(parse::<(u8, u8)>("[1]").is_err());
    assert!(parse::<(u8, u8)>("[1, 2, 3]").is_err());
}

#[test]
fn an_error_tells_its_place() {
    let mismatch = Mismatch::new("is not a number").within("maxAge").within("notes").within("queues");
    assert_eq!(mismatch.to_string(), "queues.notes.maxAge: is not a number");
    assert_eq!(
        refused::<Record>(r#"{"id": 1, "seq": 2, "strict": {"maxAge": "x"}}"#),
        "strict.maxAge: is not a non-negative integer"
    );
    assert_eq!(refused::<Record>(r#"{"id": 1, "seq": 2, "strict": {}}"#), "strict.maxAge: is missing");
    assert_eq!(refused::<Record>(r#"{"id": 1, "seq": 2, "strict": []}"#), "strict: is not an object");
}

#[test]
fn a_strict_type_refuses_other_members_and_says_which_there_are() {
    let strict = Strict { max_age: 1, name: None, items: Vec::new() };
    assert_eq!(parse::<Strict>(&written(&strict)), Ok(strict));
    assert_eq!(refused::<Strict>(r#"{"maxAge": 1, "nmae": "x"}"#), "nmae: unknown member; known: maxAge, name, items");
}

#[test]
fn other_types_pass_over_other_members() {
    assert_eq!(parse::<Group>(r#"{"seq": 1, "later": {}}"#), Ok(Group { seq: 1, key: None }));
}

#[test]
fn a_group_lies_flat_in_its_record() {
    let record = Record { id: 1, group: Group { seq: 2, key: None }, strict: None };
    assert_eq!(written(&record), r#"{"id":1,"seq":2}"#);
    assert_eq!(parse(&written(&record)), Ok(record));
    assert_eq!(refused::<Record>(r#"{"id": 1}"#), "seq: is missing");
    assert_eq!(refused::<Record>(r#"{"id": 1, "seq": 2, "key": 3}"#), "key: is not a string, or is too long");
}

#[test]
fn what_is_absent_or_null_is_none_or_the_default() {
    let text = r#"{"maxAge": 1, "name": null, "items": null}"#;
    assert_eq!(parse::<Strict>(text), Ok(Strict { max_age: 1, name: None, items: Vec::new() }));
    assert_eq!(written(&parse::<Strict>(text).unwrap()), r#"{"maxAge":1,"items":[]}"#);
    assert_eq!(parse::<Settings>(r#"{"burst": null, "ratio": 1}"#), Ok(Settings { burst: 10, ratio: 1.0 }));
    assert_eq!(refused::<Settings>(r#"{"ratio": "1"}"#), "ratio: is not a number");
    assert_eq!(written(&vec![None, Some(1_u8)]), "[null,1]");
}

#[test]
fn an_enum_is_a_name_or_an_object_with_one_member() {
    let group = || Group { seq: 1, key: None };
    for (value, text) in [
        (Choice::Nothing, r#""nothing""#),
        (Choice::AllOfThem(None), r#"{"all-of-them":null}"#),
        (Choice::One(7), r#"{"one":7}"#),
        (Choice::Other(group()), r#"{"other":{"seq":1}}"#),
    ] {
        assert_eq!(written(&value), text);
        assert_eq!(parse::<Choice>(text), Ok(value));
    }
    assert_eq!(parse::<Choice>(r#""all-of-them""#), Ok(Choice::AllOfThem(None)));
    assert_eq!(refused::<Choice>(r#""one""#), "one: is missing");
    assert_eq!(refused::<Choice>(r#"{"other": {}}"#), "other.seq: is missing");
    for text in [r#""noting""#, r#"{"noting": 1}"#, r#"{"one": 1, "other": 1}"#, "{}", "[]", "1"] {
        assert_eq!(refused::<Choice>(text), "is not one of nothing all-of-them one other", "{text}");
    }
    assert!(parse::<Choice>(r#"{"nothing": 1}"#).is_err());
}

#[test]
fn the_entries_of_an_object_keep_their_names_and_their_places() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Queues {
        #[serde(deserialize_with = "entries")]
        queues: Vec<(String, u8)>,
    }
    assert_eq!(parse::<Queues>(r#"{"queues": {"a": 1}}"#), Ok(Queues { queues: vec![("a".to_owned(), 1)] }));
    assert_eq!(refused::<Queues>(r#"{"queues": {"a": 1, "b": "x"}}"#), "queues.b: is not a non-negative integer");
    assert_eq!(refused::<Queues>(r#"{"queues": {"a": null}}"#), "queues.a: is missing");
    assert_eq!(refused::<Queues>(r#"{"queues": []}"#), "queues: is not an object");
}
