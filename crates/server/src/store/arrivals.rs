//! Keeps every request that reached the API, in the order of their heads.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde_json::Value;

use super::StoreError;

/// What is known of a request when its head is there.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) at_ms: i64,
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) headers: Value,
}

/// What is known of a request when its body was read.
#[derive(Debug)]
pub(crate) struct BodyFacts {
    pub(crate) sha256: String,
    pub(crate) size: u32,
    pub(crate) preview: Option<String>,
}

/// How a request ended.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// As answered; none if the connection was cut, or the client had gone.
    pub(crate) status: Option<u16>,
    pub(crate) replayed: bool,
    pub(crate) fault: Option<String>,
}

/// An arrival, as the control listener shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Arrival {
    n: i64,
    at_ms: i64,
    method: String,
    path: String,
    idempotency_key: Option<String>,
    content_type: Option<String>,
    headers: Value,
    body_sha256: Option<String>,
    body_size: Option<u32>,
    body_preview: Option<String>,
    status: Option<u16>,
    replayed: bool,
    fault: Option<String>,
}

/// The highest number ever given, 0 if none was.
pub(super) fn last_number(connection: &Connection) -> Result<i64, StoreError> {
    let last =
        connection.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'arrivals'", (), |row| row.get(0)).optional()?;
    Ok(last.unwrap_or(0))
}

pub(crate) fn insert(connection: &Connection, n: i64, head: &Head) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO arrivals (n, at_ms, method, path, idempotency_key, content_type, headers)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            n,
            head.at_ms,
            head.method,
            head.path,
            head.idempotency_key,
            head.content_type,
            head.headers.to_string()
        ])?;
    Ok(())
}

pub(crate) fn record_body(connection: &Connection, n: i64, body: &BodyFacts) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE arrivals SET body_sha256 = ?2, body_size = ?3, body_preview = ?4 WHERE n = ?1")?
        .execute(params![n, body.sha256, body.size, body.preview])?;
    Ok(())
}

pub(crate) fn record_ending(connection: &Connection, n: i64, ending: &Ending) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE arrivals SET status = ?2, replayed = ?3, fault = ?4 WHERE n = ?1")?.execute(params![
        n,
        ending.status,
        ending.replayed,
        ending.fault
    ])?;
    Ok(())
}

/// Arrivals whose path begins with `path`, numbered above `after`, oldest first.
pub(crate) fn list(connection: &Connection, path: &str, after: i64) -> Result<Vec<Arrival>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM arrivals WHERE n > ?1 AND substr(path, 1, length(?2)) = ?2 ORDER BY n")?;
    let rows = statement.query_map(params![after, path], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many [`list`] would give.
pub(crate) fn count(connection: &Connection, path: &str, after: i64) -> Result<i64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM arrivals WHERE n > ?1 AND substr(path, 1, length(?2)) = ?2")?
        .query_row(params![after, path], |row| row.get(0))?)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Arrival> {
    let headers: String = row.get("headers")?;
    Ok(Arrival {
        n: row.get("n")?,
        at_ms: row.get("at_ms")?,
        method: row.get("method")?,
        path: row.get("path")?,
        idempotency_key: row.get("idempotency_key")?,
        content_type: row.get("content_type")?,
        headers: serde_json::from_str(&headers).unwrap_or_default(),
        body_sha256: row.get("body_sha256")?,
        body_size: row.get("body_size")?,
        body_preview: row.get("body_preview")?,
        status: row.get("status")?,
        replayed: row.get("replayed")?,
        fault: row.get("fault")?,
    })
}
