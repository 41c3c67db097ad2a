//! What HTTP says: responses and their headers, and what a browser's `fetch` refuses to send.

pub mod credentials;
pub(crate) mod date;
pub mod fetchable;
pub mod rate_limit;
pub mod refresh;
pub mod reply;
pub mod retry_after;
