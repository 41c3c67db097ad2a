//! The shell's clock, timers and dice.

use shearwater_core::{JobId, Millis};
use wasm_bindgen::prelude::*;

use crate::js;

/// The wall clock.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates; dates are positive and below 2^53")]
pub fn now() -> Millis {
    Millis(js_sys::Date::now() as u64)
}

/// A random number in `[0, 1)`.
pub fn roll() -> f64 {
    js_sys::Math::random()
}

/// A name that nothing else ever has.
pub fn unique_name() -> String {
    JobId::from_random(js::random_bytes()).as_str().to_owned()
}

/// A running timer; dropped, it is cancelled.
pub struct Timer {
    id: JsValue,
    _closure: Closure<dyn FnMut()>,
}

impl Timer {
    /// Calls `then` after `ms` milliseconds.
    pub fn start(ms: u64, then: impl FnOnce() + 'static) -> Self {
        let closure = Closure::once(then);
        // Browsers take a delay as a signed 32-bit number; a longer one would fire at once.
        let delay = i32::try_from(ms).unwrap_or(i32::MAX);
        let id = js::set_timeout(closure.as_ref().unchecked_ref(), delay);
        Self { id, _closure: closure }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        js::clear_timeout(&self.id);
    }
}
