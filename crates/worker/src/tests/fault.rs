use shearwater_core::ErrorCode;
use wasm_bindgen::JsCast;
use wasm_bindgen_test::wasm_bindgen_test;

use super::script;
use crate::fault::{storage_error, to_js};

#[wasm_bindgen_test]
fn what_the_storage_throws_has_the_code_of_its_name_whatever_its_text() {
    for (name, code) in [
        ("QuotaExceededError", ErrorCode::QuotaExceeded),
        ("DataCloneError", ErrorCode::InvalidRequest),
        ("ConstraintError", ErrorCode::InvalidRequest),
        ("DataError", ErrorCode::Internal),
        ("InvalidStateError", ErrorCode::StorageUnavailable),
        ("UnknownError", ErrorCode::StorageUnavailable),
        ("VersionError", ErrorCode::StorageUnavailable),
    ] {
        let error = storage_error(&script(&format!("new DOMException('in other words', '{name}')")));
        assert_eq!(error.code, code, "{name}");
        assert!(error.message.contains(name) && error.message.contains("in other words"), "{}", error.message);
    }
    assert_eq!(storage_error(&script("undefined")).code, ErrorCode::StorageUnavailable);
}

#[wasm_bindgen_test]
fn an_error_that_reaches_javascript_carries_its_code() {
    let thrown = to_js(storage_error(&script("new DOMException('', 'QuotaExceededError')")));
    assert!(thrown.is_instance_of::<js_sys::Error>());
    assert_eq!(crate::js::get(&thrown, "code"), "quota-exceeded");
    assert_eq!(crate::js::get(&thrown, "name"), "ShearwaterError");
}
