//! Answers cross-origin questions about the API: any port of this machine may use it.

use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

/// What a script may read of a reply, beyond the safelisted headers.
const EXPOSED: HeaderValue = HeaderValue::from_static("Location, ETag, Retry-After, RateLimit, Idempotent-Replayed, Date");

/// A preflight, with what it asks leave for.
#[derive(Debug)]
pub(crate) struct Preflight {
    method: HeaderValue,
    headers: Option<HeaderValue>,
}

impl Preflight {
    /// Recognises a preflight; any other `OPTIONS` is an ordinary request.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Option<Self> {
        if method != Method::OPTIONS || !headers.contains_key(ORIGIN) {
            return None;
        }
        Some(Self {
            method: headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.clone(),
            headers: headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned(),
        })
    }

    /// Allows what was asked; whose origin may have it is for [`permit`] to say.
    pub(crate) fn reply(self) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let reply = response.headers_mut();
        reply.insert(ACCESS_CONTROL_ALLOW_METHODS, self.method);
        if let Some(headers) = self.headers {
            reply.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers);
        }
        response
    }
}

/// The request's origin, if it is a port of this machine.
pub(crate) fn local_origin(headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    let uri: Uri = origin.to_str().ok()?.parse().ok()?;
    is_loopback(uri.host()?).then(|| origin.clone())
}

/// Whether a URL's host is this machine by a name that nobody else can give it.
pub(crate) fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// Lets `origin` read the reply, cookies included.
pub(crate) fn permit(origin: Option<HeaderValue>, reply: &mut HeaderMap) {
    reply.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return };
    reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    reply.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    reply.entry(ACCESS_CONTROL_EXPOSE_HEADERS).or_insert(EXPOSED);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        let of = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, origin.parse().unwrap());
            local_origin(&headers).is_some()
        };
        assert!(of("http://localhost:5173") && of("http://127.0.0.1:8080") && of("http://[::1]:1"));
        assert!(!of("https://example.org") && !of("null") && !of("http://localhost.example.org"));
    }
}
