//! Takes batches of events: each event is stored by itself, all in the transaction of the batch's key.
//!
//! An event with `"bad": true` is refused. What that means for the others, and how the reply tells, the query says.

use axum::extract::{Extension, Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::idempotency::{Delivery, commit_once};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::store::sink::{self, Accepted};

/// How a batch is answered.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Conduct {
    /// Whether each event gets a result, and where; else one that is bad has all refused.
    results: Option<Results>,
    /// Bytes of a body at most.
    most: Option<u32>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Results {
    /// 207, and an array.
    Multi,
    /// 200, and an array.
    Array,
    /// 200, and an object with an array.
    Member,
}

/// `POST /api/analytics/batch?results=&most=`: an array of events, or `{"events": […]}`.
pub(crate) async fn batch(
    State(app): State<App>,
    Query(conduct): Query<Conduct>,
    Extension(delivery): Extension<Delivery>,
) -> Result<Reply, Problem> {
    let limit = conduct.most.unwrap_or(1024 * 1024);
    if delivery.body_size > limit {
        return Err(Problem::BodyTooLarge { limit });
    }
    let events = events_of(&delivery.body_head)?;
    let is_good = |event: &Value| event.get("bad") != Some(&Value::Bool(true));
    if conduct.results.is_none() && !events.iter().all(is_good) {
        return Err(Problem::EventRefused);
    }
    let accepted = |event: &Value| Accepted {
        n: delivery.ticket.n,
        method: delivery.fingerprint.method.clone(),
        path: delivery.fingerprint.path.clone(),
        idempotency_key: delivery.key.as_ref().map(ToString::to_string),
        content_type: delivery.content_type.clone(),
        body_sha256: delivery.fingerprint.body_sha256.clone(),
        body_size: delivery.body_size,
        body: Some(event.to_string()),
    };
    let stored: Vec<Accepted> = events.iter().filter(|event| is_good(event)).map(accepted).collect();
    let result = |event: &Value| match is_good(event) {
        true => json!({ "status": 201 }),
        false => json!({ "status": 422, "detail": "the event is bad" }),
    };
    let results: Vec<Value> = events.iter().map(result).collect();
    let reply = match conduct.results {
        None => Reply::json(StatusCode::OK, &json!({ "stored": stored.len() })),
        Some(Results::Multi) => Reply::json(StatusCode::MULTI_STATUS, &results),
        Some(Results::Array) => Reply::json(StatusCode::OK, &results),
        Some(Results::Member) => Reply::json(StatusCode::OK, &json!({ "results": results })),
    };
    commit_once(&app.journal, delivery, move |connection| {
        for event in &stored {
            sink::insert(connection, event)?;
        }
        Ok(reply)
    })
    .await
}

/// `GET /api/analytics`: how many events there are, and how many requests brought them.
pub(crate) async fn tally(State(app): State<App>) -> Result<Reply, Problem> {
    let tally = app.store.run(|connection| sink::tally(connection, "/api/analytics/batch")).await?;
    Ok(Reply::json(StatusCode::OK, &tally))
}

fn events_of(body: &[u8]) -> Result<Vec<Value>, Problem> {
    let malformed = |reason: String| Problem::BodyMalformed { expected: "a batch of events", reason };
    let body: Value = serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
    let events = body.get("events").unwrap_or(&body);
    events.as_array().cloned().ok_or_else(|| malformed("there is no array".to_owned()))
}
