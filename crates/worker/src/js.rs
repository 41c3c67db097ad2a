//! All raw imports of the platform that `js-sys` does not have, in one place.

use js_sys::{Function, Object, Promise};
use wasm_bindgen::prelude::*;

pub use shearwater_bridge::{array, get, get2, global, message_of, name_of, number, set};

#[wasm_bindgen]
extern "C" {
    /// `setTimeout`.
    #[wasm_bindgen(js_name = setTimeout)]
    pub fn set_timeout(then: &Function, ms: i32) -> JsValue;
    /// `clearTimeout`.
    #[wasm_bindgen(js_name = clearTimeout)]
    pub fn clear_timeout(id: &JsValue);
    /// `fetch`.
    #[wasm_bindgen(catch)]
    pub fn fetch(url: &str, init: &Object) -> Result<Promise, JsValue>;

    /// A request, which the platform checks when it is made.
    pub type Request;
    #[wasm_bindgen(constructor, catch)]
    pub fn new(url: &str, init: &Object) -> Result<Request, JsValue>;
    /// `fetch` of a request that was made.
    #[wasm_bindgen(catch, js_name = fetch)]
    pub fn fetch_request(request: &Request) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn fill_random(bytes: &mut [u8]);
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn fill_random_array(bytes: &js_sys::Uint8Array);
    /// `console.error`.
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    pub fn console_error(prefix: &str, text: &str);
    /// `console.info`.
    #[wasm_bindgen(js_namespace = console, js_name = info)]
    pub fn console_info(prefix: &str, text: &str);

    /// The platform's URL parser.
    pub type URL;
    #[wasm_bindgen(constructor, catch)]
    pub fn new(url: &str) -> Result<URL, JsValue>;
    #[wasm_bindgen(constructor, catch, js_class = URL)]
    pub fn relative(url: &str, base: &str) -> Result<URL, JsValue>;
    #[wasm_bindgen(method, getter)]
    pub fn href(this: &URL) -> String;
    #[wasm_bindgen(method, getter)]
    pub fn origin(this: &URL) -> String;
    #[wasm_bindgen(method, getter)]
    pub fn username(this: &URL) -> String;
    #[wasm_bindgen(method, getter)]
    pub fn password(this: &URL) -> String;

    /// A query or a form as text.
    pub type URLSearchParams;
    #[wasm_bindgen(constructor, catch)]
    pub fn new(pairs: &js_sys::Array) -> Result<URLSearchParams, JsValue>;
    #[wasm_bindgen(method, js_name = toString)]
    pub fn text(this: &URLSearchParams) -> String;

    /// `AbortController`.
    pub type AbortController;
    #[wasm_bindgen(constructor)]
    pub fn new() -> AbortController;
    #[wasm_bindgen(method)]
    pub fn abort(this: &AbortController);
    #[wasm_bindgen(method, getter)]
    pub fn signal(this: &AbortController) -> JsValue;

    /// A `Blob`.
    pub type Blob;
    #[wasm_bindgen(constructor, catch)]
    pub fn new(parts: &js_sys::Array) -> Result<Blob, JsValue>;
    #[wasm_bindgen(method, getter)]
    pub fn size(this: &Blob) -> f64;
    #[wasm_bindgen(method, catch)]
    pub fn slice(this: &Blob, from: f64) -> Result<Blob, JsValue>;
    #[wasm_bindgen(method, catch, js_name = slice)]
    pub fn slice_between(this: &Blob, from: f64, end: f64) -> Result<Blob, JsValue>;

    /// Bytes as text; what is no UTF-8 is replaced.
    pub type TextDecoder;
    #[wasm_bindgen(constructor)]
    pub fn new() -> TextDecoder;
    #[wasm_bindgen(method)]
    pub fn decode(this: &TextDecoder, bytes: &js_sys::Uint8Array) -> String;

    /// The reader of a body's stream.
    pub type Reader;
    #[wasm_bindgen(method, catch)]
    pub fn read(this: &Reader) -> Result<Promise, JsValue>;
    /// A body's stream.
    pub type ReadableStream;
    #[wasm_bindgen(method, catch, js_name = getReader)]
    pub fn reader(this: &ReadableStream) -> Result<Reader, JsValue>;

    /// A `Response`: fetched, or around a body to be read.
    pub type Response;
    #[wasm_bindgen(constructor, catch)]
    pub fn new(body: &JsValue) -> Result<Response, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub fn blob(this: &Response) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, getter)]
    pub fn status(this: &Response) -> u16;
    #[wasm_bindgen(method, getter, js_name = type)]
    pub fn kind(this: &Response) -> String;
    #[wasm_bindgen(method, getter)]
    pub fn headers(this: &Response) -> Headers;
    #[wasm_bindgen(method, getter)]
    pub fn redirected(this: &Response) -> bool;
    #[wasm_bindgen(method, catch, js_name = arrayBuffer)]
    pub fn array_buffer(this: &Response) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, getter)]
    pub fn body(this: &Response) -> JsValue;

    /// `Headers`, which parses whatever `fetch` takes.
    pub type Headers;
    #[wasm_bindgen(constructor, catch)]
    pub fn new(init: &JsValue) -> Result<Headers, JsValue>;
    #[wasm_bindgen(method)]
    pub fn get(this: &Headers, name: &str) -> Option<String>;
    #[wasm_bindgen(method, js_name = forEach)]
    pub fn for_each(this: &Headers, visit: &mut dyn FnMut(String, String));

    /// A `BroadcastChannel`.
    pub type BroadcastChannel;
    #[wasm_bindgen(constructor, catch)]
    pub fn new(name: &str) -> Result<BroadcastChannel, JsValue>;
    #[wasm_bindgen(method, catch, js_name = postMessage)]
    pub fn post(this: &BroadcastChannel, message: &JsValue) -> Result<(), JsValue>;

    /// `navigator.locks`.
    pub type LockManager;
    #[wasm_bindgen(method, catch)]
    pub fn request(this: &LockManager, name: &str, granted: &Function) -> Result<Promise, JsValue>;
}

/// An array of `length` random bytes.
pub fn random_array(length: u32) -> JsValue {
    /// What `getRandomValues` fills at once (Web Cryptography §10.1.1).
    const MOST: u32 = 65_536;
    let bytes = js_sys::Uint8Array::new_with_length(length);
    let mut from = 0;
    while from < length {
        let upto = length.min(from + MOST);
        fill_random_array(&bytes.subarray(from, upto));
        from = upto;
    }
    bytes.into()
}

/// Sixteen random bytes.
pub fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    fill_random(&mut bytes);
    bytes
}

impl Headers {
    /// Names and values.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        self.for_each(&mut |value, name| pairs.push((name, value)));
        pairs
    }
}
