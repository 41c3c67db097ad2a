//! Takes anything, by any method, and says which arrival it was.

use axum::extract::{Extension, State};
use http::StatusCode;
use serde_json::json;

use crate::app::App;
use crate::idempotency::{Delivery, commit_once};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::store::sink::{self, Accepted};

/// Up to this size a text body is kept whole.
const TEXT_BYTES: u32 = 64 * 1024;

/// `ANY /api/sink/{*path}`
pub(crate) async fn accept(State(app): State<App>, Extension(delivery): Extension<Delivery>) -> Result<Reply, Problem> {
    let accepted = Accepted {
        n: delivery.ticket.n,
        method: delivery.fingerprint.method.clone(),
        path: delivery.fingerprint.path.clone(),
        idempotency_key: delivery.key.as_ref().map(ToString::to_string),
        content_type: delivery.content_type.clone(),
        body_sha256: delivery.fingerprint.body_sha256.clone(),
        body_size: delivery.body_size,
        body: (delivery.body_size <= TEXT_BYTES)
            .then(|| std::str::from_utf8(&delivery.body_head).ok().map(str::to_owned))
            .flatten(),
    };
    commit_once(&app.journal, delivery, move |connection| {
        sink::insert(connection, &accepted)?;
        Ok(Reply::json(StatusCode::OK, &json!({ "arrival": accepted.n })))
    })
    .await
}
