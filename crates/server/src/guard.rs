//! Decides who may use the control listener and the demo's switch: local tools, never a web page.
//!
//! The control listener is bound to loopback and answers only requests that name it by a loopback host (a page
//! that rebinds its own name to 127.0.0.1 does not), that no page sent (`Origin`, `Sec-Fetch-Site`), and that
//! carry the [`ControlToken`] of this process. The demo's switch is for the demo's own page, and for tools that
//! are no browser.

use std::fmt;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName};
use sha2::{Digest as _, Sha256};

use crate::cors::is_loopback;
use crate::problem::Problem;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The secret of one process, which its start line tells.
#[derive(Clone)]
pub(crate) struct ControlToken(String);

impl ControlToken {
    /// 32 random bytes in hexadecimal.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares digests, so that the time it takes says nothing about the token.
    fn admits(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        given
            .and_then(|value| value.strip_prefix("Bearer "))
            .is_some_and(|token| Sha256::digest(token) == Sha256::digest(&self.0))
    }
}

impl fmt::Debug for ControlToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControlToken(…)")
    }
}

/// Middleware of the control listener.
pub(crate) async fn require_token(State(token): State<ControlToken>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = request.uri().authority().cloned().or_else(|| host_of(headers));
    if !host.is_some_and(|host| is_loopback(host.host())) {
        return Problem::Forbidden("The control listener is asked by a loopback address only.").into_response();
    }
    if headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE) {
        return Problem::Forbidden("No web page may use the control listener.").into_response();
    }
    if !token.admits(headers) {
        return Problem::TokenMissing.into_response();
    }
    next.run(request).await
}

/// Middleware of the demo's switch.
pub(crate) async fn require_same_origin(request: Request, next: Next) -> Response {
    if is_same_origin(request.headers()) {
        next.run(request).await
    } else {
        Problem::Forbidden("The switch is for the demo's own page.").into_response()
    }
}

/// Whether a page of the host that was asked sent it, or something that is no browser.
fn is_same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE)
        && site != "same-origin"
        && site != "none"
    {
        return false;
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    authority.is_some_and(|authority| host_of(headers).is_some_and(|host| host.as_str().eq_ignore_ascii_case(authority)))
}

fn host_of(headers: &HeaderMap) -> Option<Authority> {
    headers.get(HOST)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_is_random_and_admits_only_itself() {
        let [one, two] = [ControlToken::random().unwrap(), ControlToken::random().unwrap()];
        let bearer =
            |token: &ControlToken| HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {}", token.as_str()).parse().unwrap())]);
        assert!(one.admits(&bearer(&one)) && !one.admits(&bearer(&two)) && !one.admits(&HeaderMap::new()));
        assert!(!format!("{one:?}").contains(one.as_str()));
    }

    #[test]
    fn same_origin_is_the_host_that_was_asked() {
        assert!(is_same_origin(&headers(&[("host", "localhost:1")])));
        assert!(is_same_origin(&headers(&[
            ("host", "localhost:1"),
            ("origin", "http://localhost:1"),
            ("sec-fetch-site", "same-origin")
        ])));
        for other in ["http://localhost:2", "http://127.0.0.1:1", "https://example.org", "null"] {
            assert!(!is_same_origin(&headers(&[("host", "localhost:1"), ("origin", other)])), "{other}");
        }
        for site in ["same-site", "cross-site"] {
            assert!(!is_same_origin(&headers(&[("host", "localhost:1"), ("sec-fetch-site", site)])), "{site}");
        }
    }
}
