//! When a worker is woken next, and why.

pub mod next_wake;
pub mod wakes;
