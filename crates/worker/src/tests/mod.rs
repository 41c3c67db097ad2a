//! Tests of this crate's modules, which run in a real service worker: `make test-shells`.

mod gate;

use js_sys::Promise;
use wasm_bindgen::prelude::*;

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_service_worker);

/// What `tests/shells/site` provides.
#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = fakeTimers, js_name = settle)]
    async fn settle();
}
