//! Serves the tests' own listener: faults, and everything that was stored. The guard says to whom.

mod records;

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::faults::FaultSet;
use crate::guard::{self, ControlToken};
use crate::problem::Problem;
use crate::routes;
use crate::store::arrivals::{self, Arrival};
use crate::store::files::{self, Upload};
use crate::store::notes::{self, Note, Page};
use crate::store::sink::{self, Accepted};

/// Every route of the control listener, for those who have the token.
pub(crate) fn router(app: App, token: ControlToken) -> Router {
    Router::new()
        .route("/faults", get(show_faults).put(replace_faults))
        .route("/release", post(release))
        .route("/arrivals", get(list_arrivals))
        .route("/arrivals/count", get(count_arrivals))
        .route("/notes", get(list_notes))
        .route("/uploads", get(list_uploads))
        .route("/sink", get(list_sink))
        .merge(records::router())
        .route("/stats", get(stats))
        .route("/reset", post(reset))
        .route("/shutdown", post(shutdown))
        .fallback(routes::nothing_here)
        .layer(middleware::from_fn_with_state(token, guard::require_token))
        .with_state(app)
}

#[derive(Debug, Deserialize)]
struct Filter {
    /// What the path begins with.
    #[serde(default)]
    path: String,
    /// Only numbers above this.
    #[serde(default)]
    after: i64,
}

async fn show_faults(State(app): State<App>) -> Json<FaultSet> {
    Json(app.faults.current())
}

async fn replace_faults(State(app): State<App>, Json(set): Json<FaultSet>) -> Result<Json<FaultSet>, Problem> {
    app.faults.replace(set)?;
    Ok(Json(app.faults.current()))
}

async fn release(State(app): State<App>) -> Json<Value> {
    Json(json!({ "released": app.faults.release() }))
}

async fn list_arrivals(State(app): State<App>, Query(filter): Query<Filter>) -> Result<Json<Vec<Arrival>>, Problem> {
    let list = app.store.run(move |connection| arrivals::list(connection, &filter.path, filter.after));
    Ok(Json(list.await?))
}

async fn count_arrivals(State(app): State<App>, Query(filter): Query<Filter>) -> Result<Json<Value>, Problem> {
    let count = app.store.run(move |connection| arrivals::count(connection, &filter.path, filter.after));
    Ok(Json(json!({ "count": count.await? })))
}

async fn list_notes(State(app): State<App>) -> Result<Json<Vec<Note>>, Problem> {
    Ok(Json(app.store.run(|connection| notes::list(connection, Page::ALL)).await?))
}

async fn list_uploads(State(app): State<App>) -> Result<Json<Vec<Upload>>, Problem> {
    Ok(Json(app.store.run(files::uploads).await?))
}

async fn list_sink(State(app): State<App>, Query(filter): Query<Filter>) -> Result<Json<Vec<Accepted>>, Problem> {
    Ok(Json(app.store.run(move |connection| sink::list(connection, &filter.path)).await?))
}

async fn stats(State(app): State<App>) -> Json<Value> {
    Json(json!({
        "refused": app.traffic.refused(),
        "inFlight": app.traffic.in_flight(),
        "held": app.faults.held(),
        "maxInFlight": app.traffic.max_in_flight(),
        "bodyBytes": app.traffic.body_bytes(),
        "openBodies": app.traffic.open_bodies(),
        "cancelledBodies": app.traffic.cancelled_bodies(),
    }))
}

async fn reset(State(app): State<App>) -> Result<Json<Value>, Problem> {
    app.faults.reset();
    app.journal.reset().await?;
    app.traffic.reset();
    app.collections.reset();
    Ok(Json(json!({ "ok": true })))
}

async fn shutdown(State(app): State<App>) -> Json<Value> {
    app.stop.cancel();
    Json(json!({ "ok": true }))
}
