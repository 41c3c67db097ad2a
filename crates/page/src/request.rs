//! Turns what `fetch` would take into what is queued: a head, and the body's bytes.

use js_sys::{Array, Function, JSON, Object};
use shearwater_core::{
    request::RequestHead,
    text::{Text, listed},
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{
    error::invalid,
    js::{self, Blob, Headers, Readable, Response, URL},
};

/// A body up to this many bytes travels and is stored as an `ArrayBuffer`; a `Blob` costs a file each.
const SMALL: f64 = 65_536.0;

const FIELDS: [&str; 10] =
    ["url", "method", "headers", "body", "credentials", "mode", "redirect", "referrerPolicy", "cache", "integrity"];

/// What was taken from a `Request` or `RequestInput`.
pub struct Taken {
    /// The head; the worker checks it.
    pub head: RequestHead,
    /// A `Blob`, an `ArrayBuffer`, or null.
    pub body: JsValue,
}

/// Reads a `Request` or a `RequestInput`.
///
/// # Errors
/// `invalid-request`: no URL, a header or body that `fetch` would not take, a body that was already read.
pub async fn take(input: &JsValue) -> Result<Taken, JsValue> {
    if js::is_a(input, "Request") {
        return take_request(input.unchecked_ref()).await;
    }
    if !input.is_object() {
        return Err(invalid("a request is a Request or an object {url, method, headers, body, …}"));
    }
    take_input(input).await
}

async fn take_request(request: &Readable) -> Result<Taken, JsValue> {
    if js::get(request, "bodyUsed").is_truthy() {
        return Err(invalid("the request's body was already read; queue request.clone() made before that"));
    }
    let mut head = options_of(request);
    head.url = text(request, "url").unwrap_or_default();
    head.method = text(request, "method").unwrap_or_default();
    head.headers = pairs(&request.headers());
    if !shearwater_core::request::takes_body(&head.method) {
        return Ok(Taken { head, body: JsValue::NULL });
    }
    // The caller may still want to fetch it.
    let blob = read_blob(&request.duplicate()?).await?;
    // Firefox has no `Request.body`, by which to tell no body from an empty one; to a server they are the same.
    let body = if blob.size() > 0.0 { small(blob).await? } else { JsValue::NULL };
    Ok(Taken { head, body })
}

async fn take_input(input: &JsValue) -> Result<Taken, JsValue> {
    for name in Object::keys(input.unchecked_ref::<Object>()).iter().filter_map(|name| name.as_string()) {
        if !FIELDS.contains(&name.as_str()) {
            return Err(invalid(["a request has no \"", &name, "\"; it has ", &listed(&FIELDS)].text()));
        }
    }
    let url = js::get(input, "url");
    let url = url.as_string().or_else(|| text(&url, "href")).ok_or_else(|| invalid("url is missing"))?;
    let base = text(&js::global("document"), "baseURI").or_else(|| text(&js::global("location"), "href")).unwrap_or_default();
    let mut head = options_of(input);
    head.url = URL::new(&url, &base).map_err(|_| invalid(["url \"", &url, "\" is not a URL"].text()))?.href();
    let headers = js::get(input, "headers");
    if !headers.is_undefined() && !headers.is_null() {
        head.headers = pairs(&Headers::new(&headers).map_err(|error| invalid(["headers: ", &js::message_of(&error)].text()))?);
    }
    let body = js::get(input, "body");
    let has_body = !body.is_undefined() && !body.is_null();
    let method = text(input, "method").unwrap_or_else(|| if has_body { "POST" } else { "GET" }.to_owned());
    let upper = method.to_ascii_uppercase();
    // As fetch does: these are normalised, others are sent as they are spelt.
    head.method = if ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"].contains(&upper.as_str()) { upper } else { method };
    if !has_body {
        return Ok(Taken { head, body: JsValue::NULL });
    }
    let (blob, kind) = encode(&body).await?;
    if let Some(kind) = kind.filter(|_| !head.headers.iter().any(|(name, _)| name == "content-type")) {
        head.headers.push(("content-type".to_owned(), kind));
    }
    Ok(Taken { head, body: small(blob).await? })
}

/// The bytes of a body, and the content type that `fetch` would give it.
async fn encode(body: &JsValue) -> Result<(Blob, Option<String>), JsValue> {
    if js::is_a(body, "Blob") {
        let blob: Blob = body.clone().unchecked_into();
        let kind = Some(blob.kind()).filter(|kind| !kind.is_empty());
        return Ok((blob, kind));
    }
    let json = is_plain(body);
    let body = if json {
        JSON::stringify(body).map_err(|error| invalid(["body: ", &js::message_of(&error)].text()))?.into()
    } else {
        body.clone()
    };
    let response: Readable =
        Response::new(&body).map_err(|error| invalid(["body: ", &js::message_of(&error)].text()))?.unchecked_into();
    let kind = if json { Some("application/json".to_owned()) } else { response.headers().get("content-type") };
    Ok((read_blob(&response).await?, kind))
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

async fn read_blob(readable: &Readable) -> Result<Blob, JsValue> {
    let promise = readable.blob().map_err(|error| invalid(["body: ", &js::message_of(&error)].text()))?;
    match JsFuture::from(promise).await {
        Ok(blob) => Ok(blob.unchecked_into()),
        Err(error) => {
            let advice = "the body cannot be read; a file that was changed or removed must be chosen again: ";
            Err(invalid([advice, &js::message_of(&error)].text()))
        }
    }
}

async fn small(blob: Blob) -> Result<JsValue, JsValue> {
    if blob.size() > SMALL {
        return Ok(blob.into());
    }
    JsFuture::from(blob.array_buffer()?)
        .await
        .map_err(|error| invalid(["the body cannot be read: ", &js::message_of(&error)].text()))
}

fn pairs(headers: &Headers) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    headers.for_each(&mut |value, name| pairs.push((name, value)));
    pairs
}

/// Fetch's options, those that are not its defaults.
fn options_of(source: &JsValue) -> RequestHead {
    let option = |name: &'static str, default: &str| text(source, name).filter(|value| !value.is_empty() && value != default);
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
