//! All raw imports of the platform that `js-sys` does not have, in one place.

use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;

pub use shearwater_web::{get, get2, global, message_of, number, set};

#[wasm_bindgen]
extern "C" {
    /// `setTimeout`.
    #[wasm_bindgen(js_name = setTimeout)]
    pub fn set_timeout(then: &Function, ms: i32) -> JsValue;
    /// `clearTimeout`.
    #[wasm_bindgen(js_name = clearTimeout)]
    pub fn clear_timeout(id: &JsValue);

    #[wasm_bindgen(js_namespace = crypto, js_name = randomUUID)]
    pub fn random_uuid() -> String;
    /// `console.error`.
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    pub fn console_error(prefix: &str, thrown: &JsValue);
    /// `console.warn`.
    #[wasm_bindgen(js_namespace = console, js_name = warn)]
    pub fn console_warn(text: &str);

    /// `console.info`.
    #[wasm_bindgen(js_namespace = console, js_name = info)]
    pub fn console_info(text: &str);

    #[wasm_bindgen(catch, js_namespace = ["Object", "prototype", "toString"], js_name = call)]
    fn to_string(value: &JsValue) -> Result<String, JsValue>;
    /// `String(value)`, which throws what `value` does.
    #[wasm_bindgen(catch, js_name = String)]
    pub fn text_of(value: &JsValue) -> Result<js_sys::JsString, JsValue>;

    /// Anything that takes listeners.
    pub type EventTarget;
    #[wasm_bindgen(method, js_name = addEventListener)]
    pub fn listen(this: &EventTarget, event: &str, listener: &Function);
    #[wasm_bindgen(method, js_name = removeEventListener)]
    pub fn unlisten(this: &EventTarget, event: &str, listener: &Function);

    /// A `ServiceWorker`.
    #[derive(Clone)]
    pub type ServiceWorker;
    #[wasm_bindgen(method, catch, js_name = postMessage)]
    pub fn post(this: &ServiceWorker, message: &JsValue, ports: &js_sys::Array) -> Result<(), JsValue>;

    /// A `MessageChannel`.
    pub type MessageChannel;
    #[wasm_bindgen(constructor)]
    pub fn new() -> MessageChannel;
    /// A `MessagePort`.
    pub type MessagePort;
    #[wasm_bindgen(method)]
    pub fn close(this: &MessagePort);

    /// A `BroadcastChannel`.
    #[derive(Clone)]
    pub type BroadcastChannel;
    #[wasm_bindgen(constructor)]
    pub fn new(name: &str) -> BroadcastChannel;
    #[wasm_bindgen(method)]
    pub fn close(this: &BroadcastChannel);

    /// The platform's URL parser.
    pub type URL;
    #[wasm_bindgen(constructor, catch)]
    pub fn new(url: &str, base: &str) -> Result<URL, JsValue>;
    #[wasm_bindgen(method, getter)]
    pub fn href(this: &URL) -> String;

    /// `Headers`, which parses whatever `fetch` takes.
    pub type Headers;
    #[wasm_bindgen(constructor, catch)]
    pub fn new(init: &JsValue) -> Result<Headers, JsValue>;

    /// `Response`, which encodes every kind of body that `fetch` takes.
    pub type Response;
    #[wasm_bindgen(constructor, catch)]
    pub fn new(body: &JsValue) -> Result<Response, JsValue>;

    /// A `Request` or a `Response`: something with headers and a body to be read.
    pub type Readable;
    #[wasm_bindgen(method, getter)]
    pub fn headers(this: &Readable) -> Headers;
    #[wasm_bindgen(method, catch)]
    pub fn blob(this: &Readable) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = clone)]
    pub fn duplicate(this: &Readable) -> Result<Readable, JsValue>;

    /// Text as UTF-8.
    pub type TextEncoder;
    #[wasm_bindgen(constructor)]
    pub fn new() -> TextEncoder;
    /// A `Uint8Array` that is all of its buffer.
    #[wasm_bindgen(method)]
    pub fn encode(this: &TextEncoder, text: &js_sys::JsString) -> JsValue;

    /// An `ArrayBuffer`, which may be detached.
    pub type ArrayBuffer;
    #[wasm_bindgen(method, catch)]
    pub fn slice(this: &ArrayBuffer, from: f64, upto: f64) -> Result<JsValue, JsValue>;

    /// `Blob`.
    pub type Blob;
    #[wasm_bindgen(constructor, catch)]
    pub fn new(parts: &js_sys::Array) -> Result<Blob, JsValue>;
}

/// The name of the platform's class that `value` is of, in whatever window it was made; `Object` for those of the
/// app's own classes, `String`, `Number` and so on for primitive values.
pub fn class_of(value: &JsValue) -> String {
    let text = to_string(value).unwrap_or_default();
    text.strip_prefix("[object ").and_then(|rest| rest.strip_suffix(']')).unwrap_or_default().to_owned()
}

/// Calls a listener of the app; what it throws is its own affair and is reported.
#[cfg(feature = "javascript")]
pub fn call(listener: &Function, argument: &JsValue) {
    if let Err(thrown) = listener.call1(&JsValue::NULL, argument) {
        console_error("[shearwater] a listener threw:", &thrown);
    }
}

/// Calls a method by name and waits for its answer; an error where there is no such method.
pub async fn call_method(target: &JsValue, name: &'static str, arguments: &[JsValue]) -> Result<JsValue, JsValue> {
    let method: Function = get(target, name).dyn_into()?;
    let answer = method.apply(target, &arguments.iter().cloned().collect())?;
    wasm_bindgen_futures::JsFuture::from(Promise::resolve(&answer)).await
}
