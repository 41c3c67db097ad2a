//! Keeps a step of asynchronous work a function of its own.

use std::pin::Pin;

/// `work`, boxed. What an `async fn` awaits becomes a part of it, so that a long one is a single function of 30 KB of
/// wasm, and an engine that compiles functions when they are first called compiles all of it for a part that is
/// needed once a week, while a request waits to be sent. An allocation is cheaper by far.
#[must_use]
pub fn boxed<'w, R>(work: impl Future<Output = R> + 'w) -> Pin<Box<dyn Future<Output = R> + 'w>> {
    Box::pin(work)
}
