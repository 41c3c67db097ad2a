//! A listener for as long as it is held.

use wasm_bindgen::prelude::*;
use web_sys::EventTarget;

/// Listens to one kind of event; dropped, it listens no more.
pub struct Listener {
    target: EventTarget,
    event: &'static str,
    closure: Closure<dyn FnMut()>,
}

impl Listener {
    /// Calls `then` at each event of this name.
    pub fn new(target: &EventTarget, event: &'static str, then: impl FnMut() + 'static) -> Self {
        Self::boxed(target, event, Box::new(then))
    }

    fn boxed(target: &EventTarget, event: &'static str, then: Box<dyn FnMut()>) -> Self {
        let closure = Closure::wrap(then);
        // Of an event target this throws nothing.
        let _ = target.add_event_listener_with_callback(event, closure.as_ref().unchecked_ref());
        Self { target: target.clone(), event, closure }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.target.remove_event_listener_with_callback(self.event, self.closure.as_ref().unchecked_ref());
    }
}
