//! The wall clock, and timers.

use futures_channel::oneshot;
use shearwater_core::Millis;
use wasm_bindgen::prelude::*;

use crate::{error::sure, scope::window};

/// The wall clock.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates; dates are positive and below 2^53")]
pub fn now() -> Millis {
    Millis(js_sys::Date::now() as u64)
}

/// A running timer; dropped, it is cancelled.
pub struct Timer {
    id: i32,
    _closure: Closure<dyn FnMut()>,
}

impl Timer {
    /// Calls `then` after `ms` milliseconds.
    pub fn start(ms: u64, then: impl FnOnce() + 'static) -> Self {
        Self::boxed(ms, Box::new(then))
    }

    /// What sets a timer exists once and not for each kind of function; `Closure::once` would bring 0.6 KB for each.
    fn boxed(ms: u64, then: Box<dyn FnOnce()>) -> Self {
        let mut then = Some(then);
        let closure = Closure::<dyn FnMut()>::new(move || {
            if let Some(then) = then.take() {
                then();
            }
        });
        // Browsers take a delay as a signed 32-bit number; a longer one would fire at once.
        let delay = i32::try_from(ms).unwrap_or(i32::MAX);
        let then = closure.as_ref().unchecked_ref();
        let id = sure(window().set_timeout_with_callback_and_timeout_and_arguments_0(then, delay));
        Self { id, _closure: closure }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        window().clear_timeout_with_handle(self.id);
    }
}

/// Waits for `ms` milliseconds; dropped, it sets no timer any more.
pub async fn sleep(ms: u64) {
    let (tell, over) = oneshot::channel();
    let timer = Timer::start(ms, move || {
        let _ = tell.send(());
    });
    let _ = over.await;
    drop(timer);
}
