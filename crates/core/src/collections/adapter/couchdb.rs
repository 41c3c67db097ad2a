//! CouchDB's protocol (its documentation, "API reference"), without attachments: their stubs stay as they are.
//!
//! | what | request |
//! |---|---|
//! | create | `PUT url/{id}`, the document |
//! | update | `PUT url/{id}`, the document with the `_rev` that it began from |
//! | delete | `DELETE url/{id}?rev={rev}` |
//! | read | `GET url/{id}` |
//! | page | `GET url/_changes?include_docs=true&since={sequence}&limit={n}` |
//!
//! A mutation answers with the new revision; 409 says that the document has another, and it is read. A mutation that is sent
//! again meets its own revision. Design documents are not records.

use serde_json::Value;

use super::{Listed, ours, push_parameter, request, row, row_url};
use crate::{
    collections::{
        config::CollectionConfig,
        document::{self, Document},
        record::{Cursor, Push, PushOp, Record, Row},
    },
    queue::request::RequestHead,
};

const ID: &str = "_id";
const REVISION: &str = "_rev";
const DELETED: &str = "_deleted";

pub(super) fn mutation(
    config: &CollectionConfig,
    op: PushOp,
    record: &Record,
    local: Option<&Document>,
) -> (RequestHead, Option<String>) {
    let mut url = row_url(&config.url, &record.id);
    let (method, body) = match op {
        PushOp::Create | PushOp::Update => {
            let body = local.map(|local| {
                let mut body = ours(config, local);
                body.remove(REVISION);
                if let Some(version) = record.version.as_ref().filter(|_| op == PushOp::Update) {
                    body.insert(REVISION.to_owned(), version.as_str().into());
                }
                document::text(&body)
            });
            ("PUT", body)
        }
        PushOp::Delete => ("DELETE", None),
        PushOp::Read => ("GET", None),
    };
    if op == PushOp::Delete
        && let Some(version) = &record.version
    {
        push_parameter(&mut url, "rev", version);
    }
    let mut head = request(method, url);
    if body.is_some() {
        head.headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    (head, body)
}

pub(super) fn page(config: &CollectionConfig, from: Option<&Cursor>) -> Vec<(&'static str, String)> {
    let since = from.and_then(|cursor| serde_json::from_str::<Value>(&cursor.at).ok());
    vec![
        ("include_docs", "true".to_owned()),
        ("limit", config.pull.page_size.to_string()),
        ("since", since.map_or_else(|| "0".to_owned(), |since| super::plain(&since))),
    ]
}

/// The document as it is after a mutation that answered `{ok, id, rev}`, or as a read answered it.
pub(super) fn answered(push: &Push, value: Value) -> Option<Value> {
    let revision = match value.get("rev") {
        Some(Value::String(revision)) if value.get(ID).is_none() => revision.clone(),
        _ => return value.get(REVISION).is_some().then_some(value),
    };
    let mut document = document::read(push.body.as_deref()?)?;
    document.insert(REVISION.to_owned(), revision.into());
    Some(Value::Object(document))
}

/// A change of the feed.
pub(super) fn listed(config: &CollectionConfig, mut item: Value) -> Result<Listed, String> {
    let id = item.get("id").and_then(Value::as_str).ok_or("a change has no \"id\"")?.to_owned();
    let place = item.get("seq").map(|sequence| Cursor { at: sequence.to_string(), id: String::new() });
    if id.starts_with("_design/") {
        return Ok(Listed { id, row: None, place });
    }
    let is_deleted = item.get("deleted") == Some(&Value::Bool(true));
    let row = match item.get_mut("doc").map(Value::take) {
        Some(doc) if doc.get(DELETED).is_none() && !is_deleted => row(config, doc)?.1,
        doc => {
            let version = doc.as_ref().and_then(|doc| doc.get(REVISION)).and_then(Value::as_str).map(str::to_owned);
            Row { text: None, version, at: None }
        }
    };
    Ok(Listed { id, row: Some(row), place })
}
