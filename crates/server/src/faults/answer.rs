//! Makes the reply that a rule dictates: one that ends, one that floods, one that stalls.
//!
//! A body that floods or stalls is a stream. Its bytes are counted as the connection takes them, and a client
//! that hangs up ends it, so that a test can tell how much was read and that the rest was cancelled.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

use crate::traffic::{BodyInFlight, Traffic};

/// What a flood is made of; as large as a socket's buffer likes it.
static FLOOD: &[u8] = &[b'.'; 64 * 1024];

/// A status with what is sent as its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Option<Bytes>,
    /// So many bytes more; chunked, unless the rule's headers give a `Content-Length`.
    pub(crate) flood: u64,
    /// Then nothing more comes, and the connection stays open.
    pub(crate) stall: bool,
}

impl Answer {
    pub(crate) fn into_response(self, traffic: &Arc<Traffic>) -> Response {
        let status = self.status;
        let streamed = self.flood > 0 || self.stall;
        let typed = streamed || self.body.is_some();
        let body = if streamed { self.stream(traffic.open_body()) } else { Body::from(self.body.unwrap_or_default()) };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        if typed {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        }
        response
    }

    fn stream(self, open: BodyInFlight) -> Body {
        let state = (self.body, self.flood, open);
        Body::from_stream(stream::unfold(state, move |(body, flood, mut open)| async move {
            let (chunk, flood) = match body {
                Some(body) => (body, flood),
                None if flood > 0 => {
                    let chunk = FLOOD.get(..usize::try_from(flood).unwrap_or(usize::MAX)).unwrap_or(FLOOD);
                    (Bytes::from_static(chunk), flood - chunk.len() as u64)
                }
                None if self.stall => std::future::pending().await,
                None => return None,
            };
            open.count(chunk.len() as u64);
            // Now, for a connection that knows the length asks for no more.
            if flood == 0 && !self.stall {
                open.finish();
            }
            Some((Ok::<_, Infallible>(chunk), (None, flood, open)))
        }))
    }
}
