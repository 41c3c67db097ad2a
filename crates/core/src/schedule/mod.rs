//! When a worker is woken next, and why.

pub mod auto_sync;
pub mod network;
pub mod next_wake;
pub mod periodic;
pub mod wakes;
