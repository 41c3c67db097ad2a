//! Makes the tables, and empties them.

use rusqlite::Connection;

use super::{Durability, StoreError};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS arrivals (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL,
  method TEXT NOT NULL,
  path TEXT NOT NULL,                 -- with its query
  idempotency_key TEXT,
  content_type TEXT,
  headers TEXT NOT NULL,              -- JSON object
  body_sha256 TEXT,                   -- null: the body was not read whole
  body_size INTEGER,
  body_preview TEXT,                  -- null: not text
  status INTEGER,                     -- null: not answered
  replayed INTEGER NOT NULL DEFAULT 0,
  fault TEXT
);
CREATE TABLE IF NOT EXISTS idempotency (
  key TEXT PRIMARY KEY,
  method TEXT NOT NULL,
  path TEXT NOT NULL,
  body_sha256 TEXT NOT NULL,
  arrival INTEGER NOT NULL,
  status INTEGER NOT NULL,
  headers TEXT NOT NULL,
  body BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  text TEXT NOT NULL,
  author TEXT,
  version INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS attachments (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  note_id INTEGER NOT NULL REFERENCES notes (id) ON DELETE CASCADE,
  field TEXT NOT NULL,
  name TEXT NOT NULL,
  type TEXT NOT NULL,
  size INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  bytes BLOB                          -- null: too large to keep
);
CREATE INDEX IF NOT EXISTS attachments_by_note ON attachments (note_id);
CREATE TABLE IF NOT EXISTS uploads (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  type TEXT NOT NULL,
  size INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  bytes BLOB,
  created_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS sink (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  n INTEGER NOT NULL,                 -- its arrival
  method TEXT NOT NULL,
  path TEXT NOT NULL,
  idempotency_key TEXT,
  content_type TEXT,
  body_sha256 TEXT NOT NULL,
  body_size INTEGER NOT NULL,
  body TEXT                           -- null: not text, or over 64 KiB
);
CREATE TABLE IF NOT EXISTS records (
  collection TEXT NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  row TEXT NOT NULL,                  -- JSON, as it is served
  PRIMARY KEY (collection, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_by_time ON records (collection, updated_at, id);
CREATE TABLE IF NOT EXISTS record_log (
  collection TEXT NOT NULL,
  seq INTEGER NOT NULL,               -- from 1, in the order of commit
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  op TEXT NOT NULL,
  data TEXT NOT NULL,                 -- JSON, as it was sent
  idempotency_key TEXT,
  PRIMARY KEY (collection, seq)
) WITHOUT ROWID;
";

/// Sets the connection up and makes what tables are missing.
pub(super) fn prepare(connection: &Connection, durability: Durability) -> Result<(), StoreError> {
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Fast => "NORMAL",
    };
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.execute_batch(TABLES)?;
    Ok(())
}

/// Empties every table; ids begin at 1 again.
pub(crate) fn empty(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(
        "DELETE FROM arrivals; DELETE FROM idempotency; DELETE FROM attachments; DELETE FROM notes;
         DELETE FROM uploads; DELETE FROM sink; DELETE FROM records; DELETE FROM record_log;
         DELETE FROM sqlite_sequence;",
    )?;
    Ok(())
}
