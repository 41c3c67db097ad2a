//! Speaks a server's language: the requests of mutations and listings, and the rows in their responses (D9).
//!
//! An adapter is a module of pure functions over a collection's settings. What they have in common is here: ids, rows, the
//! order of rows. The requests of each are in its module's documentation: [`rest`], [`postgrest`], [`couchdb`].

pub mod couchdb;
pub mod postgrest;
pub mod rest;

use serde_json::Value;

use super::{
    config::{AdapterKind, CollectionConfig},
    document::{self, Document},
    instant,
    record::{Cursor, Push, PushOp, Record, Row},
};
use crate::{error::Error, queue::request::RequestHead, time::Millis, wire::text::Text};

/// The longest id, in bytes.
const LONGEST_ID: usize = 512;

/// Checks an id: it is a segment of a URL.
///
/// # Errors
/// `invalid-request`.
pub fn check_id(id: &str) -> Result<(), Error> {
    if id.is_empty() || id.len() > LONGEST_ID || id.chars().any(char::is_control) {
        return Err(Error::invalid_request("a record's id has 1 to 512 bytes and no control characters"));
    }
    // A URL parser takes these for steps in the path (URL §4.4).
    if matches!(id, "." | "..") {
        return Err(Error::invalid_request("a record's id is not \".\" or \"..\""));
    }
    Ok(())
}

/// The request of a mutation, and its body.
#[must_use]
pub fn mutation(
    config: &CollectionConfig,
    op: PushOp,
    record: &Record,
    local: Option<&Document>,
    now: Millis,
) -> (RequestHead, Option<String>) {
    match config.adapter {
        AdapterKind::Rest => rest::mutation(config, op, record, local),
        AdapterKind::Postgrest => postgrest::mutation(config, op, record, local, now),
        AdapterKind::Couchdb => couchdb::mutation(config, op, record, local),
    }
}

/// The request of a page of rows, with further parameters of a scope.
#[must_use]
pub fn page(config: &CollectionConfig, from: Option<&Cursor>, scope: &[(String, String)]) -> RequestHead {
    let (url, query) = match config.adapter {
        AdapterKind::Rest => (config.url.clone(), rest::page(config, from)),
        AdapterKind::Postgrest => (config.url.clone(), postgrest::page(config, from)),
        AdapterKind::Couchdb => (below(&config.url, "_changes"), couchdb::page(config, from)),
    };
    let mut url = url;
    for (name, value) in &query {
        push_parameter(&mut url, name, value);
    }
    for (name, value) in scope {
        push_parameter(&mut url, &encoded(name), value);
    }
    request("GET", url)
}

/// The request of all rows at once.
#[must_use]
pub fn everything(config: &CollectionConfig, scope: &[(String, String)]) -> RequestHead {
    let mut url = config.url.clone();
    for (name, value) in scope {
        push_parameter(&mut url, &encoded(name), value);
    }
    request("GET", url)
}

/// What a response to a mutation says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The row as it is now, with its id.
    Row(String, Row),
    /// It meets no row: there is none, or none of that version.
    NoMatch,
    /// Nothing of a row.
    Nothing,
}

/// What the body of a response to a mutation says, which it took or refused.
#[must_use]
pub fn answered(config: &CollectionConfig, push: &Push, has_taken: bool, body: Option<&str>) -> Said {
    let Some(value) = body.and_then(|body| serde_json::from_str::<Value>(body).ok()) else { return Said::Nothing };
    let value = match config.adapter {
        AdapterKind::Rest => value,
        AdapterKind::Postgrest => match value {
            Value::Array(rows) => match rows.into_iter().next() {
                Some(row) => row,
                None => return Said::NoMatch,
            },
            _ => return Said::Nothing,
        },
        AdapterKind::Couchdb => match couchdb::answered(push, value) {
            Some(row) => row,
            None => return Said::Nothing,
        },
    };
    let is_whole = match (push.op, value.as_object()) {
        (_, None) => false,
        (PushOp::Read, _) => true,
        // A receipt is no row: one that was just written has all that was written.
        (PushOp::Create | PushOp::Update, Some(row)) if has_taken => {
            let data = push.data.as_deref().and_then(document::read).unwrap_or_default();
            ours(config, &data).iter().all(|(member, value)| value.is_null() || row.contains_key(member))
        }
        // Nor is a problem's description (RFC 9457).
        (_, Some(row)) => row.contains_key(config.version()) && row.contains_key(config.updated_at()),
    };
    row(config, value).ok().filter(|_| is_whole).map_or(Said::Nothing, |(id, row)| Said::Row(id, row))
}

/// Whether a 404 says that there was a row.
#[must_use]
pub fn says_deleted(config: &CollectionConfig, body: Option<&str>) -> bool {
    config.adapter == AdapterKind::Couchdb
        && body.and_then(document::read).is_some_and(|problem| problem.get("reason") == Some(&Value::from("deleted")))
}

/// A row of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// It; none where it is no record, but the server's own.
    pub row: Option<Row>,
    /// Where it stands in the server's order, if it says so.
    pub place: Option<Cursor>,
}

/// The items of a page, each to be read by [`listed`].
///
/// # Errors
/// What is wrong with the page, for people.
pub fn items(config: &CollectionConfig, body: &str) -> Result<Vec<Value>, String> {
    let (member, other) = match config.adapter {
        AdapterKind::Couchdb => ("results", "an object without an array \"results\""),
        _ => ("items", "an object without an array \"items\""),
    };
    match serde_json::from_str(body) {
        Ok(Value::Array(rows)) => Ok(rows),
        Ok(Value::Object(mut page)) => match page.remove(member) {
            Some(Value::Array(rows)) => Ok(rows),
            _ => Err(["the page is ", other].text()),
        },
        Ok(_) => Err("the page is neither an array nor an object".to_owned()),
        Err(error) => Err(["the page is no JSON: ", &error.to_string()].text()),
    }
}

/// An item of a page.
///
/// # Errors
/// What is wrong with it, for people.
pub fn listed(config: &CollectionConfig, item: Value) -> Result<Listed, String> {
    if config.adapter == AdapterKind::Couchdb {
        return couchdb::listed(config, item);
    }
    let changed = item.get(config.updated_at()).cloned().unwrap_or(Value::Null);
    let (id, row) = row(config, item)?;
    let place = instant::parse(&changed).map(|_| Cursor { at: changed.to_string(), id: id.clone() });
    Ok(Listed { id, row: Some(row), place })
}

/// Whether a place in the server's order is behind another. Of the rows of one millisecond, the order is the server's affair.
#[must_use]
pub fn is_beyond(config: &CollectionConfig, at: Option<&Cursor>, other: Option<&Cursor>) -> bool {
    let (Some(at), Some(other)) = (at, other) else { return at.is_some() };
    let time = |cursor: &Cursor| serde_json::from_str::<Value>(&cursor.at).ok().and_then(|at| instant::parse(&at));
    let (time, than) = (time(at), time(other));
    if time == than || config.adapter == AdapterKind::Couchdb { at != other } else { time > than }
}

/// Where a pull begins that goes on from `cursor`: a while before, for rows that the server commits later than their time says,
/// and before that for as long as the pulls `lasted` that moved it.
#[must_use]
pub fn overlapped(config: &CollectionConfig, cursor: &Cursor, lasted: u64) -> Cursor {
    if config.pull.overlap == 0 || config.adapter == AdapterKind::Couchdb {
        return cursor.clone();
    }
    let at = serde_json::from_str::<Value>(&cursor.at).ok();
    let earlier = at.and_then(|at| instant::before(&at, config.pull.overlap.saturating_add(lasted)));
    earlier.map_or_else(|| cursor.clone(), |at| Cursor { at: at.to_string(), id: String::new() })
}

/// A row, with its id.
///
/// # Errors
/// What is wrong with it, for people.
pub fn row(config: &CollectionConfig, value: Value) -> Result<(String, Row), String> {
    let Value::Object(document) = value else { return Err("a row is no object".to_owned()) };
    let id = match document.get(config.key()) {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => return Err(["a row has no \"", config.key(), "\""].text()),
    };
    check_id(&id).map_err(Error::into_message)?;
    let version = document.get(config.version()).filter(|version| !version.is_null()).map(plain);
    let is_deleted = document.get(config.deleted_at()).is_some_and(|at| match at {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(at) => !at.is_empty(),
        _ => true,
    });
    let at = document.get(config.updated_at()).and_then(instant::parse);
    let text = (!is_deleted).then(|| document::text(&document));
    Ok((id, Row { text, version, at }))
}

/// The origin of an absolute URL, as a URL parser has spelt it.
#[must_use]
pub fn origin_of(url: &str) -> String {
    let from = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(from..).and_then(|rest| rest.find(['/', '?'])).map_or(url.len(), |at| from + at);
    url.get(..end).unwrap_or(url).to_owned()
}

/// A value as it stands in a URL or a header: a string's text, JSON of all others.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What of a record is the app's to send.
fn ours(config: &CollectionConfig, document: &Document) -> Document {
    document
        .iter()
        .filter(|(member, _)| !config.is_server_owned(member))
        .map(|(member, value)| (member.clone(), value.clone()))
        .collect()
}

/// The difference between `base` and `local`.
fn changes(config: &CollectionConfig, record: &Record, local: Option<&Document>) -> Document {
    let base = record.base.as_deref().and_then(document::read).unwrap_or_default();
    document::difference(&base, local.unwrap_or(&Document::new()), config)
}

fn request(method: &str, url: String) -> RequestHead {
    let headers = vec![("accept".to_owned(), "application/json".to_owned())];
    RequestHead { url, method: method.to_owned(), headers, cache: Some("no-store".to_owned()), ..RequestHead::default() }
}

/// A URL with one more segment in its path.
fn below(url: &str, segment: &str) -> String {
    let (path, query) = url.find('?').map_or((url, ""), |at| url.split_at(at));
    [path.trim_end_matches('/'), "/", segment, query].text()
}

/// Where the row of an id is.
fn row_url(url: &str, id: &str) -> String {
    below(url, &encoded(id))
}

/// `name` is encoded already, where it needs to be.
fn push_parameter(url: &mut String, name: &str, value: &str) {
    url.push(if url.contains('?') { '&' } else { '?' });
    *url = [url, name, "=", &encoded(value)].text();
}

/// As `encodeURIComponent` does it.
fn encoded(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for nibble in [byte >> 4, byte & 15] {
                encoded.push(char::from(*HEX.get(usize::from(nibble)).unwrap_or(&b'0')));
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collections::config::Removal;

    #[test]
    fn an_id_is_one_segment_whatever_is_in_it() {
        assert_eq!(
            row_url("https://a.example/notes?tenant=1", "a/b ?#ä"),
            "https://a.example/notes/a%2Fb%20%3F%23%C3%A4?tenant=1"
        );
        assert_eq!(row_url("https://a.example/notes/", "x"), "https://a.example/notes/x");
        for id in ["", ".", "..", "a\nb", &"x".repeat(513)] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
    }

    fn config(adapter: AdapterKind) -> CollectionConfig {
        let mut config = CollectionConfig::new("https://a.example/notes");
        config.adapter = adapter;
        config.pull.page_size = 10;
        config
    }

    fn record(version: &str) -> Record {
        let mut record = Record::new("notes", "", "a b", 1);
        record.base = Some(r#"{"id":"a b","title":"x","done":true,"updated_at":"t"}"#.to_owned());
        record.version = Some(version.to_owned());
        record
    }

    fn of(text: &str) -> Document {
        document::read(text).unwrap()
    }

    #[test]
    fn each_adapter_asks_for_what_changed_behind_the_cursor() {
        let cursor = |at: &str, id: &str| Cursor { at: at.to_owned(), id: id.to_owned() };
        let behind = cursor(r#""2026-01-01T00:00:00.12+00:00""#, "a,b\"");
        let whole = "https://a.example/notes";
        let scope = [("project".to_owned(), "x&y".to_owned())];
        let of = |adapter, from: Option<&Cursor>| page(&config(adapter), from, &[]).url;
        assert_eq!(page(&config(AdapterKind::Rest), None, &scope).url, format!("{whole}?limit=10&project=x%26y"));
        assert_eq!(
            of(AdapterKind::Rest, Some(&behind)),
            format!("{whole}?limit=10&updatedSince=2026-01-01T00%3A00%3A00.12%2B00%3A00&after=a%2Cb%22")
        );
        assert_eq!(of(AdapterKind::Postgrest, None), format!("{whole}?order=updated_at.asc%2Cid.asc&limit=10"));
        let time = "%222026-01-01T00%3A00%3A00.12%2B00%3A00%22";
        assert_eq!(
            of(AdapterKind::Postgrest, Some(&behind)),
            format!(
                "{whole}?order=updated_at.asc%2Cid.asc&limit=10&or=(updated_at.gt.{time}%2Cand(updated_at.eq.{time}%2Cid.gt.%22a%2Cb%5C%22%22))"
            )
        );
        assert_eq!(
            of(AdapterKind::Couchdb, Some(&cursor(r#""12-abc""#, ""))),
            format!("{whole}/_changes?include_docs=true&limit=10&since=12-abc")
        );
        assert_eq!(
            of(AdapterKind::Couchdb, Some(&cursor("12", ""))),
            format!("{whole}/_changes?include_docs=true&limit=10&since=12")
        );
    }

    #[test]
    fn postgrest_has_the_version_as_a_filter_and_an_empty_array_as_no_match() {
        let mut config = config(AdapterKind::Postgrest);
        let local = of(r#"{"id":"a b","title":"y","updated_at":"t"}"#);
        let (head, body) = mutation(&config, PushOp::Update, &record("1+1"), Some(&local), Millis(0));
        assert_eq!(
            (head.method.as_str(), head.url.as_str()),
            ("PATCH", "https://a.example/notes?id=eq.a%20b&updated_at=eq.1%2B1")
        );
        assert_eq!(of(&body.unwrap()), of(r#"{"title":"y","done":null}"#));
        let head = mutation(&config, PushOp::Delete, &record("7"), None, Millis(0)).0;
        assert_eq!((head.method.as_str(), head.url.as_str()), ("DELETE", "https://a.example/notes?id=eq.a%20b&updated_at=eq.7"));
        config.push.delete = Removal::Mark;
        let (head, body) = mutation(&config, PushOp::Delete, &record("7"), None, Millis(0));
        assert_eq!((head.method.as_str(), body.as_deref()), ("PATCH", Some(r#"{"deleted_at":"1970-01-01T00:00:00.000Z"}"#)));
        let push = Push { job: crate::id::JobId::from_random([0; 16]), op: PushOp::Update, data: None, body: None };
        assert_eq!(answered(&config, &push, true, Some("[]")), Said::NoMatch);
        assert_eq!(answered(&config, &push, true, Some("{}")), Said::Nothing);
        assert!(matches!(answered(&config, &push, true, Some(r#"[{"id":1,"title":"z"}]"#)), Said::Row(id, _) if id == "1"));
    }

    #[test]
    fn couchdb_answers_with_a_revision_and_lists_changes() {
        let config = config(AdapterKind::Couchdb);
        let local = of(r#"{"_id":"a b","_rev":"1-x","title":"y"}"#);
        let (head, body) = mutation(&config, PushOp::Update, &record("2-y"), Some(&local), Millis(0));
        assert_eq!((head.method.as_str(), head.url.as_str()), ("PUT", "https://a.example/notes/a%20b"));
        assert_eq!(of(body.as_deref().unwrap()), of(r#"{"_id":"a b","_rev":"2-y","title":"y"}"#));
        let push = Push { job: crate::id::JobId::from_random([0; 16]), op: PushOp::Update, data: None, body };
        let Said::Row(id, row) = answered(&config, &push, true, Some(r#"{"ok":true,"id":"a b","rev":"3-z"}"#)) else { panic!() };
        assert_eq!((id.as_str(), row.version.as_deref()), ("a b", Some("3-z")));
        assert_eq!(of(&row.text.unwrap()), of(r#"{"_id":"a b","_rev":"3-z","title":"y"}"#));
        let items = items(
            &config,
            r#"{"results":[{"seq":1,"id":"_design/x","changes":[],"doc":{"_id":"_design/x","_rev":"1"}},
                {"seq":"2-a","id":"b","deleted":true,"doc":{"_id":"b","_rev":"2-b","_deleted":true}},
                {"seq":3,"id":"c","doc":{"_id":"c","_rev":"1-c"}}],"last_seq":3}"#,
        )
        .unwrap();
        let listed: Vec<Listed> = items.into_iter().map(|item| listed(&config, item).unwrap()).collect();
        assert_eq!(
            listed.iter().map(|listed| listed.place.as_ref().unwrap().at.as_str()).collect::<Vec<_>>(),
            ["1", "\"2-a\"", "3"]
        );
        assert_eq!(listed.first().unwrap().row, None);
        assert!(says_deleted(&config, Some(r#"{"error":"not_found","reason":"deleted"}"#)));
        assert!(!says_deleted(&config, Some(r#"{"error":"not_found","reason":"missing"}"#)));
        assert_eq!(listed.get(1).unwrap().row, Some(Row { text: None, version: Some("2-b".to_owned()), at: None }));
        assert_eq!(listed.get(2).unwrap().row.as_ref().unwrap().version.as_deref(), Some("1-c"));
    }
}
