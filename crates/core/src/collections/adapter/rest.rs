//! REST.
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

use super::{changes, ours, plain, request, row_url};
use crate::{
    collections::{
        config::{CollectionConfig, Update},
        document::{self, Document},
        record::{Cursor, PushOp, Record},
    },
    queue::request::RequestHead,
    wire::text::Text,
};

pub(super) fn mutation(
    config: &CollectionConfig,
    op: PushOp,
    record: &Record,
    local: Option<&Document>,
) -> (RequestHead, Option<String>) {
    let whole = || local.map(|local| document::text(&ours(config, local)));
    let (method, url, body) = match (op, config.push.update) {
        (PushOp::Create, _) => ("POST", config.url.clone(), whole()),
        (PushOp::Update, Update::Put) => ("PUT", row_url(&config.url, &record.id), whole()),
        (PushOp::Update, Update::Patch) => (
            "PATCH",
            row_url(&config.url, &record.id),
            Some(document::text(&document::merge_patch_between(&changes(config, record, local), record.base.as_deref()))),
        ),
        (PushOp::Delete, _) => ("DELETE", row_url(&config.url, &record.id), None),
        (PushOp::Read, _) => ("GET", row_url(&config.url, &record.id), None),
    };
    let mut head = request(method, url);
    if body.is_some() {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        head.headers.push(("content-type".to_owned(), kind.to_owned()));
    }
    if matches!(op, PushOp::Update | PushOp::Delete)
        && let Some(version) = &record.version
        // A weak tag never matches (RFC 9110 §13.1.1).
        && !version.starts_with("W/")
    {
        head.headers.push(("if-match".to_owned(), entity_tag(version)));
    }
    (head, body)
}

pub(super) fn page(config: &CollectionConfig, from: Option<&Cursor>) -> Vec<(&'static str, String)> {
    let mut query = vec![("limit", config.pull.page_size.to_string())];
    if let Some(cursor) = from {
        query.push(("updatedSince", plain(&serde_json::from_str(&cursor.at).unwrap_or(Value::Null))));
        if !cursor.id.is_empty() {
            query.push(("after", cursor.id.clone()));
        }
    }
    query
}

/// A version as an entity tag (RFC 9110 §8.8.3).
fn entity_tag(version: &str) -> String {
    if version.starts_with('"') { version.to_owned() } else { ["\"", version, "\""].text() }
}
