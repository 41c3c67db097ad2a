//! Serves files: attachments by id, and uploads of raw bodies.

use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;

use super::form::whole;
use super::notes::location;
use crate::app::App;
use crate::clock::now_ms;
use crate::idempotency::{Delivery, commit_once};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::store::files::{self, KEPT_BYTES, NewFile, Shelf};

#[derive(Debug, Deserialize)]
pub(crate) struct UploadQuery {
    #[serde(default)]
    name: String,
}

/// `POST /api/uploads?name=`
pub(crate) async fn upload(
    State(app): State<App>,
    Query(query): Query<UploadQuery>,
    Extension(delivery): Extension<Delivery>,
    body: Body,
) -> Result<Reply, Problem> {
    let file = file_of(&delivery, "", query.name, body).await?;
    commit_once(&app.journal, delivery, move |connection| {
        let upload = files::insert_upload(connection, file, now_ms())?;
        Ok(Reply::json(StatusCode::CREATED, &upload).with(LOCATION, location("uploads", upload.id)))
    })
    .await
}

/// The file that a body is, as a whole.
pub(super) async fn file_of(delivery: &Delivery, field: &str, name: String, body: Body) -> Result<NewFile, Problem> {
    let bytes = if delivery.body_size <= KEPT_BYTES { Some(whole(body).await?.to_vec()) } else { None };
    Ok(NewFile {
        field: field.to_owned(),
        name,
        content_type: delivery.content_type.clone().unwrap_or_else(|| "application/octet-stream".to_owned()),
        size: delivery.body_size,
        sha256: delivery.fingerprint.body_sha256.clone(),
        bytes,
    })
}

/// `GET /api/attachments/{id}`
pub(crate) async fn attachment(State(app): State<App>, Path(id): Path<i64>) -> Result<Reply, Problem> {
    content(&app, Shelf::Attachments, id).await
}

/// `GET /api/uploads/{id}`
pub(crate) async fn uploaded(State(app): State<App>, Path(id): Path<i64>) -> Result<Reply, Problem> {
    content(&app, Shelf::Uploads, id).await
}

async fn content(app: &App, shelf: Shelf, id: i64) -> Result<Reply, Problem> {
    let found = app.store.run(move |connection| files::content(connection, shelf, id)).await?;
    let content = found.ok_or(Problem::NotFound { what: "such file" })?;
    let bytes = content.bytes.ok_or(Problem::NotFound { what: "copy of this file's bytes: it was too large to keep" })?;
    let content_type =
        HeaderValue::try_from(content.content_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    Ok(Reply::new(StatusCode::OK, bytes).with(CONTENT_TYPE, content_type))
}
