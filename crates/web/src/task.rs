//! Futures that run by themselves, boxed: what runs them exists once and not for each kind of future.

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

type Boxed<T> = std::pin::Pin<Box<dyn Future<Output = T>>>;

/// Runs `work` beside everything else.
pub fn spawn_local(work: impl Future<Output = ()> + 'static) {
    let work: Boxed<()> = Box::pin(work);
    wasm_bindgen_futures::spawn_local(work);
}

/// What a call returned, once it is settled if it is a promise.
///
/// # Errors
/// What the call threw, or the promise rejected with.
pub async fn settled(returned: Result<JsValue, JsValue>) -> Result<JsValue, JsValue> {
    JsFuture::from(Promise::resolve(&returned?)).await
}

/// Runs `work`, and settles the promise with its outcome.
pub fn future_to_promise(work: impl Future<Output = Result<JsValue, JsValue>> + 'static) -> Promise {
    let work: Boxed<Result<JsValue, JsValue>> = Box::pin(work);
    wasm_bindgen_futures::future_to_promise(work)
}
