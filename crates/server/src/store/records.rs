//! Keeps the rows of collections, tombstones among them, and a log of every effect on them.

use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};
use serde::Serialize;
use serde_json::{Value, json};

use super::StoreError;
use crate::clock::Timestamp;
use crate::records::{Collection, Members, without_owned};

/// A row, with what the server goes by.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) version: u32,
    pub(crate) updated_at: Timestamp,
    pub(crate) deleted: bool,
    /// As it is served.
    pub(crate) row: Value,
}

impl Record {
    pub(crate) fn living(id: String, version: u32, updated_at: Timestamp, data: Members) -> Self {
        let mut row = data;
        row.insert("id".to_owned(), json!(id));
        row.insert("version".to_owned(), json!(version));
        row.insert("updatedAt".to_owned(), json!(updated_at));
        row.insert("deletedAt".to_owned(), Value::Null);
        Self { id, version, updated_at, deleted: false, row: Value::Object(row) }
    }

    pub(crate) fn tombstone(id: String, version: u32, deleted_at: Timestamp) -> Self {
        let row = json!({ "id": id, "version": version, "updatedAt": deleted_at, "deletedAt": deleted_at });
        Self { id, version, updated_at: deleted_at, deleted: true, row }
    }

    /// What of the row is the client's.
    pub(crate) fn data(&self) -> Members {
        without_owned(self.row.as_object().cloned().unwrap_or_default())
    }
}

/// What was done to a row, and by which request.
#[derive(Debug)]
pub(crate) struct Effect {
    pub(crate) op: &'static str,
    /// As sent, without what the server owns; null for a deletion.
    pub(crate) data: Value,
    pub(crate) idempotency_key: Option<String>,
}

/// An [`Effect`], as the control listener shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Logged {
    /// Counts from 1 in each collection, in the order of commit.
    seq: i64,
    id: String,
    version: u32,
    op: String,
    data: Value,
    idempotency_key: Option<String>,
}

/// Which rows to list, by time and id.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) since: Timestamp,
    /// Of the rows at `since` only those with ids above this; none: all.
    pub(crate) after: Option<String>,
    pub(crate) limit: u32,
}

impl Span {
    pub(crate) fn all() -> Self {
        Self { since: Timestamp::from_ms(0), after: None, limit: u32::MAX }
    }
}

pub(crate) fn find(connection: &Connection, collection: &Collection, id: &str) -> Result<Option<Record>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT id, version, updated_at, deleted, row FROM records WHERE collection = ?1 AND id = ?2")?
        .query_row((collection.as_str(), id), from_row)
        .optional()?)
}

/// Stores a row in place of what has its id, and logs the effect.
pub(crate) fn put(connection: &Connection, collection: &Collection, record: &Record, effect: &Effect) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO records (collection, id, version, updated_at, deleted, row)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            collection.as_str(),
            record.id,
            record.version,
            record.updated_at.ms(),
            record.deleted,
            record.row.to_string()
        ])?;
    connection
        .prepare_cached(
            "INSERT INTO record_log (collection, seq, id, version, op, data, idempotency_key)
             SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM record_log WHERE collection = ?1",
        )?
        .execute(params![
            collection.as_str(),
            record.id,
            record.version,
            effect.op,
            effect.data.to_string(),
            effect.idempotency_key
        ])?;
    Ok(())
}

/// Removes a row, without a tombstone.
pub(crate) fn forget(connection: &Connection, collection: &Collection, id: &str) -> Result<bool, StoreError> {
    let forgotten =
        connection.prepare_cached("DELETE FROM records WHERE collection = ?1 AND id = ?2")?.execute((collection.as_str(), id))?;
    Ok(forgotten > 0)
}

/// An id of the server's own, `srv-1`, `srv-2`, …
pub(crate) fn next_id(connection: &Connection, collection: &Collection) -> Result<String, StoreError> {
    let last: i64 = connection
        .prepare_cached(
            "SELECT coalesce(max(CAST(substr(id, 5) AS INTEGER)), 0) FROM records
             WHERE collection = ?1 AND id GLOB 'srv-[0-9]*'",
        )?
        .query_row((collection.as_str(),), |row| row.get(0))?;
    Ok(format!("srv-{}", last + 1))
}

/// Rows by time and id, tombstones among them.
pub(crate) fn list(connection: &Connection, collection: &Collection, span: &Span) -> Result<Vec<Value>, StoreError> {
    rows(
        connection,
        "SELECT id, version, updated_at, deleted, row FROM records
         WHERE collection = ?1 AND updated_at >= ?2 AND (?3 IS NULL OR (updated_at, id) > (?2, ?3))
         ORDER BY updated_at, id LIMIT ?4",
        params![collection.as_str(), span.since.ms(), span.after, span.limit],
    )
}

/// Living rows by id.
pub(crate) fn snapshot(
    connection: &Connection,
    collection: &Collection,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Value>, StoreError> {
    rows(
        connection,
        "SELECT id, version, updated_at, deleted, row FROM records
         WHERE collection = ?1 AND NOT deleted AND (?2 IS NULL OR id > ?2) ORDER BY id LIMIT ?3",
        params![collection.as_str(), after, limit],
    )
}

/// Every effect, in the order of commit.
pub(crate) fn log(connection: &Connection, collection: &Collection) -> Result<Vec<Logged>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, id, version, op, data, idempotency_key FROM record_log WHERE collection = ?1 ORDER BY seq",
    )?;
    let rows = statement.query_map((collection.as_str(),), |row| {
        let data: String = row.get(4)?;
        Ok(Logged {
            seq: row.get(0)?,
            id: row.get(1)?,
            version: row.get(2)?,
            op: row.get(3)?,
            data: serde_json::from_str(&data).unwrap_or_default(),
            idempotency_key: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn rows(connection: &Connection, query: &str, params: impl Params) -> Result<Vec<Value>, StoreError> {
    let mut statement = connection.prepare_cached(query)?;
    let records = statement.query_map(params, from_row)?;
    records.map(|record| Ok(record?.row)).collect()
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Record> {
    let json: String = row.get(4)?;
    Ok(Record {
        id: row.get(0)?,
        version: row.get(1)?,
        updated_at: Timestamp::from_ms(row.get(2)?),
        deleted: row.get(3)?,
        row: serde_json::from_str(&json).unwrap_or_default(),
    })
}
