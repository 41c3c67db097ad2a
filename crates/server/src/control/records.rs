//! Shows collections whole, sets their options, and writes rows as another client would.

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::Value;

use crate::app::App;
use crate::clock::Timestamp;
use crate::problem::Problem;
use crate::records::{Collection, CollectionOptions, Members, Stamp, without_owned};
use crate::store::StoreError;
use crate::store::records::{self, Effect, Logged, Record, Span};

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/records/{collection}", get(list).post(write))
        .route("/records/{collection}/log", get(log))
        .route("/records/{collection}/rows/{id}", axum::routing::delete(forget))
        .route("/records/{collection}/options", get(show_options).post(change_options))
}

async fn list(State(app): State<App>, Path(collection): Path<Collection>) -> Result<Json<Vec<Value>>, Problem> {
    Ok(Json(app.store.run(move |connection| records::list(connection, &collection, &Span::all())).await?))
}

async fn log(State(app): State<App>, Path(collection): Path<Collection>) -> Result<Json<Vec<Logged>>, Problem> {
    Ok(Json(app.store.run(move |connection| records::log(connection, &collection)).await?))
}

async fn show_options(State(app): State<App>, Path(collection): Path<Collection>) -> Json<CollectionOptions> {
    Json(app.collections.options(&collection))
}

async fn change_options(
    State(app): State<App>,
    Path(collection): Path<Collection>,
    Json(patch): Json<Members>,
) -> Result<Json<CollectionOptions>, Problem> {
    Ok(Json(app.collections.change(collection, patch)?))
}

/// The row goes without a word.
async fn forget(State(app): State<App>, Path((collection, id)): Path<(Collection, String)>) -> Result<Json<bool>, Problem> {
    Ok(Json(app.store.run(move |connection| records::forget(connection, &collection, &id)).await?))
}

/// A row that is written whatever is there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectWrite {
    id: Option<String>,
    data: Option<Members>,
    #[serde(default)]
    deleted: bool,
    /// Stored and listed as it is, even if no client could read it.
    raw: Option<Value>,
}

async fn write(
    State(app): State<App>,
    Path(collection): Path<Collection>,
    Json(write): Json<DirectWrite>,
) -> Result<Json<Value>, Problem> {
    let stamp = app.collections.options(&collection).stamp_now();
    let outcome = app.store.run(move |connection| {
        let Some((record, data)) = write.record(connection, &collection, stamp)? else {
            return Ok(None);
        };
        records::put(connection, &collection, &record, &Effect { op: "control", data, idempotency_key: None })?;
        Ok(Some(record.row))
    });
    outcome
        .await?
        .map(Json)
        .ok_or(Problem::BodyMalformed { expected: "a row", reason: "send `id` with `data` or `deleted`, or `raw`".to_owned() })
}

impl DirectWrite {
    /// The new row, and what the log says was sent.
    fn record(
        self,
        connection: &Connection,
        collection: &Collection,
        stamp: Stamp,
    ) -> Result<Option<(Record, Value)>, StoreError> {
        if let Some(raw) = self.raw {
            let record = raw_record(connection, collection, stamp, raw.clone())?;
            return Ok(Some((record, raw)));
        }
        let Some(id) = self.id else { return Ok(None) };
        let current = records::find(connection, collection, &id)?;
        let version = current.as_ref().map_or(1, |current| current.version.saturating_add(1));
        let time = stamp.time(current.map(|current| current.updated_at));
        Ok(match self.data {
            None if self.deleted => Some((Record::tombstone(id, version, time), Value::Null)),
            Some(data) if !self.deleted => {
                let data = without_owned(data);
                Some((Record::living(id, version, time, data.clone()), Value::Object(data)))
            }
            _ => None,
        })
    }
}

/// Where a raw row lacks an id, a version or a time that can be read, it is filed under ones of the server's own.
fn raw_record(connection: &Connection, collection: &Collection, stamp: Stamp, row: Value) -> Result<Record, StoreError> {
    let id = match row.get("id").and_then(Value::as_str) {
        Some(id) => id.to_owned(),
        None => records::next_id(connection, collection)?,
    };
    let version = row.get("version").and_then(Value::as_u64).and_then(|version| u32::try_from(version).ok());
    let given = row.get("updatedAt").and_then(Value::as_str).and_then(|time| Timestamp::try_from(time.to_owned()).ok());
    let deleted = row.get("deletedAt").is_some_and(|time| !time.is_null());
    Ok(Record { id, version: version.unwrap_or(1), updated_at: given.unwrap_or_else(|| stamp.time(None)), deleted, row })
}
