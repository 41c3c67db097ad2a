//! Turns what `fetch` would take into what is queued: a head, and the body's bytes.

use js_sys::{Array, Function, JSON, JsString, Object, Promise};
use shearwater_core::{
    request::RequestHead,
    text::{Text, listed},
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{
    error::invalid,
    form,
    js::{self, Blob, Headers, Readable, Response, URL},
};

/// A body up to this many bytes travels and is stored as an `ArrayBuffer`; a `Blob` costs a file each.
const SMALL: f64 = 65_536.0;

const FIELDS: [&str; 10] =
    ["url", "method", "headers", "body", "credentials", "mode", "redirect", "referrerPolicy", "cache", "integrity"];

/// What was taken from a `Request` or `RequestInput` when the call was made.
pub struct Taken {
    /// The head; the worker checks it.
    pub head: RequestHead,
    /// The body.
    pub body: Body,
}

/// A body. What can be read at once is, so that the caller may go on to change it, and none waits for another.
pub enum Body {
    /// A `Blob`, an `ArrayBuffer`, or null.
    Here(JsValue),
    /// The platform reads it: a promise of a `Blob` or an `ArrayBuffer`.
    Coming(Promise),
    /// As `Coming`, of a `Request`. Firefox has no `Request.body` by which to tell no body from an empty one; to
    /// a server they are the same.
    OfRequest(Promise),
}

impl Body {
    /// A `Blob`, an `ArrayBuffer`, or null.
    ///
    /// # Errors
    /// `invalid-request` when the platform cannot read it.
    pub async fn arrive(self) -> Result<JsValue, JsValue> {
        let (mut coming, or_none) = match self {
            Self::Here(body) => return Ok(body),
            Self::Coming(promise) => (promise, false),
            Self::OfRequest(promise) => (promise, true),
        };
        loop {
            let bytes = JsFuture::from(coming).await.map_err(|error| {
                let advice = "the body cannot be read; a file that was changed or removed must be chosen again: ";
                invalid([advice, &js::message_of(&error)].text())
            })?;
            if !js::is_a(&bytes, "Blob") {
                return Ok(bytes);
            }
            let blob: Blob = bytes.unchecked_into();
            if or_none && blob.size() == 0.0 {
                return Ok(JsValue::NULL);
            }
            match small(blob)? {
                Self::Coming(promise) | Self::OfRequest(promise) => coming = promise,
                Self::Here(body) => return Ok(body),
            }
        }
    }
}

/// Reads a `Request` or a `RequestInput`.
///
/// # Errors
/// `invalid-request`: no URL, a header or body that `fetch` would not take, a body that was already read.
pub fn take(input: &JsValue) -> Result<Taken, JsValue> {
    if js::is_a(input, "Request") {
        return take_request(input.unchecked_ref());
    }
    let mut taken = take_input(input, false)?;
    if taken.head.url.is_empty() {
        return Err(invalid("url is missing"));
    }
    if taken.head.method.is_empty() {
        let has_body = !matches!(&taken.body, Body::Here(body) if body.is_null());
        taken.head.method = if has_body { "POST" } else { "GET" }.to_owned();
    }
    Ok(taken)
}

/// Reads a change of a stored request: an empty URL or method, an option that is not there, stay as they
/// are. Also answers whether headers are given, and whether a body is.
///
/// # Errors
/// As [`take`].
pub fn take_change(input: &JsValue) -> Result<(Taken, bool, bool), JsValue> {
    if js::is_a(input, "Request") {
        let mut taken = take_request(input.unchecked_ref())?;
        taken.head = RequestHead {
            headers: taken.head.headers,
            method: taken.head.method,
            url: taken.head.url,
            ..options_of(input, true)
        };
        return Ok((taken, true, true));
    }
    let given = |name: &'static str| !js::get(input, name).is_undefined();
    Ok((take_input(input, true)?, given("headers"), given("body")))
}

fn take_request(request: &Readable) -> Result<Taken, JsValue> {
    if js::get(request, "bodyUsed").is_truthy() {
        return Err(invalid("the request's body was already read; queue request.clone() made before that"));
    }
    let mut head = options_of(request, false);
    head.url = text(request, "url").unwrap_or_default();
    head.method = text(request, "method").unwrap_or_default();
    head.headers = pairs(&request.headers());
    let body = if shearwater_core::request::takes_body(&head.method) {
        // The caller may still want to fetch it.
        Body::OfRequest(read(&request.duplicate()?)?)
    } else {
        Body::Here(JsValue::NULL)
    };
    Ok(Taken { head, body })
}

fn take_input(input: &JsValue, is_change: bool) -> Result<Taken, JsValue> {
    if !input.is_object() {
        return Err(invalid("a request is a Request or an object {url, method, headers, body, …}"));
    }
    for name in Object::keys(input.unchecked_ref::<Object>()).iter().filter_map(|name| name.as_string()) {
        if !FIELDS.contains(&name.as_str()) {
            return Err(invalid(["a request has no \"", &name, "\"; it has ", &listed(&FIELDS)].text()));
        }
    }
    let mut head = options_of(input, is_change);
    let url = js::get(input, "url");
    if let Some(url) = url.as_string().or_else(|| text(&url, "href")) {
        let base = text(&js::global("document"), "baseURI").or_else(|| text(&js::global("location"), "href")).unwrap_or_default();
        head.url = URL::new(&url, &base).map_err(|_| invalid(["url \"", &url, "\" is not a URL"].text()))?.href();
    }
    let method = text(input, "method").unwrap_or_default();
    let upper = method.to_ascii_uppercase();
    // As fetch does: these are normalised, others are sent as they are spelt.
    head.method = if ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"].contains(&upper.as_str()) { upper } else { method };
    let headers = js::get(input, "headers");
    if !headers.is_undefined() && !headers.is_null() {
        head.headers = pairs(&Headers::new(&headers).map_err(|error| refused("headers", &error))?);
    }
    let body = js::get(input, "body");
    if body.is_undefined() || body.is_null() {
        return Ok(Taken { head, body: Body::Here(JsValue::NULL) });
    }
    let (body, kind) = encode(&body).map_err(|error| refused("body", &error))?;
    if let Some(kind) = kind.filter(|_| !head.headers.iter().any(|(name, _)| name == "content-type")) {
        head.headers.push(("content-type".to_owned(), kind));
    }
    Ok(Taken { head, body })
}

/// The bytes of a body, and the content type that `fetch` would give it (Fetch §5.2, "extract a body").
fn encode(body: &JsValue) -> Result<(Body, Option<String>), JsValue> {
    if let Some(text) = body.dyn_ref::<JsString>() {
        return Ok((bytes(js::TextEncoder::new().encode(text))?, Some("text/plain;charset=UTF-8".to_owned())));
    }
    if is_plain(body) {
        let text = JSON::stringify(body)?;
        return Ok((bytes(js::TextEncoder::new().encode(&text))?, Some("application/json".to_owned())));
    }
    if js::is_a(body, "Blob") {
        let blob: Blob = body.clone().unchecked_into();
        let kind = Some(blob.kind()).filter(|kind| !kind.is_empty());
        return Ok((small(blob)?, kind));
    }
    if js::is_a(body, "ArrayBuffer") {
        // A copy: the caller may change it.
        return Ok((bytes(body.unchecked_ref::<js::ArrayBuffer>().slice()?)?, None));
    }
    if js::is_a(body, "FormData") {
        let (promise, kind) = form::encode(body.unchecked_ref())?;
        return Ok((Body::Coming(promise), kind));
    }
    // Everything else, by the platform: streams, views, search parameters.
    let response: Readable = Response::new(body)?.unchecked_into();
    let kind = response.headers().get("content-type");
    Ok((Body::Coming(read(&response)?), kind))
}

/// Whether a body is a plain object or array, to be sent as JSON.
fn is_plain(body: &JsValue) -> bool {
    if !body.is_object() {
        return false;
    }
    if Array::is_array(body) {
        return true;
    }
    let prototype: JsValue = Object::get_prototype_of(body).into();
    prototype.is_null() || js::get(&prototype, "constructor") == js::global("Object")
}

/// Bytes that nobody else holds, an `ArrayBuffer` or all of one.
fn bytes(bytes: JsValue) -> Result<Body, JsValue> {
    if js::get(&bytes, "byteLength").as_f64().unwrap_or_default() > SMALL {
        return Ok(Body::Here(Blob::new(&Array::of1(&bytes))?.into()));
    }
    let buffer = js::get(&bytes, "buffer");
    Ok(Body::Here(if buffer.is_undefined() { bytes } else { buffer }))
}

fn small(blob: Blob) -> Result<Body, JsValue> {
    if blob.size() > SMALL {
        return Ok(Body::Here(blob.into()));
    }
    blob.array_buffer().map(Body::Coming)
}

fn read(readable: &Readable) -> Result<Promise, JsValue> {
    readable.blob().map_err(|error| refused("body", &error))
}

fn refused(part: &str, error: &JsValue) -> JsValue {
    invalid([part, ": ", &js::message_of(error)].text())
}

fn pairs(headers: &Headers) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    headers.for_each(&mut |value, name| pairs.push((name, value)));
    pairs
}

/// Fetch's options: those that are not its defaults, or all that are there.
fn options_of(source: &JsValue, all: bool) -> RequestHead {
    let option =
        |name: &'static str, default: &str| text(source, name).filter(|value| all || (!value.is_empty() && value != default));
    RequestHead {
        credentials: option("credentials", "same-origin"),
        mode: option("mode", "cors"),
        redirect: option("redirect", "follow"),
        referrer_policy: option("referrerPolicy", ""),
        cache: option("cache", "default"),
        integrity: option("integrity", ""),
        ..RequestHead::default()
    }
}

fn text(object: &JsValue, name: &'static str) -> Option<String> {
    js::get(object, name).as_string()
}

/// JSON text of the app's own data; `None` for none.
///
/// # Errors
/// `invalid-request` when it cannot be written as JSON.
pub fn metadata(value: &JsValue) -> Result<Option<String>, JsValue> {
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    if value.is_instance_of::<Function>() {
        return Err(invalid("metadata is JSON"));
    }
    JSON::stringify(value).map(|text| text.as_string()).map_err(|error| invalid(["metadata: ", &js::message_of(&error)].text()))
}
