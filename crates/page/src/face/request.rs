//! Turns what `fetch` would take into what is queued: a head, and the body's bytes.
//!
//! All but the body of a `Request` and a stream is taken within the call, so that the caller may change it
//! afterwards, and a page that is going can still hand it over. Values are known by their class's name, not by
//! `instanceof`: those of a frame are as good as the page's own.

use std::cell::RefCell;

use js_sys::{Array, ArrayBuffer, JSON, JsString, Object, Promise, Reflect};
use shearwater_core::{
    queue::request::RequestHead,
    wire::text::{Text, listed},
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, Request, Response};

use super::{form, invalid, thrown};
use crate::{
    js::{
        self,
        externs::{MaybeDetached, TextEncoder, text_of},
        http::pairs,
    },
    request::{absolute, bytes_as_js, normal_method},
};

const FIELDS: [&str; 11] =
    ["url", "method", "headers", "body", "credentials", "mode", "redirect", "referrerPolicy", "cache", "integrity", "signal"];

/// What a call of `fetch` may have besides, and what means nothing to a queue.
const IGNORED: [&str; 5] = ["attributionReporting", "duplex", "keepalive", "priority", "window"];

/// What was taken from a `Request` or `RequestInput` when the call was made.
pub struct Taken {
    /// The head; the worker checks it.
    pub head: RequestHead,
    /// The body.
    pub body: Body,
    /// The `AbortSignal`, where there is one.
    pub signal: JsValue,
}

/// A body.
pub enum Body {
    /// A `Blob`, an `ArrayBuffer`, a form's parts, or null.
    Here(JsValue),
    /// The platform reads it: a promise of a `Blob`.
    Coming(Promise),
    /// As `Coming`, of a `Request`. Firefox has no `Request.body` by which to tell no body from an empty one; to
    /// a server they are the same.
    OfRequest(Promise),
}

impl Body {
    /// A `Blob`, an `ArrayBuffer`, a form's parts, or null.
    ///
    /// # Errors
    /// `invalid-request` when the platform cannot read it.
    pub async fn arrive(self) -> Result<JsValue, JsValue> {
        let (coming, or_none) = match self {
            Self::Here(body) => return Ok(body),
            Self::Coming(promise) => (promise, false),
            Self::OfRequest(promise) => (promise, true),
        };
        let blob = JsFuture::from(coming).await.map_err(|error| {
            // Only WebKit, of a form with files; it says so in no other way.
            if or_none && js::get(&error, "name").as_string().as_deref() == Some("InvalidStateError") {
                return invalid(
                    "WebKit reads no Request whose body is a form with files; queue {url, method, body: form} instead",
                );
            }
            let advice = "the body cannot be read; a file that was changed or removed must be chosen again: ";
            invalid([advice, &js::message_of(&error)].text())
        })?;
        let is_none = or_none && js::get(&blob, "size").as_f64() == Some(0.0);
        Ok(if is_none { JsValue::NULL } else { blob })
    }
}

/// Reads a `Request` or a `RequestInput`.
///
/// # Errors
/// `invalid-request`: no URL, a header or body that `fetch` would not take, a body that was already read.
pub fn take(input: &JsValue) -> Result<Taken, JsValue> {
    if is_request(input) {
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
    if is_request(input) {
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

fn is_request(input: &JsValue) -> bool {
    js::class_of(input) == "Request"
}

fn take_request(request: &Request) -> Result<Taken, JsValue> {
    if request.body_used() {
        return Err(invalid("the request's body was already read; queue request.clone() made before that"));
    }
    let mut head = options_of(request, false);
    head.url = request.url();
    head.method = request.method();
    head.headers = pairs(&request.headers());
    let body = if shearwater_core::queue::request::takes_body(&head.method) {
        // The caller may still want to fetch it.
        Body::OfRequest(reading(request.clone()?.blob())?)
    } else {
        Body::Here(JsValue::NULL)
    };
    Ok(Taken { head, body, signal: request.signal().into() })
}

fn take_input(input: &JsValue, is_change: bool) -> Result<Taken, JsValue> {
    if !input.is_object() {
        return Err(invalid("a request is a Request or an object {url, method, headers, body, …}"));
    }
    check_names("a request", input, &FIELDS, &IGNORED)?;
    let signal = js::get(input, "signal");
    if signal.is_truthy() && js::class_of(&signal) != "AbortSignal" {
        return Err(invalid("signal is not an AbortSignal"));
    }
    for name in ["method", "credentials", "mode", "redirect", "referrerPolicy", "cache", "integrity"] {
        let value = js::get(input, name);
        if !value.is_undefined() && !value.is_null() && !value.is_string() {
            return Err(invalid([name, " is not a string"].text()));
        }
    }
    let mut head = options_of(input, is_change);
    let url = js::get(input, "url");
    if let Some(url) = url.as_string().or_else(|| text(&url, "href")) {
        head.url = absolute(&url).map_err(thrown)?;
    }
    head.method = text(input, "method").map(|method| normal_method(&method)).unwrap_or_default();
    let headers = js::get(input, "headers");
    if !headers.is_undefined() && !headers.is_null() {
        head.headers = pairs(
            &Headers::new_with_record_from_str_to_str(headers.unchecked_ref()).map_err(|error| refused("headers", &error))?,
        );
    }
    let body = js::get(input, "body");
    if body.is_undefined() || body.is_null() {
        return Ok(Taken { head, body: Body::Here(JsValue::NULL), signal });
    }
    let (body, kind) = encode(&body)?;
    if let Some(kind) = kind.filter(|_| !head.headers.iter().any(|(name, _)| name == "content-type")) {
        head.headers.push(("content-type".to_owned(), kind));
    }
    Ok(Taken { head, body, signal })
}

/// Refuses an object with a member of another name than `known`; of `ignored`, the console is told.
pub fn check_names(what: &'static str, object: &JsValue, known: &[&str], ignored: &[&str]) -> Result<(), JsValue> {
    thread_local! {
        /// What the console was told already: once a page is enough.
        static TOLD: RefCell<Vec<String>> = RefCell::default();
    }
    for name in Object::keys(object.unchecked_ref::<Object>()).iter().filter_map(|name| name.as_string()) {
        if known.contains(&name.as_str()) {
            continue;
        }
        if !ignored.contains(&name.as_str()) {
            let elsewhere =
                if ignored.is_empty() { "" } else { "; queue, key, metadata and other options of a job are the second argument" };
            return Err(invalid([what, " has no \"", &name, "\"; it has ", &listed(known), elsewhere].text()));
        }
        TOLD.with_borrow_mut(|told| {
            if !told.contains(&name) {
                js::console::info(&["fetch's option \"", &name, "\" means nothing to a queue and is ignored"].text());
                told.push(name);
            }
        });
    }
    Ok(())
}

/// The bytes of a body, and the content type that `fetch` would give it (Fetch §5.2, "extract a body").
fn encode(body: &JsValue) -> Result<(Body, Option<String>), JsValue> {
    let class = js::class_of(body);
    let unfit = |error: JsValue| refused("body", &error);
    // What is copied is copied now: the caller may change it.
    let (text, kind) = match class.as_str() {
        "String" | "Number" | "Boolean" | "BigInt" => (text_of(body).map_err(unfit)?, "text/plain;charset=UTF-8"),
        "URLSearchParams" => (text_of(body).map_err(unfit)?, "application/x-www-form-urlencoded;charset=UTF-8"),
        "Blob" | "File" => return Ok((Body::Here(body.clone()), text(body, "type").filter(|kind| !kind.is_empty()))),
        "FormData" => {
            let (parts, kind) = form::encode(body);
            return Ok((Body::Here(parts.into()), Some(kind)));
        }
        "ArrayBuffer" => {
            return Ok((bytes(body.unchecked_ref::<MaybeDetached>().slice(0.0, f64::INFINITY).map_err(unfit)?)?, None));
        }
        "ReadableStream" => {
            let response = Response::new_with_opt_readable_stream(Some(body.unchecked_ref())).map_err(unfit)?;
            return Ok((Body::Coming(reading(response.blob())?), None));
        }
        _ if ArrayBuffer::is_view(body) => {
            let number = |name| js::get(body, name).as_f64().unwrap_or_default();
            let (from, length) = (number("byteOffset"), number("byteLength"));
            let buffer: MaybeDetached = js::get(body, "buffer").unchecked_into();
            return Ok((bytes(buffer.slice(from, from + length).map_err(unfit)?)?, None));
        }
        _ => (json("body", body)?, "application/json"),
    };
    Ok((bytes(TextEncoder::new().encode(&text).into())?, Some(kind.to_owned())))
}
fn bytes(bytes: JsValue) -> Result<Body, JsValue> {
    bytes_as_js(&bytes).map(Body::Here)
}

fn reading(blob: Result<Promise, JsValue>) -> Result<Promise, JsValue> {
    blob.map_err(|error| refused("body", &error))
}

fn refused(part: &str, error: &JsValue) -> JsValue {
    invalid([part, ": ", &js::message_of(error)].text())
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
    json("metadata", value).map(|text| text.as_string())
}

/// A value as JSON: one that is plain data, of whatever window, or says by `toJSON` what it is as data.
fn json(what: &str, value: &JsValue) -> Result<JsString, JsValue> {
    let advice =
        " is no data; await a Promise, make a plain object or an array of a Map or a Set, give a class a toJSON() method";
    let unfit = |name: &str| invalid([what, ": a value of type ", name, advice].text());
    let is_object = value.is_object() || value.is_function();
    if is_object && !Array::is_array(value) && !js::get(value, "toJSON").is_function() && !is_plain(value) {
        let name = text(&js::get(value, "constructor"), "name").unwrap_or_else(|| js::class_of(value));
        return Err(unfit(&name));
    }
    let text = JSON::stringify(value).map_err(|error| refused(what, &error))?;
    // Of what it cannot write, a symbol say, `JSON.stringify` makes undefined.
    if text.is_string() { Ok(text) } else { Err(unfit(&js::class_of(value))) }
}

/// Whether an object is plain data: its prototype is null, or that of all objects, which alone has none.
fn is_plain(value: &JsValue) -> bool {
    let prototype = |value: &JsValue| Reflect::get_prototype_of(value).map(JsValue::from);
    prototype(value).is_ok_and(|first| first.is_null() || prototype(&first).is_ok_and(|second| second.is_null()))
}
