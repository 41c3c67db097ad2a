//! Holds what all requests share, and joins the parts of the main listener.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{any, get, post};
use tokio_util::sync::CancellationToken;

use crate::faults::Faults;
use crate::idempotency::Claims;
use crate::journal::Journal;
use crate::records::Collections;
use crate::routes::records;
use crate::store::Store;
use crate::traffic::Traffic;
use crate::{Options, gate, guard, routes, statics};

/// The shared state; cloning it shares it.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) store: Arc<Store>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) claims: Arc<Claims>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) collections: Arc<Collections>,
    /// Cancelled to end the server.
    pub(crate) stop: CancellationToken,
}

impl App {
    pub(crate) fn new(store: Arc<Store>, last_arrival: i64, stop: CancellationToken) -> Self {
        Self {
            journal: Arc::new(Journal::new(Arc::clone(&store), last_arrival)),
            store,
            faults: Arc::default(),
            claims: Arc::default(),
            traffic: Arc::default(),
            collections: Arc::default(),
            stop,
        }
    }
}

/// The main listener: the API behind the gate, the demo's switch if asked for, files for the rest.
pub(crate) fn main_router(app: App, options: &Options) -> Router {
    let api = Router::new()
        .route("/api/notes", get(routes::notes::list).post(routes::notes::create))
        .route("/api/notes/{id}", get(routes::notes::show).put(routes::notes::update).delete(routes::notes::delete))
        .route("/api/notes/{id}/photos", post(routes::notes::attach))
        .route("/api/attachments/{id}", get(routes::files::attachment))
        .route("/api/uploads", post(routes::files::upload))
        .route("/api/uploads/{id}", get(routes::files::uploaded))
        .route("/api/analytics", get(routes::analytics::tally))
        .route("/api/analytics/batch", post(routes::analytics::batch))
        .route("/api/records/{collection}", get(records::list).post(records::create))
        .route("/api/records/{collection}/batch", post(records::batch))
        .route(
            "/api/records/{collection}/{id}",
            get(records::show).patch(records::patch).put(records::replace).delete(records::delete),
        )
        .route("/api/sink", any(routes::sink::accept))
        .route("/api/sink/{*path}", any(routes::sink::accept))
        .route("/api", any(routes::nothing_here))
        .route("/api/{*path}", any(routes::nothing_here))
        .method_not_allowed_fallback(routes::method_not_allowed)
        .layer(DefaultBodyLimit::disable())
        .route_layer(middleware::from_fn_with_state(app.clone(), gate::gate));
    let mut router = api;
    if options.demo {
        let switch = get(routes::demo::show).post(routes::demo::switch);
        router = router.route("/demo/control", switch.layer(middleware::from_fn(guard::require_same_origin)));
    }
    router.with_state(app).merge(statics::router(options))
}
