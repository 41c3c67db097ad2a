//! Says what went wrong, as `application/problem+json` (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::reply::Reply;
use crate::serve::DropConnection;
use crate::store::StoreError;

/// Every way in which the API refuses a request; the message is the problem's `detail`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("A note needs a text: send a field `text` that is not empty. {0}")]
    TextMissing(String),
    #[error("The body could not be read as {expected}: {reason}")]
    BodyMalformed { expected: &'static str, reason: String },
    #[error("Send {expected}; the Content-Type was `{given}`.")]
    MediaTypeUnsupported { expected: &'static str, given: String },
    #[error("The body is larger than {limit} bytes.")]
    BodyTooLarge { limit: u32 },
    #[error("An event of the batch is bad; none was stored.")]
    EventRefused,
    #[error("{0}")]
    QueryInvalid(&'static str),
    #[error("There is no {what} here.")]
    NotFound { what: &'static str },
    #[error("This path knows no such method.")]
    MethodNotAllowed,
    #[error("The note has version {current} by now, and If-Match names another.")]
    VersionMismatch { current: u32 },
    #[error("Idempotency-Key has to be a string of 1 to 255 visible ASCII characters, quoted or bare.")]
    KeyMalformed,
    #[error("This Idempotency-Key was used before, for another request: {difference} differs.")]
    KeyReused { difference: &'static str },
    #[error("The first request with this Idempotency-Key is still being handled; ask again shortly.")]
    KeyInUse,
    #[error("Send `Authorization: Bearer …` with the `controlToken` of the server's start line.")]
    TokenMissing,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("{0}")]
    FaultSetInvalid(String),
    #[error("The server failed: {0}")]
    Internal(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::TextMissing(_) | Self::EventRefused | Self::KeyReused { .. } | Self::FaultSetInvalid(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::BodyMalformed { .. } | Self::QueryInvalid(_) | Self::KeyMalformed => StatusCode::BAD_REQUEST,
            Self::MediaTypeUnsupported { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::VersionMismatch { .. } => StatusCode::PRECONDITION_FAILED,
            Self::KeyInUse => StatusCode::CONFLICT,
            Self::TokenMissing => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Internal(_) | Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A stable name, the last part of the problem's `type`.
    fn code(&self) -> &'static str {
        match self {
            Self::TextMissing(_) => "text-missing",
            Self::BodyMalformed { .. } => "body-malformed",
            Self::MediaTypeUnsupported { .. } => "media-type-unsupported",
            Self::BodyTooLarge { .. } => "body-too-large",
            Self::EventRefused => "event-refused",
            Self::QueryInvalid(_) => "query-invalid",
            Self::NotFound { .. } => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::VersionMismatch { .. } => "version-mismatch",
            Self::KeyMalformed => "idempotency-key-malformed",
            Self::KeyReused { .. } => "idempotency-key-reused",
            Self::KeyInUse => "idempotency-key-in-use",
            Self::TokenMissing => "token-missing",
            Self::Forbidden(_) => "forbidden",
            Self::FaultSetInvalid(_) => "fault-set-invalid",
            Self::Internal(_) => "internal",
            Self::Store(_) => "store",
        }
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        let status = problem.status();
        let body = json!({
            "type": format!("urn:shearwater:problem:{}", problem.code()),
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": problem.code(),
            "detail": problem.to_string(),
        });
        let reply = Self::new(status, body.to_string()).with(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match problem {
            Problem::KeyInUse => reply.with(RETRY_AFTER, HeaderValue::from_static("1")),
            Problem::TokenMissing => reply.with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            _ => reply,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match self {
            // A test emptied the database under the request: it belongs to a world that is gone.
            Self::Store(StoreError::Reset) => DropConnection.into_response(),
            problem => Reply::from(problem).into_response(),
        }
    }
}
