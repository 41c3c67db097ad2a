//! Serves files, always fresh.
//!
//! No validators: a `Last-Modified` counts in seconds, and a test that replaces a worker script within one
//! would be told "not modified".

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, IF_MODIFIED_SINCE, LAST_MODIFIED, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue};
use tower_http::services::ServeDir;

use crate::Options;

const SERVICE_WORKER_ALLOWED: HeaderName = HeaderName::from_static("service-worker-allowed");

/// The mounts, and the main folder for the rest.
pub(crate) fn router(options: &Options) -> Router {
    let mut router = Router::new();
    for mount in &options.mounts {
        let files = files_of(mount.dir(), mount.prefix(), options);
        router = router.nest_service(mount.prefix(), files);
    }
    match &options.static_dir {
        Some(dir) => router.fallback_service(files_of(dir, "", options)),
        None => router,
    }
}

#[derive(Debug, Clone)]
struct Policy {
    prefix: String,
    csp: Option<HeaderValue>,
}

fn files_of(dir: &std::path::Path, prefix: &str, options: &Options) -> Router {
    let policy = Policy { prefix: prefix.to_owned(), csp: options.csp.clone() };
    Router::new().fallback_service(ServeDir::new(dir)).layer(middleware::from_fn_with_state(policy, dress))
}

async fn dress(State(policy): State<Policy>, mut request: Request, next: Next) -> Response {
    request.headers_mut().remove(IF_MODIFIED_SINCE);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.remove(LAST_MODIFIED);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(csp) = policy.csp {
        headers.insert(CONTENT_SECURITY_POLICY, csp);
    }
    if is_script(headers) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript"));
        headers.insert(SERVICE_WORKER_ALLOWED, HeaderValue::from_static("/"));
    }
    // A folder asked for without its slash: the files do not know what they are mounted under.
    if let Some(Ok(location)) = headers.get(LOCATION).map(|value| value.to_str().map(str::to_owned))
        && let Ok(whole) = HeaderValue::try_from(format!("{}{location}", policy.prefix))
    {
        headers.insert(LOCATION, whole);
    }
    response
}

/// Whether it is JavaScript; the table of types still gives `.mjs` an older name for that.
fn is_script(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    content_type.starts_with(b"text/javascript") || content_type.starts_with(b"application/javascript")
}
