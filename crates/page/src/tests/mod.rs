//! Tests of this crate's modules, which run in a real page: `make test-shells`.

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test::wasm_bindgen_test]
fn hello() {}
