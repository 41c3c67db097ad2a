use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{awaited, script};
use crate::face::form::encode;

/// The text of what a body is sent as.
async fn text(body: &JsValue) -> String {
    let text = js_sys::Function::new_with_args("body", "return new Response(body).text()").call1(&JsValue::NULL, body).unwrap();
    awaited(&text).await.unwrap().as_string().unwrap()
}

/// Holds our encoding of a form against the browser's own, boundary for boundary.
async fn is_as_the_browsers(form: &str) {
    let form = script(form);
    let (parts, kind) = encode(&form);
    let blob = js_sys::Function::new_with_args("parts", "return new Blob(parts)").call1(&JsValue::NULL, &parts).unwrap();
    let (ours, theirs) = (text(&blob).await, text(&form).await);
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let their_boundary = theirs.split("\r\n").next().unwrap().trim_start_matches('-').trim_end_matches('-');
    let dashes = |text: &str, boundary: &str| {
        text.replace(boundary.trim_start_matches('-'), "B").replace("------", "--").replace("----", "--")
    };
    assert_eq!(dashes(&ours, boundary), dashes(&theirs, their_boundary));
}

const FORM: &str =
    "(...entries) => { const form = new FormData(); for (const entry of entries) form.append(...entry); return form; }";

#[wasm_bindgen_test]
async fn strings_are_encoded_as_by_the_browser() {
    is_as_the_browsers(&format!("({FORM})(['name', 'value'], ['name', ''], ['', 'ünïcödé 🐦'])")).await;
}

#[wasm_bindgen_test]
async fn line_breaks_and_quotes_are_encoded_as_by_the_browser() {
    is_as_the_browsers(&format!("({FORM})(['a\"b', 'a\\nb\\rc\\r\\nd'], ['a\\nb\\rc\\r\\nd', '\"'])")).await;
}

#[wasm_bindgen_test]
async fn files_are_encoded_as_by_the_browser() {
    let files = "['one', new File(['content'], 'a \"name\"\\r\\n.txt', { type: 'text/plain' })], ['two', new Blob(['x'])], ['three', 'after'],
        ['four', new File([], 'empty')], ['five', new Blob(['y'], { type: 'image/png' }), 'ñ.png']";
    is_as_the_browsers(&format!("({FORM})({files})")).await;
}

#[wasm_bindgen_test]
async fn an_empty_form_is_encoded_as_by_the_browser() {
    is_as_the_browsers("new FormData()").await;
}

#[wasm_bindgen_test]
fn files_are_handed_over_by_reference_and_strings_between_them_are_one() {
    let (parts, _) = encode(&script(&format!("({FORM})(['a', '1'], ['file', new File(['x'], 'x')], ['b', '2'], ['c', '3'])")));
    let kinds: Vec<_> = parts.iter().map(|part| part.is_string()).collect();
    assert_eq!(kinds, [true, false, true]);
}

#[wasm_bindgen_test]
fn no_two_forms_have_the_same_boundary() {
    let form = script("new FormData()");
    assert_ne!(encode(&form).1, encode(&form).1);
}
