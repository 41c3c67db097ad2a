//! What is known of the world outside: whether an origin is in trouble, whether the device's clock is right.

pub mod auth;
pub mod clock;
pub mod origin;
