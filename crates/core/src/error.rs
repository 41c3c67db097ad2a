//! The typed error that reaches callers, with a stable code.

use serde::{Deserialize, Serialize};

use std::{fmt, ops::Deref};

/// What kind of thing went wrong; its [`as_str`](ErrorCode::as_str) is part of the public surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The request or one of its options cannot be queued as given; nothing was stored.
    InvalidRequest,
    /// `shearwater.start()` was given a configuration it does not understand.
    InvalidConfig,
    /// The message is not one of this protocol version, or does not come from a client of this origin.
    InvalidMessage,
    /// With `strict: true`, a queue that the configuration does not name.
    UnknownQueue,
    /// Other jobs wait for a value of the job's response; nothing was removed.
    HasDependents,
    /// The disk or the origin's quota is full; nothing was stored.
    QuotaExceeded,
    /// `IndexedDB` cannot be opened or was lost (private mode, a blocked upgrade, a broken profile).
    StorageUnavailable,
    /// There is no service worker to talk to.
    WorkerUnavailable,
    /// The worker did not respond in time; asking again with the same job id is safe.
    Timeout,
    /// A fault of Shearwater's own; the message is for a bug report.
    Internal,
}

impl ErrorCode {
    /// The stable spelling that JavaScript callers compare against.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid-request",
            Self::InvalidConfig => "invalid-config",
            Self::InvalidMessage => "invalid-message",
            Self::UnknownQueue => "unknown-queue",
            Self::HasDependents => "has-dependents",
            Self::QuotaExceeded => "quota-exceeded",
            Self::StorageUnavailable => "storage-unavailable",
            Self::WorkerUnavailable => "worker-unavailable",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
        }
    }
}

/// A refusal or failure, with a message that tells the caller what to do.
///
/// One word, so that the results that pass it on are small: in the worker that is 9 KB brotli.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Error(Box<ErrorParts>);

/// What an [`Error`] says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Error")]
pub struct ErrorParts {
    /// The stable kind.
    pub code: ErrorCode,
    /// What happened and what to do about it, for a developer's eyes.
    pub message: String,
}

impl Deref for Error {
    type Target = ErrorParts;

    fn deref(&self) -> &ErrorParts {
        &self.0
    }
}

impl Error {
    /// An error of this kind with this advice.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::of(code, message.into())
    }

    #[inline(never)]
    fn of(code: ErrorCode, message: String) -> Self {
        Self(Box::new(ErrorParts { code, message }))
    }

    /// The message alone.
    #[must_use]
    pub fn into_message(self) -> String {
        self.0.message
    }

    /// A request or option that cannot be queued.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    /// A configuration that cannot be used.
    pub fn invalid_config(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidConfig, message)
    }

    /// A fault of our own.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_str())?;
        f.write_str(": ")?;
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
