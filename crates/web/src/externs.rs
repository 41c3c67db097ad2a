//! What `web-sys` and `js-sys` do not have as it is needed here, each with the reason.
//!
//! All else of the platform is theirs. What `web-sys` has behind `web_sys_unstable_apis` counts as absent: that is a flag of
//! the compiler, which every Rust page with this crate in it would have to set.

use js_sys::{ArrayBuffer, Function, JsString, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{IdbDatabase, IdbTransaction, Request, RequestInit};

#[wasm_bindgen]
extern "C" {
    /// `fetch`. Theirs does not catch: the platform's own rejects and throws nothing, but what an app or a library has put in its
    /// place may, and would end this instance.
    #[wasm_bindgen(catch)]
    pub(crate) fn fetch(url: &str, init: &RequestInit) -> Result<Promise, JsValue>;
    /// As [`fetch`].
    #[wasm_bindgen(catch, js_name = fetch)]
    pub(crate) fn fetch_request(request: &Request) -> Result<Promise, JsValue>;

    /// `navigator.locks`. Theirs is unstable.
    #[wasm_bindgen(extends = js_sys::Object)]
    pub type LockManager;
    /// Asks for a lock, which is held until the promise that `granted` returns has settled.
    #[wasm_bindgen(method, catch)]
    pub fn request(this: &LockManager, name: &str, granted: &Function) -> Result<Promise, JsValue>;

    /// An `IDBDatabase` whose transactions take options. Theirs with a `durability` are unstable.
    #[wasm_bindgen(extends = IdbDatabase)]
    pub type DurableDatabase;
    /// Begins a transaction on these stores.
    #[wasm_bindgen(method, catch)]
    pub fn transaction(
        this: &DurableDatabase,
        stores: &JsValue,
        mode: &str,
        options: &JsValue,
    ) -> Result<IdbTransaction, JsValue>;

    /// An `ArrayBuffer` that may be detached. Theirs does not catch what `slice` throws then.
    #[wasm_bindgen(extends = ArrayBuffer)]
    pub type MaybeDetached;
    /// A copy of the bytes from `from` up to `upto`.
    #[wasm_bindgen(method, catch)]
    pub fn slice(this: &MaybeDetached, from: f64, upto: f64) -> Result<JsValue, JsValue>;

    /// A `TextEncoder`. Theirs takes and returns Rust's strings and vectors: a text of JavaScript's would be copied in and out again.
    pub type TextEncoder;
    /// An encoder of UTF-8.
    #[wasm_bindgen(constructor)]
    pub fn new() -> TextEncoder;
    /// The text as UTF-8, in an array that is all of its buffer.
    #[wasm_bindgen(method)]
    pub fn encode(this: &TextEncoder, text: &JsString) -> Uint8Array;

    /// `Object.prototype.toString` of any value. Theirs calls the value's own `toString`.
    #[wasm_bindgen(catch, js_namespace = ["Object", "prototype", "toString"], js_name = call)]
    pub(crate) fn object_to_string(value: &JsValue) -> Result<String, JsValue>;
    /// `String(value)`, which throws what `value` does. Theirs has no such function.
    #[wasm_bindgen(catch, js_name = String)]
    pub fn text_of(value: &JsValue) -> Result<JsString, JsValue>;
}
