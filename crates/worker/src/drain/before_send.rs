//! Asks the app's `before-send` hook for what is not stored: a CSRF token, as a header or as a field of a form.
//!
//! It is asked each time that a job of one of its origins is sent. One that throws, takes longer than [`PATIENCE`] or
//! returns nonsense withholds its own job, which is tried again and burns no attempt. What it supplies is in the request
//! that leaves, and nowhere else.

use js_sys::{Array, ArrayBuffer, Object};
use shearwater_core::{http::reply::AttemptResult, queue::job::Job, wire::text::Text};
use wasm_bindgen::prelude::*;

use super::fetch::{hook_in_time, is_of_hook, job_detail, present};
use web_sys::{Blob, Headers, UrlSearchParams};

use crate::{engine::Engine, js};

/// Milliseconds that the hook may take.
pub const PATIENCE: u64 = 30_000;

const HOOK: &str = "before-send";

/// What the hook supplied.
#[derive(Default)]
pub struct Extra {
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Names and values, to be added to a form.
    fields: Vec<(String, String)>,
}

/// What the app's hook supplies for this job.
///
/// # Errors
/// Why the job is not sent now.
pub async fn ask(engine: &Engine, job: &Job) -> Result<Extra, AttemptResult> {
    if !engine.host.has_hook(HOOK) || !is_of_hook(engine, job, HOOK) {
        return Ok(Extra::default());
    }
    let withheld = |message: String| {
        engine.log_error(&message);
        AttemptResult::Withheld(message)
    };
    let answer = hook_in_time(engine, job, HOOK, job_detail(job)).await.map_err(|error| withheld(error.into_message()))?;
    let Some(answer) = answer.filter(|answer| !answer.is_undefined() && !answer.is_null()) else { return Ok(Extra::default()) };
    let nonsense = |what: &str| withheld(["what the app's \"before-send\" hook returned is no ", what].text());
    if !answer.is_object() {
        return Err(nonsense("object"));
    }
    let headers = js::get(&answer, "headers");
    let headers = if headers.is_object() {
        let headers = Headers::new_with_record_from_str_to_str(&present(headers));
        js::http::pairs(&headers.map_err(|error| nonsense(&["headers: ", &js::message_of(&error)].text()))?)
    } else {
        Vec::new()
    };
    let mut fields = Vec::new();
    let given = js::get(&answer, "fields");
    if given.is_object() {
        for entry in Object::entries(given.unchecked_ref()).iter() {
            let entry: Array = entry.unchecked_into();
            match (entry.get(0).as_string(), entry.get(1).as_string()) {
                (Some(name), Some(value)) => fields.push((name, value)),
                _ => return Err(nonsense("fields: their values are strings")),
            }
        }
    }
    Ok(Extra { headers, fields })
}

impl Extra {
    /// The body with the fields that were supplied. What is no form has none: a hook that serves forms, as `csrf` does, is
    /// asked for everything that is sent.
    ///
    /// # Errors
    /// Why the job is not sent now: its body is a form to which no field can be added.
    pub fn body(&self, job: &Job, body: Option<&JsValue>) -> Result<Option<JsValue>, AttemptResult> {
        let headers = &job.work.request().head.headers;
        let kind = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, kind)| kind.as_str());
        let added = match kind {
            _ if self.fields.is_empty() => return Ok(body.cloned()),
            Some(kind) if kind.starts_with("application/x-www-form-urlencoded") => self.urlencoded(body),
            // As the page encodes it.
            Some(kind) if kind.starts_with("multipart/form-data") => {
                kind.strip_prefix("multipart/form-data; boundary=").and_then(|boundary| self.multipart(body?, boundary))
            }
            Some("text/plain") => None,
            _ => return Ok(body.cloned()),
        };
        added.map(Some).ok_or_else(|| {
            AttemptResult::Withheld("the \"before-send\" hook supplied fields for a form that takes none".to_owned())
        })
    }

    fn urlencoded(&self, body: Option<&JsValue>) -> Option<JsValue> {
        let pairs = self.fields.iter().map(|(name, value)| js::array([JsValue::from_str(name), JsValue::from_str(value)]).into());
        let text = UrlSearchParams::new_with_str_sequence_sequence(&js::array(pairs)).ok()?.to_string();
        let parts = Array::new();
        if let Some(body) = body.filter(|body| length(body) > 0.0) {
            parts.push(body);
            parts.push(&JsValue::from_str("&"));
        }
        parts.push(&text);
        Blob::new_with_str_sequence(&parts).map(JsValue::from).ok()
    }

    /// Before the last boundary.
    fn multipart(&self, body: &JsValue, boundary: &str) -> Option<JsValue> {
        let close = ["--", boundary, "--\r\n"].text();
        #[expect(clippy::cast_precision_loss, reason = "some dozen bytes")]
        let end = length(body) - close.len() as f64;
        if end < 0.0 {
            return None;
        }
        let whole = Blob::new_with_buffer_source_sequence(&Array::of1(body)).ok()?;
        let mut text = String::new();
        for (name, value) in &self.fields {
            text.push_str(&["--", boundary, "\r\nContent-Disposition: form-data; name=\""].text());
            for letter in name.chars() {
                match letter {
                    '\r' => text.push_str("%0D"),
                    '\n' => text.push_str("%0A"),
                    '"' => text.push_str("%22"),
                    letter => text.push(letter),
                }
            }
            text.push_str(&["\"\r\n\r\n", value, "\r\n"].text());
        }
        text.push_str(&close);
        Blob::new_with_str_sequence(&Array::of2(&whole.slice_with_f64_and_f64(0.0, end).ok()?.into(), &JsValue::from_str(&text)))
            .map(JsValue::from)
            .ok()
    }
}

fn length(body: &JsValue) -> f64 {
    match body.dyn_ref::<ArrayBuffer>() {
        Some(bytes) => f64::from(bytes.byte_length()),
        None => body.unchecked_ref::<Blob>().size(),
    }
}
