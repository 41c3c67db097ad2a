//! Keeps what came as bytes: the attachments of notes, and uploads of their own.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;

use super::StoreError;

/// A file larger than this is hashed and counted, but its bytes are not kept.
pub(crate) const KEPT_BYTES: u32 = 64 * 1024 * 1024;

/// A file that came in.
#[derive(Debug)]
pub(crate) struct NewFile {
    /// The form field it came in; empty for an upload.
    pub(crate) field: String,
    pub(crate) name: String,
    pub(crate) content_type: String,
    pub(crate) size: u32,
    pub(crate) sha256: String,
    /// None over [`KEPT_BYTES`].
    pub(crate) bytes: Option<Vec<u8>>,
}

/// A file of a note, without its bytes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attachment {
    id: i64,
    field: String,
    name: String,
    r#type: String,
    size: u32,
    sha256: String,
    stored: bool,
}

/// An upload, without its bytes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Upload {
    pub(crate) id: i64,
    name: String,
    r#type: String,
    size: u32,
    sha256: String,
    stored: bool,
    created_at: i64,
}

/// A file's bytes and their type.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) content_type: String,
    /// None if the file was too large to keep.
    pub(crate) bytes: Option<Vec<u8>>,
}

/// Which of the two tables holds a file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shelf {
    Attachments,
    Uploads,
}

pub(crate) fn attach(connection: &Connection, note: i64, file: &NewFile) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO attachments (note_id, field, name, type, size, sha256, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![note, file.field, file.name, file.content_type, file.size, file.sha256, file.bytes])?;
    Ok(())
}

/// A note's files, in the order in which they came.
pub(crate) fn attachments_of(connection: &Connection, note: i64) -> Result<Vec<Attachment>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, field, name, type, size, sha256, bytes IS NOT NULL FROM attachments WHERE note_id = ?1 ORDER BY id",
    )?;
    let rows = statement.query_map((note,), |row| {
        Ok(Attachment {
            id: row.get(0)?,
            field: row.get(1)?,
            name: row.get(2)?,
            r#type: row.get(3)?,
            size: row.get(4)?,
            sha256: row.get(5)?,
            stored: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn insert_upload(connection: &Connection, file: NewFile, now: i64) -> Result<Upload, StoreError> {
    connection
        .prepare_cached("INSERT INTO uploads (name, type, size, sha256, bytes, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![file.name, file.content_type, file.size, file.sha256, file.bytes, now])?;
    Ok(Upload {
        id: connection.last_insert_rowid(),
        name: file.name,
        r#type: file.content_type,
        size: file.size,
        sha256: file.sha256,
        stored: file.bytes.is_some(),
        created_at: now,
    })
}

/// Every upload, oldest first.
pub(crate) fn uploads(connection: &Connection) -> Result<Vec<Upload>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT id, name, type, size, sha256, bytes IS NOT NULL, created_at FROM uploads ORDER BY id")?;
    let rows = statement.query_map((), |row| {
        Ok(Upload {
            id: row.get(0)?,
            name: row.get(1)?,
            r#type: row.get(2)?,
            size: row.get(3)?,
            sha256: row.get(4)?,
            stored: row.get(5)?,
            created_at: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn content(connection: &Connection, shelf: Shelf, id: i64) -> Result<Option<Content>, StoreError> {
    let query = match shelf {
        Shelf::Attachments => "SELECT type, bytes FROM attachments WHERE id = ?1",
        Shelf::Uploads => "SELECT type, bytes FROM uploads WHERE id = ?1",
    };
    Ok(connection
        .prepare_cached(query)?
        .query_row((id,), |row| Ok(Content { content_type: row.get(0)?, bytes: row.get(1)? }))
        .optional()?)
}
