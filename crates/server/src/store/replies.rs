//! Keeps the first reply to each idempotency key, beside the effect it tells of.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::StoreError;
use crate::reply::Reply;

/// What makes two requests the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) body_sha256: String,
}

/// The request that used a key first, and its reply.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) request: Fingerprint,
    pub(crate) reply: Reply,
}

pub(crate) fn find(connection: &Connection, key: &str) -> Result<Option<Answered>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT method, path, body_sha256, status, headers, body FROM idempotency WHERE key = ?1")?
        .query_row((key,), |row| {
            let headers: String = row.get(4)?;
            let body: Vec<u8> = row.get(5)?;
            Ok(Answered {
                request: Fingerprint { method: row.get(0)?, path: row.get(1)?, body_sha256: row.get(2)? },
                reply: Reply {
                    // Only replies that this server made are stored; a foreign row reads as a plain 200.
                    status: StatusCode::from_u16(row.get(3)?).unwrap_or_default(),
                    headers: headers_from(&headers),
                    body: Bytes::from(body),
                },
            })
        })
        .optional()?)
}

/// Stores a reply; the key's uniqueness is the table's, so a second effect could not be committed.
pub(crate) fn insert(
    connection: &Connection,
    key: &str,
    request: &Fingerprint,
    arrival: i64,
    reply: &Reply,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO idempotency (key, method, path, body_sha256, arrival, status, headers, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            key,
            request.method,
            request.path,
            request.body_sha256,
            arrival,
            reply.status.as_u16(),
            headers_to(&reply.headers),
            &*reply.body
        ])?;
    Ok(())
}

fn headers_to(headers: &HeaderMap) -> String {
    let pairs: Vec<(&str, &str)> =
        headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    serde_json::json!(pairs).to_string()
}

fn headers_from(json: &str) -> HeaderMap {
    let pairs: Vec<(String, String)> = serde_json::from_str(json).unwrap_or_default();
    pairs
        .iter()
        .filter_map(|(name, value)| Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?)))
        .collect()
}
