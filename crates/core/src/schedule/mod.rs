//! When a worker is woken next, and why.

pub mod wakes;
