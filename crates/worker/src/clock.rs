//! The shell's clock, timers and dice.

use shearwater_core::JobId;

pub use shearwater_web::time::{Timer, now};

use crate::js;

/// A random number in `[0, 1)`.
pub fn roll() -> f64 {
    js_sys::Math::random()
}

/// A name that nothing else ever has.
pub fn unique_name() -> String {
    JobId::from_random(js::random::bytes()).as_str().to_owned()
}
