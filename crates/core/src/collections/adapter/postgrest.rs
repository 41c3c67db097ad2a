//! PostgREST, as Supabase runs it (its documentation, "Tables and Views").
//!
//! | what | request |
//! |---|---|
//! | create | `POST url`, the record |
//! | update | `PATCH url?id=eq.{id}&version=eq.{version}`, the columns that differ |
//! | delete | `DELETE url?id=eq.{id}&version=eq.{version}`, or with `push.delete: "mark"` a `PATCH` that sets the column `deletedAt` |
//! | read | `GET url?id=eq.{id}` |
//! | page | `GET url?order=updated_at.asc,id.asc&limit={n}&or=(updated_at.gt.{time},and(updated_at.eq.{time},id.gt.{id}))` |
//!
//! All mutations ask for the rows back (`Prefer: return=representation`). There are no entity tags: the version is a filter, and
//! an empty array says that there is no such row, or not of that version, so it is read. It knows no `Idempotency-Key`: a
//! create that is sent again meets its own row (409, SQLSTATE 23505) if the app makes the ids.

use super::{changes, encoded, ours, plain, push_parameter, request};
use crate::{
    collections::{
        config::{CollectionConfig, Removal},
        document::{self, Document},
        instant,
        record::{Cursor, PushOp, Record},
    },
    queue::request::RequestHead,
    time::Millis,
    wire::text::Text,
};

pub(super) fn mutation(
    config: &CollectionConfig,
    op: PushOp,
    record: &Record,
    local: Option<&Document>,
    now: Millis,
) -> (RequestHead, Option<String>) {
    let (method, body) = match (op, config.push.delete) {
        (PushOp::Create, _) => ("POST", local.map(|local| document::text(&ours(config, local)))),
        (PushOp::Update, _) => ("PATCH", Some(document::text(&changes(config, record, local)))),
        (PushOp::Delete, Removal::Mark) => {
            let mark = [(config.deleted_at().to_owned(), instant::spell(now).into())];
            ("PATCH", Some(document::text(&mark.into_iter().collect())))
        }
        (PushOp::Delete, Removal::Delete) => ("DELETE", None),
        (PushOp::Read, _) => ("GET", None),
    };
    let mut url = config.url.clone();
    if op != PushOp::Create {
        push_parameter(&mut url, &encoded(config.key()), &["eq.", &record.id].text());
    }
    if matches!(op, PushOp::Update | PushOp::Delete)
        && let Some(version) = &record.version
    {
        push_parameter(&mut url, &encoded(config.version()), &["eq.", version].text());
    }
    let mut head = request(method, url);
    if body.is_some() {
        head.headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    if op != PushOp::Read {
        head.headers.push(("prefer".to_owned(), "return=representation".to_owned()));
    }
    (head, body)
}

pub(super) fn page(config: &CollectionConfig, from: Option<&Cursor>) -> Vec<(&'static str, String)> {
    let (time, key) = (quoted(config.updated_at()), quoted(config.key()));
    let mut query = vec![("order", [&time, ".asc,", &key, ".asc"].text()), ("limit", config.pull.page_size.to_string())];
    if let Some(cursor) = from {
        let at = quoted(&serde_json::from_str(&cursor.at).map_or_else(|_| String::new(), |at| plain(&at)));
        query.push(if cursor.id.is_empty() {
            ("or", ["(", &time, ".gte.", &at, ")"].text())
        } else {
            let id = quoted(&cursor.id);
            ("or", ["(", &time, ".gt.", &at, ",and(", &time, ".eq.", &at, ",", &key, ".gt.", &id, "))"].text())
        });
    }
    query
}

/// A name or a value within a list or a condition (PostgREST, "Reserved characters").
fn quoted(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return text.to_owned();
    }
    ["\"", &text.replace('\\', "\\\\").replace('"', "\\\""), "\""].text()
}
