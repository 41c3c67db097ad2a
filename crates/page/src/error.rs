//! Errors that the page itself makes.

use shearwater_core::{Error, ErrorCode};

/// A `worker-unavailable`.
pub fn unavailable(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::WorkerUnavailable, message)
}
