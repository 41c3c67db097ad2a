//! Speaks REST: the requests of mutations and pages, and the rows in their responses.
//!
//! | what | request |
//! |---|---|
//! | create | `POST url`, the record; `Idempotency-Key` |
//! | update | `PATCH url/{id}`, a merge patch (RFC 7396), or `PUT url/{id}`, the record; `If-Match` (RFC 9110 §13.1.1) |
//! | delete | `DELETE url/{id}`; `If-Match` |
//! | read | `GET url/{id}` |
//! | page | `GET url?updatedSince={time}&after={id}&limit={n}`: an array, or an object with it as `items`, in the order of (time, id), each beyond (`updatedSince`, `after`); without `after`, of that time too |
//!
//! A mutation answers with the row as it is now, a refused one (409, 412) with the row that it met, where it can. What answers
//! without it is asked by `GET`.

use serde_json::Value;

use super::{
    config::{CollectionConfig, Update},
    document::{self, Document},
    instant,
    record::{Cursor, PushOp, Record, Row},
};
use crate::{error::Error, queue::request::RequestHead, wire::text::Text};

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
) -> (RequestHead, Option<String>) {
    let base = record.base.as_deref().and_then(document::read);
    let ours = |document: &Document| -> Document {
        document
            .iter()
            .filter(|(member, _)| !config.is_server_owned(member))
            .map(|(member, value)| (member.clone(), value.clone()))
            .collect()
    };
    let whole = || local.map(|local| document::text(&ours(local)));
    let (method, url, body) = match (op, config.push.update) {
        (PushOp::Create, _) => ("POST", config.url.clone(), whole()),
        (PushOp::Update, Update::Put) => ("PUT", row_url(&config.url, &record.id), whole()),
        (PushOp::Update, Update::Patch) => {
            let patch = document::difference(&base.unwrap_or_default(), local.unwrap_or(&Document::new()), config);
            ("PATCH", row_url(&config.url, &record.id), Some(document::text(&patch)))
        }
        (PushOp::Delete, _) => ("DELETE", row_url(&config.url, &record.id), None),
        (PushOp::Read, _) => ("GET", row_url(&config.url, &record.id), None),
    };
    let mut headers = Vec::new();
    if body.is_some() {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        headers.push(("content-type".to_owned(), kind.to_owned()));
    }
    headers.push(("accept".to_owned(), "application/json".to_owned()));
    if matches!(op, PushOp::Update | PushOp::Delete)
        && let Some(version) = &record.version
    {
        headers.push(("if-match".to_owned(), entity_tag(version)));
    }
    (RequestHead { url, method: method.to_owned(), headers, cache: Some("no-store".to_owned()), ..RequestHead::default() }, body)
}

/// The request of a page.
#[must_use]
pub fn page(config: &CollectionConfig, from: Option<&Cursor>) -> RequestHead {
    let mut query = vec![("limit", config.pull.page_size.to_string())];
    if let Some(cursor) = from {
        let at = serde_json::from_str(&cursor.at).unwrap_or(Value::Null);
        query.push(("updatedSince", at.as_str().map_or_else(|| at.to_string(), str::to_owned)));
        if !cursor.id.is_empty() {
            query.push(("after", cursor.id.clone()));
        }
    }
    let mut url = config.url.clone();
    for (name, value) in query {
        url.push(if url.contains('?') { '&' } else { '?' });
        url = [&url, name, "=", &encoded(&value)].text();
    }
    let headers = vec![("accept".to_owned(), "application/json".to_owned())];
    RequestHead { url, method: "GET".to_owned(), headers, cache: Some("no-store".to_owned()), ..RequestHead::default() }
}

/// The rows of a page.
///
/// # Errors
/// What is wrong with it, for people.
pub fn rows(body: &str) -> Result<Vec<Value>, String> {
    match serde_json::from_str(body) {
        Ok(Value::Array(rows)) => Ok(rows),
        Ok(Value::Object(mut page)) => match page.remove("items") {
            Some(Value::Array(rows)) => Ok(rows),
            _ => Err("the page is an object without an array \"items\"".to_owned()),
        },
        Ok(_) => Err("the page is neither an array nor an object".to_owned()),
        Err(error) => Err(["the page is no JSON: ", &error.to_string()].text()),
    }
}

/// A row, with its id.
///
/// # Errors
/// What is wrong with it, for people.
pub fn row(config: &CollectionConfig, value: Value) -> Result<(String, Row, Document), String> {
    let Value::Object(document) = value else { return Err("a row is no object".to_owned()) };
    let id = match document.get(&config.key) {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => return Err(["a row has no \"", &config.key, "\""].text()),
    };
    check_id(&id).map_err(Error::into_message)?;
    let changed = document.get(&config.updated_at);
    let named = config.version.as_ref().map_or(changed, |member| document.get(member));
    let version = named
        .filter(|version| !version.is_null())
        .map(|version| version.as_str().map_or_else(|| version.to_string(), str::to_owned));
    let is_deleted = document.get(&config.deleted_at).is_some_and(|at| !matches!(at, Value::Null | Value::Bool(false)));
    let text = (!is_deleted).then(|| document::text(&document));
    Ok((id, Row { text, version, at: changed.and_then(instant::parse) }, document))
}

/// The row that a response to a mutation has, if it has one.
#[must_use]
pub fn answered(config: &CollectionConfig, body: Option<&str>) -> Option<(String, Row)> {
    let value: Value = serde_json::from_str(body?).ok()?;
    let (id, row, _) = row(config, value).ok()?;
    Some((id, row))
}

/// The origin of an absolute URL, as a URL parser has spelt it.
#[must_use]
pub fn origin_of(url: &str) -> String {
    let from = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(from..).and_then(|rest| rest.find(['/', '?'])).map_or(url.len(), |at| from + at);
    url.get(..end).unwrap_or(url).to_owned()
}

/// Where the row of an id is.
fn row_url(url: &str, id: &str) -> String {
    let (path, query) = url.find('?').map_or((url, ""), |at| url.split_at(at));
    [path.trim_end_matches('/'), "/", &encoded(id), query].text()
}

/// A version as an entity tag (RFC 9110 §8.8.3).
fn entity_tag(version: &str) -> String {
    if version.starts_with('"') || version.starts_with("W/") { version.to_owned() } else { ["\"", version, "\""].text() }
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
}
