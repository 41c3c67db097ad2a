//! Serves collections of records: listed by time with tombstones, or as a snapshot; written one by one or in batches.

mod batch;

pub(crate) use batch::batch;

use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::form::whole;
use crate::app::App;
use crate::clock::Timestamp;
use crate::idempotency::{Delivery, commit_once};
use crate::if_match::IfMatch;
use crate::problem::Problem;
use crate::records::{Change, Collection, Members, Operation, Write, reply};
use crate::reply::Reply;
use crate::store::records::{self, Span};

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1_000;
const JSON: &str = "application/json";
const JSON_OR_PATCH: &str = "application/merge-patch+json or application/json";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListQuery {
    updated_since: Option<Timestamp>,
    after: Option<String>,
    limit: Option<u32>,
    snapshot: Option<u8>,
}

/// `GET /api/records/{collection}?updatedSince=&after=&limit=`, or `?snapshot=1&after=&limit=`
pub(crate) async fn list(
    State(app): State<App>,
    Path(collection): Path<Collection>,
    Query(query): Query<ListQuery>,
) -> Result<Reply, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    let snapshot = query.snapshot == Some(1);
    if query.after.is_some() && query.updated_since.is_none() && !snapshot {
        return Err(Problem::QueryInvalid("`after` needs `updatedSince` or `snapshot=1`."));
    }
    let options = app.collections.options(&collection);
    let listed = app.store.run(move |connection| {
        let now = options.now();
        let items = if snapshot {
            records::snapshot(connection, &collection, query.after.as_deref(), limit)?
        } else {
            let since = query.updated_since.unwrap_or(Timestamp::from_ms(0));
            records::list(connection, &collection, &Span { since, after: query.after, limit })?
        };
        Ok(json!({ "items": items, "now": now }))
    });
    Ok(Reply::json(StatusCode::OK, &listed.await?))
}

/// `GET /api/records/{collection}/{id}`
pub(crate) async fn show(State(app): State<App>, Path((collection, id)): Path<(Collection, String)>) -> Result<Reply, Problem> {
    let record = app.store.run(move |connection| records::find(connection, &collection, &id)).await?;
    let record = record.ok_or(Problem::NotFound { what: "such record" })?;
    Ok(reply(if record.deleted { StatusCode::GONE } else { StatusCode::OK }, &record))
}

/// `POST /api/records/{collection}`
pub(crate) async fn create(
    State(app): State<App>,
    Path(collection): Path<Collection>,
    Extension(delivery): Extension<Delivery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Reply, Problem> {
    let body = object(&headers, JSON, body).await?;
    write(&app, collection, delivery, Operation::Create(body)).await
}

/// `PATCH /api/records/{collection}/{id}`, with `If-Match` if the client cares.
pub(crate) async fn patch(
    State(app): State<App>,
    Path((collection, id)): Path<(Collection, String)>,
    Extension(delivery): Extension<Delivery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Reply, Problem> {
    let change = Change::Patch(object(&headers, JSON_OR_PATCH, body).await?);
    write(&app, collection, delivery, Operation::Change { id, condition: IfMatch::of(&headers), change }).await
}

/// `PUT /api/records/{collection}/{id}`, with `If-Match` if the client cares.
pub(crate) async fn replace(
    State(app): State<App>,
    Path((collection, id)): Path<(Collection, String)>,
    Extension(delivery): Extension<Delivery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Reply, Problem> {
    let change = Change::Replace(object(&headers, JSON, body).await?);
    write(&app, collection, delivery, Operation::Change { id, condition: IfMatch::of(&headers), change }).await
}

/// `DELETE /api/records/{collection}/{id}`, with `If-Match` if the client cares.
pub(crate) async fn delete(
    State(app): State<App>,
    Path((collection, id)): Path<(Collection, String)>,
    Extension(delivery): Extension<Delivery>,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    let operation = Operation::Change { id, condition: IfMatch::of(&headers), change: Change::Delete };
    write(&app, collection, delivery, operation).await
}

async fn write(app: &App, collection: Collection, delivery: Delivery, operation: Operation) -> Result<Reply, Problem> {
    let options = app.collections.options(&collection);
    let write = Write::begin(collection, options, delivery.key.as_ref().map(ToString::to_string)).await;
    commit_once(&app.journal, delivery, move |connection| write.apply(connection, operation)).await
}

/// The members of a body of one of the `expected` types.
async fn object(headers: &HeaderMap, expected: &'static str, body: Body) -> Result<Members, Problem> {
    let bytes = json_of(headers, expected, body).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::BodyMalformed { expected: "a JSON object", reason: error.to_string() })
}

async fn json_of(headers: &HeaderMap, expected: &'static str, body: Body) -> Result<bytes::Bytes, Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !expected.split(" or ").any(|expected| expected == essence) {
        return Err(Problem::MediaTypeUnsupported { expected, given: given.to_owned() });
    }
    whole(body).await
}
