//! Serves notes: a text with files, versioned.

use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::json;

use super::files::file_of;
use super::form;
use crate::app::App;
use crate::clock::now_ms;
use crate::idempotency::{Delivery, commit_once};
use crate::if_match::IfMatch;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::store::StoreError;
use crate::store::notes::{self, Note, Page};

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1_000;
const NO_NOTE: Problem = Problem::NotFound { what: "such note" };

#[derive(Debug, Deserialize)]
pub(crate) struct ListQuery {
    after: Option<i64>,
    before: Option<i64>,
    limit: Option<u32>,
}

/// `GET /api/notes?after=&before=&limit=`
pub(crate) async fn list(State(app): State<App>, Query(query): Query<ListQuery>) -> Result<Reply, Problem> {
    let page = Page {
        after: query.after.unwrap_or(Page::ALL.after),
        before: query.before.unwrap_or(Page::ALL.before),
        limit: query.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT),
    };
    let notes = app.store.run(move |connection| notes::list(connection, page)).await?;
    Ok(Reply::json(StatusCode::OK, &json!({ "notes": notes })))
}

/// `GET /api/notes/{id}`
pub(crate) async fn show(State(app): State<App>, Path(id): Path<i64>) -> Result<Reply, Problem> {
    let note = app.store.run(move |connection| notes::find(connection, id)).await?;
    Ok(note.map_or_else(|| NO_NOTE.into(), |note| reply(StatusCode::OK, &note)))
}

/// `POST /api/notes`
pub(crate) async fn create(
    State(app): State<App>,
    Extension(delivery): Extension<Delivery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Reply, Problem> {
    let note = form::note_of(&headers, body).await?;
    commit_once(&app.journal, delivery, move |connection| {
        let note = notes::insert(connection, &note, now_ms())?;
        Ok(note
            .map_or_else(|| NO_NOTE.into(), |note| reply(StatusCode::CREATED, &note).with(LOCATION, location("notes", note.id))))
    })
    .await
}

/// `PUT /api/notes/{id}`, with `If-Match` if the client cares.
pub(crate) async fn update(
    State(app): State<App>,
    Path(id): Path<i64>,
    Extension(delivery): Extension<Delivery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Reply, Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !given.starts_with("application/json") {
        return Err(Problem::MediaTypeUnsupported { expected: "application/json", given: given.to_owned() });
    }
    let note = form::note_of(&headers, body).await?;
    let condition = IfMatch::of(&headers);
    commit_once(&app.journal, delivery, move |connection| {
        if let Some(refusal) = refusal(connection, id, &condition)? {
            return Ok(refusal.into());
        }
        let note = notes::update(connection, id, &note, now_ms())?;
        Ok(note.map_or_else(|| NO_NOTE.into(), |note| reply(StatusCode::OK, &note)))
    })
    .await
}

#[derive(Debug, Deserialize)]
pub(crate) struct PhotoQuery {
    #[serde(default)]
    name: String,
}

/// `POST /api/notes/{id}/photos?name=`, the body being the picture.
pub(crate) async fn attach(
    State(app): State<App>,
    Path(id): Path<i64>,
    Query(query): Query<PhotoQuery>,
    Extension(delivery): Extension<Delivery>,
    body: Body,
) -> Result<Reply, Problem> {
    let content_type = delivery.content_type.clone().unwrap_or_default();
    if !content_type.starts_with("image/") {
        return Err(Problem::MediaTypeUnsupported { expected: "a picture (image/…)", given: content_type });
    }
    let file = file_of(&delivery, "photo", query.name, body).await?;
    commit_once(&app.journal, delivery, move |connection| {
        let note = notes::attach(connection, id, &file, now_ms())?;
        Ok(note.map_or_else(|| NO_NOTE.into(), |note| reply(StatusCode::CREATED, &note).with(LOCATION, location("notes", id))))
    })
    .await
}

/// `DELETE /api/notes/{id}`, with `If-Match` if the client cares.
pub(crate) async fn delete(
    State(app): State<App>,
    Path(id): Path<i64>,
    Extension(delivery): Extension<Delivery>,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    let condition = IfMatch::of(&headers);
    commit_once(&app.journal, delivery, move |connection| {
        if let Some(refusal) = refusal(connection, id, &condition)? {
            return Ok(refusal.into());
        }
        notes::delete(connection, id)?;
        Ok(Reply::new(StatusCode::NO_CONTENT, ""))
    })
    .await
}

/// Why a note may not be changed: it is not there, or has another version.
fn refusal(connection: &Connection, id: i64, condition: &IfMatch) -> Result<Option<Problem>, StoreError> {
    Ok(match notes::find(connection, id)? {
        None => Some(NO_NOTE),
        Some(note) if !condition.allows(note.version) => Some(Problem::VersionMismatch { current: note.version }),
        Some(_) => None,
    })
}

fn reply(status: StatusCode, note: &Note) -> Reply {
    let etag = HeaderValue::try_from(format!("\"{}\"", note.version));
    let reply = Reply::json(status, note);
    match etag {
        Ok(etag) => reply.with(ETAG, etag),
        Err(_) => reply,
    }
}

/// The address of something that was made.
pub(super) fn location(collection: &str, id: i64) -> HeaderValue {
    HeaderValue::try_from(format!("/api/{collection}/{id}")).unwrap_or(HeaderValue::from_static("/api"))
}
