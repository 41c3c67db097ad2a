//! What a body is stored as.
//!
//! A page posts a body at once, whatever it is: an `ArrayBuffer`, a `Blob` by reference, or the parts of a form,
//! which are strings and `Blob`s. Here it becomes bytes that nobody else holds: an `ArrayBuffer` up to 64 KiB, a
//! `Blob` above that. What is neither of the three is refused, as nothing but a forged message brings it.
//!
//! Reading takes time, and jobs of one key are stored in the order in which their messages came: [`Line`].

use std::cell::RefCell;

use js_sys::{Array, ArrayBuffer, Promise};
use shearwater_core::{
    Error, ErrorCode,
    queue::{config::DEFAULT_QUEUE, enqueue::NewJob},
    wire::text::Text,
};
use shearwater_web::future_to_promise;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, Response};

use crate::{js, latch::Latch};

/// A body up to this many bytes is stored as an `ArrayBuffer`; a `Blob` costs a file each.
const SMALL: f64 = 65_536.0;

/// The most bodies of a message, and parts of a form. A sparse array may be longer than memory.
const MOST: u32 = 100_000;

/// What came beside a message's operation, unread; nothing where there is none.
///
/// # Errors
/// `invalid-message` for too many.
pub fn beside(message: &JsValue) -> Result<Vec<JsValue>, Error> {
    let bodies = js::get(message, "bodies");
    if !Array::is_array(&bodies) {
        return Ok(Vec::new());
    }
    let bodies: Array = bodies.unchecked_into();
    if bodies.length() > MOST {
        return Err(Error::new(ErrorCode::InvalidMessage, "more than 100,000 bodies"));
    }
    Ok(bodies.to_vec())
}

/// The bodies of `jobs`, for the database. A `Blob`'s type is its job's content type, unless that has one.
///
/// # Errors
/// As [`own`]; `invalid-message` for more bodies than jobs.
pub async fn all(jobs: &mut [NewJob], bodies: Vec<JsValue>) -> Result<Vec<Option<JsValue>>, Error> {
    if bodies.len() > jobs.len() {
        return Err(Error::new(ErrorCode::InvalidMessage, "more bodies than jobs"));
    }
    for (job, body) in jobs.iter_mut().zip(&bodies) {
        let kind = js::get(body, "type").as_string().filter(|kind| !kind.is_empty());
        if let Some(kind) =
            kind.filter(|_| !job.request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")))
        {
            job.request.headers.push(("content-type".to_owned(), kind));
        }
    }
    let line = Line::join(jobs);
    let bodies = js::array(bodies);
    bodies.set_length(u32::try_from(jobs.len()).unwrap_or(MOST));
    let read = read(bodies, false).await?;
    line.wait().await;
    Ok(read.iter().map(|body| Some(body).filter(|body| !body.is_undefined())).collect())
}

/// One body, for the database; nothing for undefined and null.
///
/// # Errors
/// `invalid-request` when it cannot be read, `invalid-message` when it is no body.
pub async fn own(body: JsValue) -> Result<Option<JsValue>, Error> {
    let body = read(Array::of1(&body), false).await?.get(0);
    Ok(Some(body).filter(|body| !body.is_undefined()))
}

/// Bodies for the database, each or nothing.
///
/// # Errors
/// As [`own`].
pub async fn each(bodies: Vec<JsValue>) -> Result<Vec<Option<JsValue>>, Error> {
    let length = bodies.len();
    let read = read(js::array(bodies), false).await?;
    Ok((0..length).map(|at| Some(read.get(u32::try_from(at).unwrap_or(MOST))).filter(|body| !body.is_undefined())).collect())
}

/// Reads bodies, or the parts of a form, side by side.
async fn read(bodies: Array, of_form: bool) -> Result<Array, Error> {
    let mut is_waiting = false;
    let reading = Array::new();
    for body in bodies.iter() {
        let body = begin(body, of_form)?;
        is_waiting |= body.is_instance_of::<Promise>();
        reading.push(&body);
    }
    if !is_waiting {
        return Ok(reading);
    }
    let read: Array = JsFuture::from(Promise::all(&reading)).await.map_err(unreadable)?.unchecked_into();
    let length = |bytes: &JsValue| ["size", "byteLength"].into_iter().find_map(|name| js::get(bytes, name).as_f64());
    for (body, bytes) in bodies.iter().zip(read.iter()) {
        if body.is_instance_of::<Blob>() && length(&body) != length(&bytes) {
            return Err(unreadable(JsValue::from_str("it came up short")));
        }
    }
    Ok(read)
}

/// A body's bytes, or the promise of them; undefined where there is none.
///
/// `WebKit` writes a stored `Blob` that is a part of another, or has such a part in it, as the *whole* of that
/// other: after a restart a slice of 10 bytes is all 300,000, under the `size` of 10. What `Response` reads is
/// nobody's part. Chromium hands the same blob on without reading it (50 MB: 0.5 ms); Firefox copies it, to a
/// file when it is large.
fn begin(body: JsValue, of_form: bool) -> Result<JsValue, Error> {
    if let Some(blob) = body.dyn_ref::<Blob>() {
        let response = Response::new_with_opt_blob(Some(blob)).map_err(unreadable)?;
        let is_small = !of_form && blob.size() <= SMALL;
        let reading = if is_small { response.array_buffer() } else { response.blob() };
        return reading.map(JsValue::from).map_err(unreadable);
    }
    if of_form && body.is_string() {
        return Ok(body);
    }
    if !of_form && (body.is_undefined() || body.is_null()) {
        return Ok(JsValue::UNDEFINED);
    }
    if !of_form && body.is_instance_of::<ArrayBuffer>() {
        let is_small = f64::from(body.unchecked_ref::<ArrayBuffer>().byte_length()) <= SMALL;
        return if is_small {
            Ok(body)
        } else {
            Blob::new_with_buffer_source_sequence(&Array::of1(&body)).map(JsValue::from).map_err(unreadable)
        };
    }
    let is_part = |part: JsValue| part.is_string() || part.is_instance_of::<Blob>();
    match body.dyn_into::<Array>() {
        Ok(parts) if !of_form && parts.length() <= MOST && parts.iter().all(is_part) => Ok(future_to_promise(join(parts)).into()),
        _ => Err(Error::new(ErrorCode::InvalidMessage, "a body is a Blob, an ArrayBuffer, or a form's strings and Blobs")),
    }
}

/// A form of its parts. Each file is read by itself first: made a part of a `Blob`, one that was removed is taken
/// for an empty one (Chromium).
async fn join(parts: Array) -> Result<JsValue, JsValue> {
    let parts = read(parts, true).await.map_err(|error| JsValue::from_str(&error.message))?;
    let form = begin(Blob::new_with_blob_sequence(&parts)?.into(), false).map_err(|error| JsValue::from_str(&error.message))?;
    js::settled(Ok(form)).await
}

/// Whether a stored body can be read to its last byte.
///
/// On a full disk `WebKit` commits a `Blob` of which it has written a part or nothing, here as after a restart, and its
/// `size` goes on saying what it was to be. Only reading shows it.
pub async fn is_whole(body: &JsValue) -> bool {
    let Some(blob) = body.dyn_ref::<Blob>() else { return true };
    if blob.size() < 1.0 {
        return true;
    }
    let last = blob.slice_with_f64(blob.size() - 1.0).and_then(|last| Response::new_with_opt_blob(Some(&last)));
    let reading = last.and_then(|last| last.array_buffer());
    let Ok(reading) = reading else { return false };
    JsFuture::from(reading).await.is_ok_and(|last| js::get(&last, "byteLength").as_f64() == Some(1.0))
}

/// Whether a stored body is JSON text (RFC 8259) in UTF-8, and small enough to be kept in memory.
pub fn is_json(body: &JsValue) -> bool {
    small_text(body).is_some_and(|text| js_sys::JSON::parse(&text).is_ok())
}

/// A stored body as text, where it is UTF-8 and small enough to be kept in memory.
pub fn small_text(body: &JsValue) -> Option<String> {
    let buffer = body.dyn_ref::<ArrayBuffer>()?;
    String::from_utf8(js_sys::Uint8Array::new(buffer).to_vec()).ok()
}

/// A stored body as text, where it is UTF-8.
pub async fn text(body: &JsValue) -> Option<String> {
    if body.is_instance_of::<ArrayBuffer>() {
        return small_text(body);
    }
    let reading = Response::new_with_opt_blob(Some(body.dyn_ref()?)).and_then(|response| response.array_buffer()).ok()?;
    small_text(&JsFuture::from(reading).await.ok()?)
}

fn unreadable(error: JsValue) -> Error {
    let advice = "the body cannot be read; a file that was changed or removed must be chosen again: ";
    Error::invalid_request([advice, &js::message_of(&error)].text())
}

thread_local! {
    /// The lines whose bodies are being read, in the order in which their messages came; each until its latch opens.
    static READING: RefCell<Vec<(String, Latch<()>)>> = RefCell::default();
}

/// A message's place among those that have jobs of the same queue and key. It ends with the reading, be that with
/// an error.
struct Line {
    done: Latch<()>,
    before: Vec<Latch<()>>,
}

impl Line {
    fn join(jobs: &[NewJob]) -> Self {
        let mut line = Self { done: Latch::new(), before: Vec::new() };
        READING.with_borrow_mut(|reading| {
            let others = reading.len();
            for options in jobs.iter().map(|job| &job.options) {
                let Some(key) = &options.key else { continue };
                let name = [options.queue.as_deref().unwrap_or(DEFAULT_QUEUE), "\n", key].text();
                // One after the other is how the jobs of a key come.
                if reading.len() == others || reading.last().is_some_and(|(last, _)| *last != name) {
                    line.before
                        .extend(reading.iter().take(others).filter(|(other, _)| *other == name).map(|(_, latch)| latch.clone()));
                    reading.push((name, line.done.clone()));
                }
            }
        });
        line
    }

    /// Waits for those that came before.
    async fn wait(&self) {
        for latch in &self.before {
            latch.wait().await;
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        READING.with_borrow_mut(|reading| reading.retain(|(_, latch)| !latch.is(&self.done)));
        self.done.open(());
    }
}
