//! Keeps what the sink accepted, in the order of commit.

use rusqlite::{Connection, params};
use serde::Serialize;

use super::StoreError;

/// A delivery that the sink accepted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Accepted {
    /// Its arrival.
    pub(crate) n: i64,
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) body_sha256: String,
    pub(crate) body_size: u32,
    /// None if it is not UTF-8, or long.
    pub(crate) body: Option<String>,
}

pub(crate) fn insert(connection: &Connection, accepted: &Accepted) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO sink (n, method, path, idempotency_key, content_type, body_sha256, body_size, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            accepted.n,
            accepted.method,
            accepted.path,
            accepted.idempotency_key,
            accepted.content_type,
            accepted.body_sha256,
            accepted.body_size,
            accepted.body
        ])?;
    Ok(())
}

/// How much was accepted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tally {
    events: u32,
    /// The requests that brought them.
    batches: u32,
}

/// Counts what came under `path`, whatever its query.
pub(crate) fn tally(connection: &Connection, path: &str) -> Result<Tally, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT count(*), count(DISTINCT n) FROM sink WHERE path = ?1 OR substr(path, 1, length(?1) + 1) = ?1 || '?'",
        )?
        .query_row((path,), |row| Ok(Tally { events: row.get(0)?, batches: row.get(1)? }))?)
}

/// Deliveries whose path begins with `path`, in the order of commit.
pub(crate) fn list(connection: &Connection, path: &str) -> Result<Vec<Accepted>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT n, method, path, idempotency_key, content_type, body_sha256, body_size, body FROM sink
         WHERE substr(path, 1, length(?1)) = ?1 ORDER BY id",
    )?;
    let rows = statement.query_map((path,), |row| {
        Ok(Accepted {
            n: row.get(0)?,
            method: row.get(1)?,
            path: row.get(2)?,
            idempotency_key: row.get(3)?,
            content_type: row.get(4)?,
            body_sha256: row.get(5)?,
            body_size: row.get(6)?,
            body: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
