use serde_json::json;

use super::*;
use crate::wire::testing::parse;

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default, deserialize_with = "declared")]
    indexes: Vec<Declared>,
}

fn read(json: &str) -> Result<Vec<Declared>, String> {
    let declared = parse::<Config>(&[r#"{"indexes":"#, json, "}"].concat())?.indexes;
    check(&declared).map(|()| declared)
}

fn index(name: &str, paths: &[&str], multi: bool) -> Declared {
    Declared { name: name.to_owned(), paths: paths.iter().map(|path| (*path).to_owned()).collect(), multi }
}

/// The values of a record in one index.
fn values(index: Declared, record: Value) -> Vec<ValueKey> {
    let mut row = Record::new("notes", "ada", "7", 1);
    row.local = Some(record.to_string());
    let state = CollectionState { indexes: Some(Indexes { declared: vec![index], pending: None }), ..CollectionState::default() };
    row.index(&state);
    for entry in &row.values {
        assert_eq!(entry[..2], [text("ada"), text("notes")]);
        assert_eq!(entry.last(), Some(&text("7")));
    }
    row.values.into_iter().map(|entry| entry[3..entry.len() - 1].to_vec()).collect()
}

fn text(text: &str) -> IndexValue {
    IndexValue::Text(text.to_owned())
}

#[test]
fn a_declaration_is_a_path_several_or_an_object() {
    let read_all = read(r#"{"c":{"path":"tags","multi":true},"a":"name","b":["town","at.name"],"d":{"path":["x","y"]}}"#);
    let expected = [
        index("a", &["name"], false),
        index("b", &["town", "at.name"], false),
        index("c", &["tags"], true),
        index("d", &["x", "y"], false),
    ];
    assert_eq!(read_all.unwrap(), expected);
    assert_eq!(read("{}").unwrap(), []);
}

#[test]
fn a_declaration_that_is_wrong_is_refused_by_its_name() {
    for (json, why) in [
        (r#""name""#, "indexes: is not an object"),
        (r#"{"a":7}"#, "indexes.a: is not a path, an array of paths, or an object"),
        (r#"{"a":[7]}"#, "indexes.a.0: is not a string, or is too long"),
        (r#"{"a":{"paths":"b"}}"#, "indexes.a.paths: unknown member; known: path, multi"),
        (r#"{"a":{"multi":true}}"#, "indexes.a.path: is missing"),
        (r#"{"a":{"path":7}}"#, "indexes.a.path: is not a path or an array of paths"),
        (r#"{"a":{"path":"b","multi":1}}"#, "indexes.a.multi: is not a boolean"),
        (r#"{"a":[]}"#, "indexes.a: has 1 to 8 paths"),
        (r#"{"a":["1","2","3","4","5","6","7","8","9"]}"#, "indexes.a: has 1 to 8 paths"),
        (r#"{"a":""}"#, "indexes.a: a path is names of members, joined by dots"),
        (r#"{"a":"b..c"}"#, "indexes.a: a path is names of members, joined by dots"),
        (r#"{"a":{"path":["b","c"],"multi":true}}"#, "indexes.a: with multi, it has one path"),
        (r#"{"-a":"b"}"#, "indexes.-a: an index's name has 1 to 256 bytes, no control characters, and does not begin with \"-\""),
    ] {
        assert_eq!(read(json).unwrap_err(), why, "{json}");
    }
    let many: Vec<String> = (0..17).map(|number| format!(r#""{number}":"a""#)).collect();
    assert_eq!(read(&format!("{{{}}}", many.join(","))).unwrap_err(), "indexes: has at most 16");
}

#[test]
fn a_record_has_the_entries_of_its_values() {
    let one = |path: &str, record| values(index("a", &[path], false), record);
    assert_eq!(one("name", json!({"name": "Ada"})), [[text("Ada")]]);
    assert_eq!(one("at.town", json!({"at": {"town": "Bern"}})), [[text("Bern")]]);
    assert_eq!(one("at", json!({"at": -1.5})), [[IndexValue::Number(-1.5)]]);
    assert_eq!(one("at", json!({"at": true})), [[IndexValue::Number(1.0)]]);
    assert_eq!(one("at", json!({"at": u64::MAX})), [[IndexValue::Number(18_446_744_073_709_551_615.0)]]);
    let IndexValue::Number(zero) = one("at", json!({"at": -0.0}))[0][0] else { panic!("a number") };
    assert!(zero.is_sign_positive());
    for record in [json!({}), json!({"at": null}), json!({"at": {}}), json!({"at": ["x"]}), json!({"at": {"a": 1}, "b": 1})] {
        assert!(one("at", record.clone()).is_empty() && one("at.b", record.clone()).is_empty(), "{record}");
    }
    assert!(one("at.length", json!({"at": "text"})).is_empty() && one("at.0", json!({"at": ["x"]})).is_empty());

    let both = |record| values(index("a", &["town", "name"], false), record);
    assert_eq!(both(json!({"name": "Ada", "town": 7})), [[IndexValue::Number(7.0), text("Ada")]]);
    assert!(both(json!({"name": "Ada"})).is_empty());

    let each = |record| values(index("a", &["tags"], true), record);
    assert_eq!(
        each(json!({"tags": ["b", "a", null, 3, ["c"], "b", {}]})),
        [[text("b")], [text("a")], [IndexValue::Number(3.0)], [text("b")]]
    );
    assert_eq!(each(json!({"tags": "a"})), [[text("a")]]);
    assert!(each(json!({"tags": []})).is_empty());
    assert_eq!(each(json!({"tags": (0..2_000).collect::<Vec<_>>()})).len(), MOST_ITEMS);
}

#[test]
fn of_a_string_the_first_256_units_count_and_no_half_of_a_pair() {
    let cuts = |text: &str| cut(text).encode_utf16().count();
    assert_eq!(cuts(&"a".repeat(256)), 256);
    assert_eq!(cuts(&"ä".repeat(300)), 256);
    assert_eq!(cuts(&"\u{1f426}".repeat(200)), 256);
    assert_eq!(cuts(&("a".to_owned() + &"\u{1f426}".repeat(200))), 255);
}

#[test]
fn records_that_readers_do_not_see_have_no_entries() {
    let state = CollectionState {
        indexes: Some(Indexes { declared: vec![index("a", &["a"], false)], pending: None }),
        ..CollectionState::default()
    };
    let mut record = Record::new("notes", "", "7", 1);
    record.local = Some(json!({"a": 1}).to_string());
    assert!(record.index(&state) && !record.values.is_empty());
    assert!(!record.index(&state));
    record.moved = Some("8".to_owned());
    assert!(record.index(&state) && record.values.is_empty());
    (record.moved, record.local) = (None, None);
    assert!(!record.index(&state));
}

#[test]
fn entries_are_read_as_they_were_written() {
    let mut record = Record::new("notes", "ada", "7", 1);
    let all = [0.0, -1.0, 0.1, 1e21, -1e-7, 9_007_199_254_740_993.0].map(IndexValue::Number);
    record.values = vec![all.into_iter().chain([text("a\"\n"), text("")]).collect(), vec![]];
    let written = wire::json::Json::of(&record, |number| json!(number).to_string());
    assert_eq!(parse::<Record>(&written), Ok(record.clone()));
    // A row from before there were any.
    record.values.clear();
    assert_eq!(parse::<Record>(&written.replace("\"xValues\"", "\"old\"")), Ok(record));
}
