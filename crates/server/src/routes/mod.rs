//! Turns requests that may be handled into effects and replies.

pub(crate) mod analytics;
pub(crate) mod demo;
pub(crate) mod files;
mod form;
pub(crate) mod notes;
pub(crate) mod records;
pub(crate) mod sink;

use crate::problem::Problem;

/// Any other path under `/api`.
pub(crate) async fn nothing_here() -> Problem {
    Problem::NotFound { what: "such resource" }
}

/// A path of the API, asked with a method it does not know.
pub(crate) async fn method_not_allowed() -> Problem {
    Problem::MethodNotAllowed
}
