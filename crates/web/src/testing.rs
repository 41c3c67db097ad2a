//! What the tests of worker and page share; see `tests/shells`. Behind a feature that nothing ships with.
#![expect(clippy::unwrap_used, reason = "a test that meets anything else has failed")]

use std::{cell::RefCell, rc::Rc};

use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;

use crate::task::{settled, spawn_local};

// What `tests/shells/site` provides; each is described there.
#[wasm_bindgen]
extern "C" {
    /// Time passes by [`advance`] alone from now on.
    #[wasm_bindgen(js_namespace = fakeTimers, js_name = install)]
    pub fn install_timers();
    /// How many timers are set.
    #[wasm_bindgen(js_namespace = fakeTimers, js_name = pending)]
    pub fn timers_pending() -> u32;
    /// Lets so many milliseconds pass.
    #[wasm_bindgen(js_namespace = fakeTimers)]
    pub async fn advance(ms: u32);
    /// Lets everything run that waits for no timer.
    #[wasm_bindgen(js_namespace = fakeTimers)]
    pub async fn settle();
}

/// The value of a JavaScript expression.
pub fn script(expression: &str) -> JsValue {
    js_sys::eval(&format!("({expression})")).unwrap()
}

/// What a promise, or a value, settles as.
///
/// # Errors
/// What it rejects with.
pub async fn awaited(value: &JsValue) -> Result<JsValue, JsValue> {
    settled(Ok(value.clone())).await
}

/// A promise, and the function that resolves it.
pub fn promise() -> (Promise, Function) {
    let mut resolve = None;
    let promise = Promise::new(&mut |yes, _| resolve = Some(yes));
    (promise, resolve.unwrap())
}

/// Runs `work` beside everything else; its outcome lies there once it is known.
pub fn begin<T: 'static>(work: impl Future<Output = T> + 'static) -> Rc<RefCell<Option<T>>> {
    let outcome = Rc::new(RefCell::new(None));
    spawn_local({
        let outcome = Rc::clone(&outcome);
        async move {
            let value = work.await;
            outcome.replace(Some(value));
        }
    });
    outcome
}

/// Waits for such an outcome, while no time passes.
pub async fn known<T>(outcome: &RefCell<Option<T>>) -> T {
    loop {
        if let Some(value) = outcome.take() {
            return value;
        }
        settle().await;
    }
}
