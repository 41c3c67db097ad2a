//! Keeps notes, each with a version that every change counts up.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;

use super::StoreError;
use super::files::{self, Attachment, NewFile};

/// A note that came in.
#[derive(Debug)]
pub(crate) struct NewNote {
    pub(crate) text: String,
    pub(crate) author: Option<String>,
    pub(crate) attachments: Vec<NewFile>,
}

/// A note as it is stored.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Note {
    pub(crate) id: i64,
    text: String,
    author: Option<String>,
    pub(crate) version: u32,
    attachments: Vec<Attachment>,
    created_at: i64,
    updated_at: i64,
}

/// Which notes to list, newest first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    /// Only ids above this.
    pub(crate) after: i64,
    /// Only ids below this.
    pub(crate) before: i64,
    pub(crate) limit: u32,
}

impl Page {
    pub(crate) const ALL: Self = Self { after: 0, before: i64::MAX, limit: u32::MAX };
}

pub(crate) fn insert(connection: &Connection, note: &NewNote, now: i64) -> Result<Option<Note>, StoreError> {
    connection
        .prepare_cached("INSERT INTO notes (text, author, created_at, updated_at) VALUES (?1, ?2, ?3, ?3)")?
        .execute(params![note.text, note.author, now])?;
    let id = connection.last_insert_rowid();
    for file in &note.attachments {
        files::attach(connection, id, file)?;
    }
    find(connection, id)
}

pub(crate) fn find(connection: &Connection, id: i64) -> Result<Option<Note>, StoreError> {
    let note = connection
        .prepare_cached("SELECT id, text, author, version, created_at, updated_at FROM notes WHERE id = ?1")?
        .query_row((id,), from_row)
        .optional()?;
    note.map(|note| with_attachments(connection, note)).transpose()
}

/// Replaces text and author and counts the version up; none if there is no such note.
pub(crate) fn update(connection: &Connection, id: i64, note: &NewNote, now: i64) -> Result<Option<Note>, StoreError> {
    connection
        .prepare_cached(
            "UPDATE notes SET text = ?2, author = coalesce(?3, author), version = version + 1, updated_at = ?4
             WHERE id = ?1",
        )?
        .execute(params![id, note.text, note.author, now])?;
    find(connection, id)
}

/// Adds a file and counts the version up; none if there is no such note.
pub(crate) fn attach(connection: &Connection, id: i64, file: &NewFile, now: i64) -> Result<Option<Note>, StoreError> {
    let changed = connection
        .prepare_cached("UPDATE notes SET version = version + 1, updated_at = ?2 WHERE id = ?1")?
        .execute(params![id, now])?;
    if changed == 0 {
        return Ok(None);
    }
    files::attach(connection, id, file)?;
    find(connection, id)
}

/// Deletes the note with its attachments.
pub(crate) fn delete(connection: &Connection, id: i64) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM notes WHERE id = ?1")?.execute((id,))?;
    Ok(())
}

/// Notes, newest first.
pub(crate) fn list(connection: &Connection, page: Page) -> Result<Vec<Note>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, text, author, version, created_at, updated_at FROM notes
         WHERE id > ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
    )?;
    let rows = statement.query_map(params![page.after, page.before, page.limit], from_row)?;
    rows.map(|note| with_attachments(connection, note?)).collect()
}

fn with_attachments(connection: &Connection, note: Note) -> Result<Note, StoreError> {
    Ok(Note { attachments: files::attachments_of(connection, note.id)?, ..note })
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Note> {
    Ok(Note {
        id: row.get(0)?,
        text: row.get(1)?,
        author: row.get(2)?,
        version: row.get(3)?,
        attachments: Vec::new(),
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
    })
}
