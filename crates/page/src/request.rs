//! What a Rust page queues: requests, and changes of stored ones.

use js_sys::{Array, Uint8Array};
use shearwater_core::{
    Error, JobId, Millis,
    protocol::Edit,
    queue::{
        binding::{NewBinding, pointer::Pointer},
        enqueue::{EnqueueOptions, NewJob, OnDuplicate, Priority},
        request::RequestHead,
    },
    wire::text::Text,
};
use wasm_bindgen::prelude::*;
use web_sys::{Blob, Url};

use crate::js;

/// Bytes up to this many travel as an `ArrayBuffer`, more as a `Blob`, which is not copied when a message is repeated.
pub(crate) const SMALL: f64 = 65_536.0;

/// A request to be queued, and how. What `fetch` would refuse without asking the network is refused when it is enqueued.
#[derive(Clone, Debug)]
pub struct NewRequest {
    head: RequestHead,
    body: Option<Body>,
    options: EnqueueOptions,
    metadata: Option<String>,
}

impl NewRequest {
    /// A request by any method; the URL is absolute, or relative to the page.
    #[must_use]
    pub fn new(method: &str, url: &str) -> Self {
        let head = RequestHead { url: url.to_owned(), method: normal_method(method), ..RequestHead::default() };
        Self { head, body: None, options: EnqueueOptions::default(), metadata: None }
    }

    /// A `GET`.
    #[must_use]
    pub fn get(url: &str) -> Self {
        Self::new("GET", url)
    }

    /// A `POST`.
    #[must_use]
    pub fn post(url: &str) -> Self {
        Self::new("POST", url)
    }

    /// A `PUT`.
    #[must_use]
    pub fn put(url: &str) -> Self {
        Self::new("PUT", url)
    }

    /// A `PATCH`.
    #[must_use]
    pub fn patch(url: &str) -> Self {
        Self::new("PATCH", url)
    }

    /// A `DELETE`.
    #[must_use]
    pub fn delete(url: &str) -> Self {
        Self::new("DELETE", url)
    }

    /// Sends this header, too. `Authorization`, `Cookie` and CSRF headers are taken off and never stored: see the worker's
    /// `auth` hook.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.headers.push(header(name, value));
        self
    }

    /// Sends this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends a value as JSON.
    ///
    /// # Errors
    /// `invalid-request` when it cannot be written as JSON.
    #[cfg(feature = "serde")]
    pub fn json(self, value: &impl serde::Serialize) -> Result<Self, Error> {
        Ok(self.body(Body::json(value)?))
    }

    /// Sends it as these options of `fetch` say.
    #[must_use]
    pub fn fetch_options(mut self, options: FetchOptions) -> Self {
        options.apply(&mut self.head);
        self
    }

    /// The queue. Default: `default`.
    #[must_use]
    pub fn queue(mut self, queue: &str) -> Self {
        self.options.queue = Some(queue.to_owned());
        self
    }

    /// Jobs of one key are delivered one at a time, in the order they were queued.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.options.key = Some(key.to_owned());
        self
    }

    /// How urgent it is. Default: 5.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options.priority = Some(priority);
        self
    }

    /// The app's own data as JSON text, kept with the job and shown with it; 16 KiB at most.
    #[must_use]
    pub fn metadata_text(mut self, json: impl Into<String>) -> Self {
        self.metadata = Some(json.into());
        self
    }

    /// The app's own data, kept with the job as JSON and shown with it; 16 KiB at most.
    ///
    /// # Errors
    /// `invalid-request` when it cannot be written as JSON.
    #[cfg(feature = "serde")]
    pub fn metadata(self, value: &impl serde::Serialize) -> Result<Self, Error> {
        Ok(self.metadata_text(to_json("metadata", value)?))
    }

    /// Do not send it before this instant.
    #[must_use]
    pub fn not_before(mut self, at: Millis) -> Self {
        self.options.not_before = Some(at);
        self
    }

    /// Milliseconds after which it has failed, with reason `expired`, unless it was delivered. Default: 7 days.
    #[must_use]
    pub fn max_age(mut self, ms: u64) -> Self {
        self.options.max_age = Some(ms);
        self
    }

    /// Attempts that the server answers before it has failed. Default: 5.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.options.max_attempts = Some(attempts);
        self
    }

    /// What becomes of it where a job of its key waits already. Default: it is queued behind it.
    #[must_use]
    pub fn on_duplicate(mut self, on_duplicate: OnDuplicate) -> Self {
        self.options.on_duplicate = Some(on_duplicate);
        self
    }

    /// Sends it with a value of an earlier job's response: where `{name}` stands in the URL, a header or the JSON body. The
    /// pointer (RFC 6901) says where in the response it is, such as `/id`. It waits until that job is delivered.
    ///
    /// # Errors
    /// `invalid-request` for what is no pointer.
    pub fn bind(mut self, name: &str, job: JobId, pointer: &str) -> Result<Self, Error> {
        self.options.bind.push(NewBinding { name: name.to_owned(), job, pointer: Some(parse_pointer(pointer)?) });
        Ok(self)
    }

    /// Keeps the value at this pointer (RFC 6901) of its response, for jobs that are bound to it after it was delivered.
    ///
    /// # Errors
    /// `invalid-request` for what is no pointer.
    pub fn capture(mut self, pointer: &str) -> Result<Self, Error> {
        self.options.capture.push(parse_pointer(pointer)?);
        Ok(self)
    }

    /// The job, and its body as it travels.
    pub(crate) fn into_job(mut self, id: JobId) -> Result<(NewJob, JsValue), Error> {
        self.head.url = absolute(&self.head.url)?;
        let body = self.body.map_or(Ok(JsValue::NULL), |body| body.travel(&mut self.head))?;
        Ok((NewJob { id, request: self.head, options: self.options, metadata: self.metadata }, body))
    }
}

fn parse_pointer(text: &str) -> Result<Pointer, Error> {
    let advice = " is no JSON pointer (RFC 6901) such as \"/id\"";
    Pointer::parse(text).ok_or_else(|| Error::invalid_request([text, advice].text()))
}

/// A change of a stored request: what is not named stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    head: RequestHead,
    headers: bool,
    /// Some: there is a new body, or none any more.
    body: Option<Option<Body>>,
}

impl Change {
    /// No change.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another URL, absolute or relative to the page.
    #[must_use]
    pub fn url(mut self, url: &str) -> Self {
        url.clone_into(&mut self.head.url);
        self
    }

    /// Another method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.head.method = normal_method(method);
        self
    }

    /// A header, in place of the one of this name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.headers.push(header(name, value));
        self
    }

    /// Keeps none of the stored headers.
    #[must_use]
    pub fn replace_headers(mut self) -> Self {
        self.headers = true;
        self
    }

    /// Another body, with its content type unless [`Change::header`] gives one.
    #[must_use]
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = Some(Some(body.into()));
        self
    }

    /// No body any more.
    #[must_use]
    pub fn no_body(mut self) -> Self {
        self.body = Some(None);
        self
    }

    /// Other options of `fetch`.
    #[must_use]
    pub fn fetch_options(mut self, options: FetchOptions) -> Self {
        options.apply(&mut self.head);
        self
    }

    /// The change as it travels, and the new body.
    pub(crate) fn into_edit(mut self, id: JobId) -> Result<(Edit, JsValue), Error> {
        if !self.head.url.is_empty() {
            self.head.url = absolute(&self.head.url)?;
        }
        let is_new = self.body.is_some();
        let body = self.body.flatten().map_or(Ok(JsValue::NULL), |body| body.travel(&mut self.head))?;
        Ok((Edit { id, request: self.head, headers: self.headers, body: is_new }, body))
    }
}

/// How `fetch` is to send a request; none for its own defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchOptions {
    /// `omit`, `same-origin` or `include`.
    pub credentials: Option<String>,
    /// `cors`, `no-cors` or `same-origin`.
    pub mode: Option<String>,
    /// `follow`, `error` or `manual`.
    pub redirect: Option<String>,
    /// A referrer policy.
    pub referrer_policy: Option<String>,
    /// `default`, `no-store`, `reload`, `no-cache` or `force-cache`.
    pub cache: Option<String>,
    /// Digests of the response to expect.
    pub integrity: Option<String>,
}

impl FetchOptions {
    fn apply(self, head: &mut RequestHead) {
        let Self { credentials, mode, redirect, referrer_policy, cache, integrity } = self;
        head.change(
            RequestHead { credentials, mode, redirect, referrer_policy, cache, integrity, ..RequestHead::default() },
            false,
        );
    }
}

/// A request's body, and the content type that it has unless a header says another.
#[derive(Clone, Debug)]
pub struct Body {
    bytes: Bytes,
    kind: Option<String>,
}

#[derive(Clone, Debug)]
enum Bytes {
    Owned(Vec<u8>),
    Blob(Blob),
}

impl Body {
    /// What is JSON text already.
    #[must_use]
    pub fn json_text(json: impl Into<String>) -> Self {
        Self { bytes: Bytes::Owned(json.into().into_bytes()), kind: Some("application/json".to_owned()) }
    }

    /// A value as JSON.
    ///
    /// # Errors
    /// `invalid-request` when it cannot be written as JSON.
    #[cfg(feature = "serde")]
    pub fn json(value: &impl serde::Serialize) -> Result<Self, Error> {
        to_json("body", value).map(Self::json_text)
    }

    /// A `Blob`, an `ArrayBuffer`; its content type becomes a header where there is none.
    fn travel(self, head: &mut RequestHead) -> Result<JsValue, Error> {
        if let Some(kind) = self.kind.filter(|_| !head.headers.iter().any(|(name, _)| name == "content-type")) {
            head.headers.push(("content-type".to_owned(), kind));
        }
        match self.bytes {
            Bytes::Blob(blob) => Ok(blob.into()),
            Bytes::Owned(bytes) => bytes_as_js(&Uint8Array::from(bytes.as_slice()))
                .map_err(|error| Error::invalid_request(["body: ", &js::message_of(&error)].text())),
        }
    }
}

impl From<String> for Body {
    /// Text as UTF-8, `text/plain`.
    fn from(text: String) -> Self {
        Self { bytes: Bytes::Owned(text.into_bytes()), kind: Some("text/plain;charset=UTF-8".to_owned()) }
    }
}

impl From<&str> for Body {
    /// Text as UTF-8, `text/plain`.
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Vec<u8>> for Body {
    /// Bytes, without a content type.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: Bytes::Owned(bytes), kind: None }
    }
}

impl From<web_sys::Blob> for Body {
    /// A `Blob` or a `File` by reference, with its own content type. The worker reads it when it is stored.
    fn from(blob: web_sys::Blob) -> Self {
        let kind = js::get(&blob, "type").as_string().filter(|kind| !kind.is_empty());
        Self { bytes: Bytes::Blob(blob), kind }
    }
}

/// An absolute URL, as the platform's parser spells it.
pub(crate) fn absolute(url: &str) -> Result<String, Error> {
    let href = |global| js::get(&js::global(global), if global == "document" { "baseURI" } else { "href" }).as_string();
    let base = href("document").or_else(|| href("location")).unwrap_or_default();
    match Url::new_with_base(url, &base) {
        Ok(url) => Ok(url.href()),
        Err(_) => Err(Error::invalid_request(["url \"", url, "\" is not a URL"].text())),
    }
}

/// A method as `fetch` has it: these are normalised, others are sent as they are spelt.
pub(crate) fn normal_method(method: &str) -> String {
    let upper = method.to_ascii_uppercase();
    if ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"].contains(&upper.as_str()) { upper } else { method.to_owned() }
}

/// Bytes that nobody else holds, an `ArrayBuffer` or a view of all of one, as they travel.
///
/// # Errors
/// That the platform can hold no more.
pub(crate) fn bytes_as_js(bytes: &JsValue) -> Result<JsValue, JsValue> {
    if js::get(bytes, "byteLength").as_f64().unwrap_or_default() > SMALL {
        return Ok(Blob::new_with_buffer_source_sequence(&Array::of1(bytes))?.into());
    }
    let buffer = js::get(bytes, "buffer");
    Ok(if buffer.is_undefined() { bytes.clone() } else { buffer })
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned())
}

#[cfg(feature = "serde")]
fn to_json(what: &str, value: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::invalid_request([what, ": ", &error.to_string()].text()))
}
