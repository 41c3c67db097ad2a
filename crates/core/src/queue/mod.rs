//! The queue: what a job is, how it comes in, what becomes of it, and what a person may do to it.

pub mod backoff;
pub mod batch;
pub mod binding;
pub mod capture;
pub mod config;
pub mod cycle;
pub mod disposition;
mod duplicate;
pub mod enqueue;
pub mod history;
pub mod job;
pub(crate) mod key_order;
pub mod last_error;
pub mod manage;
pub mod request;
pub mod sort;
