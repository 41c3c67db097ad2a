//! Drives drains: a task for each, the requests that it sends, their credentials, and the lock of its queue.

pub mod auth;
mod before_send;
pub mod drains;
pub mod fetch;
pub mod locks;
pub mod task;
