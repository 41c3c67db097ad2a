//! Futures that run by themselves, boxed: what runs them exists once and not for each kind of future.

use js_sys::Promise;
use wasm_bindgen::JsValue;

type Boxed<T> = std::pin::Pin<Box<dyn Future<Output = T>>>;

/// Runs `work` beside everything else.
pub fn spawn_local(work: impl Future<Output = ()> + 'static) {
    let work: Boxed<()> = Box::pin(work);
    wasm_bindgen_futures::spawn_local(work);
}

/// Runs `work`, and settles the promise with its outcome.
pub fn future_to_promise(work: impl Future<Output = Result<JsValue, JsValue>> + 'static) -> Promise {
    let work: Boxed<Result<JsValue, JsValue>> = Box::pin(work);
    wasm_bindgen_futures::future_to_promise(work)
}
