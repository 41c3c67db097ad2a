//! Reads what came back, bounded in bytes and time.
//!
//! A job is settled by its response's headers. Of the body only what somebody asked for is read: the beginning of an
//! error, for people, what the queue's `response` setting keeps, and what jobs are bound to. Nobody has asked for a short JSON
//! response that is there at once: it is read all the same, for jobs that are bound to it later (`capture: false`). A server that never ends its body, or sends a
//! gigabyte out of a kilobyte, costs a few KiB and a moment, then the send is aborted and its connection is free.
//!
//! A rejected `fetch` does not say why. Where the network is there and the server can be reached, it is something that
//! another attempt meets again (CORS, a redirect loop, an integrity mismatch), and the server may have acted: that is
//! found out by a probe and counts as an attempt.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::Rc,
};

use futures_util::future::{Either, select};
use shearwater_core::{
    JobId, Millis,
    http::reply::{AttemptResult, Response as Reply},
    queue::{
        batch::{ItemResult, read_results},
        binding,
        capture::Capture,
        config::{KeepResponse, QueueConfig},
        job::Job,
    },
    wire::text::Text,
};
use shearwater_web::{Js, spawn_local};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Headers, ReadableStreamDefaultReader, RequestCache, RequestCredentials, RequestInit, RequestMode, Response, ResponseType,
};

use crate::{
    clock::{self, Timer},
    drain::fetch::Sending,
    engine::Engine,
    js,
    latch::Latch,
};

/// Characters of an error reply that are kept for people.
const EXCERPT: usize = 300;

/// Bytes of an error reply that are read for them.
const EXCERPT_BYTES: u32 = 4 * 1024;

/// Bytes of a body that are kept, or read so that its connection can be used again.
const MOST_BYTES: u32 = 64 * 1024;

/// Bytes of the results of a batch that are read.
const MOST_RESULTS: u32 = 1024 * 1024;

/// Bytes of a page of records at most, and of one record.
const LARGEST_PAGE: u32 = 16 * 1024 * 1024;

/// Milliseconds that a body may take once the headers are there.
const PATIENCE: u64 = 2_000;

/// Milliseconds that a body may take which nobody has asked for yet.
const SHORT_PATIENCE: u64 = 250;

/// Bytes of it that are read: one more than is kept.
#[expect(clippy::cast_possible_truncation, reason = "2 KiB")]
const SHORT_BYTES: u32 = binding::LONGEST_UNASKED as u32 + 1;

/// Milliseconds that a probe may take.
const PROBE_PATIENCE: u64 = 5_000;

/// Milliseconds for which the answer of a probe holds for other sends to the same place.
const PROBE_HOLDS: u64 = 1_000;

/// A place that was probed, when, and whether it could be reached.
type Probe = (String, Millis, Latch<bool>);

/// What is known of sends whose `fetch` was rejected.
#[derive(Default)]
pub struct Rejections {
    /// Jobs whose next try is to show a redirect instead of following it.
    suspects: RefCell<Vec<JobId>>,
    /// Places that were probed lately.
    probes: RefCell<Vec<Probe>>,
}

/// Why redirects are not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The request says so.
    Asked,
    /// They would take the auth hook's headers along to wherever they lead.
    Credentials,
    /// Following one may be why there was no response the last time.
    Suspicion,
}

/// Reads the response of a send.
pub async fn read(
    response: Response,
    sending: &Rc<Sending>,
    queue: &QueueConfig,
    guard: Option<Guard>,
    wanted: Wanted,
    is_batch: bool,
) -> AttemptResult {
    if response.type_() == ResponseType::Opaqueredirect {
        return match guard {
            // Not sent again by itself: a server may redirect whom it has served.
            Some(Guard::Suspicion) => AttemptResult::Redirected(LEADS_NOWHERE.to_owned()),
            Some(Guard::Credentials) => AttemptResult::Redirected(
                "the server redirects, and headers of the auth hook are not sent along to another address: queue the job for \
                 the address that it redirects to. The server may have acted on it"
                    .to_owned(),
            ),
            _ => AttemptResult::Redirected("the server redirects, and the request says not to follow".to_owned()),
        };
    }
    let status = response.status();
    if status == 0 {
        return AttemptResult::Opaque;
    }
    let headers = response.headers();
    let header = |name| js::http::header(&headers, name);
    let kind = header("content-type");
    let mut reply = Reply {
        status,
        retry_after: header("retry-after"),
        date: header("date"),
        rate_limit: header("ratelimit"),
        redirected: response.redirected(),
        content_type: kind.clone(),
        excerpt: None,
        capture: None,
        body: None,
        items: None,
    };
    let body = Body::of(&response);
    let is_text = ["application/json", "application/problem+json", "text/plain"];
    let is_json = kind.as_deref().is_some_and(|kind| kind.to_ascii_lowercase().contains("json"));
    let is_text = kind.is_some_and(|kind| is_text.iter().any(|text| kind.starts_with(text)));
    let is_success = (200..300).contains(&status);
    if is_batch && is_success && queue.expects(&reply) {
        reply.items = results(queue, &reply, &body, sending).await;
    } else if let Wanted::Row(most) = wanted {
        let text = if is_json { body.beginning_within(most, queue.timeout, sending).await } else { String::new() };
        if is_json && is_success && !body.ended.get() {
            // It broke off: as good as no response.
            return AttemptResult::TimedOut;
        }
        reply.body = Some(text).filter(|_| is_json && body.ended.get());
    } else if is_success && !is_batch {
        let keep = queue.response.as_ref();
        let text = text_of(keep.is_some_and(|keep| keep.body), is_json, queue, wanted, &body, sending).await;
        reply.body = text.clone().filter(|_| is_json && body.ended.get());
        if wanted == Wanted::Waited
            && is_json
            && text.as_ref().is_some_and(|text| text.len() < MOST_BYTES as usize)
            && !body.ended.get()
        {
            // Jobs wait for what broke off: as good as no response, and under the same key there is another.
            return AttemptResult::TimedOut;
        }
        reply.capture = keep.map(|keep| Box::new(capture(keep, status, &headers, text)));
    } else if status >= 400 && is_text {
        reply.excerpt = excerpt(&body, sending).await;
    }
    body.let_go(sending);
    AttemptResult::Status(reply)
}

/// What the response to a batch says about its items.
async fn results(queue: &QueueConfig, reply: &Reply, body: &Body, sending: &Rc<Sending>) -> Option<Vec<ItemResult>> {
    let pointer = queue.batch.as_ref().and_then(|batch| batch.results.as_deref());
    let is_json = reply.content_type.as_deref().is_some_and(|kind| kind.contains("json"));
    let text = if is_json { body.beginning(MOST_RESULTS, sending).await } else { String::new() };
    match js_sys::JSON::parse(&text) {
        // It broke off, or did not come in time: nobody knows what it would have said.
        _ if is_json && !body.ended.get() => Some(Vec::new()),
        Ok(json) => read_results(reply.status, Some(&Js(json)), pointer),
        // It may have had results.
        Err(_) if !text.is_empty() => Some(Vec::new()),
        Err(_) => read_results::<Js>(reply.status, None, pointer),
    }
}

/// How much of a response somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Nobody has asked; a job may be bound to it one day.
    Unasked,
    /// Values are to be kept for jobs that are bound to it later.
    Kept,
    /// Jobs wait for it.
    Waited,
    /// It has a row, or a page of them, in so many bytes at most, whatever its status.
    Row(u32),
}

impl Wanted {
    /// What is wanted of this job's response now: others may have been bound to it since it was claimed.
    pub fn of(engine: &Engine, job: &Job) -> Self {
        let dependents = job.captures.as_ref().map(|captures| captures.dependents.len());
        match dependents {
            _ if job.record.is_some() => Self::Row(LARGEST_PAGE),
            _ if engine.bound.borrow().contains(&job.id) => Self::Waited,
            Some(1..) => Self::Waited,
            Some(0) => Self::Kept,
            None => Self::Unasked,
        }
    }
}

/// The beginning of a successful response: as much as is wanted of it.
async fn text_of(
    keep: bool,
    is_json: bool,
    queue: &QueueConfig,
    wanted: Wanted,
    body: &Body,
    sending: &Rc<Sending>,
) -> Option<String> {
    match wanted {
        // A slow server is waited for as long as for its headers.
        Wanted::Waited if is_json => Some(body.beginning_within(MOST_BYTES, queue.timeout, sending).await),
        _ if keep || (wanted == Wanted::Kept && is_json) => Some(body.beginning(MOST_BYTES, sending).await),
        Wanted::Unasked if queue.capture && is_json => {
            let short = pin!(body.beginning(SHORT_BYTES, sending));
            match select(short, pin!(js::time::sleep(SHORT_PATIENCE))).await {
                Either::Left((text, _)) => Some(text),
                Either::Right(_) => None,
            }
        }
        _ => None,
    }
}

fn capture(keep: &KeepResponse, status: u16, headers: &Headers, body: Option<String>) -> Capture {
    let named = keep.headers.iter().filter_map(|name| Some((name.to_ascii_lowercase(), js::http::header(headers, name)?)));
    Capture { status, headers: named.collect(), body: body.filter(|_| keep.body) }
}

/// The beginning of an error reply. That it cannot be read changes nothing about the outcome.
async fn excerpt(body: &Body, sending: &Rc<Sending>) -> Option<String> {
    let text = body.beginning(EXCERPT_BYTES, sending).await;
    let detail = js_sys::JSON::parse(&text).ok().map(|json| js::get(&json, "detail"));
    let text = detail.and_then(|detail| detail.as_string()).unwrap_or(text);
    Some(text.trim().chars().take(EXCERPT).collect()).filter(|text: &String| !text.is_empty())
}

/// A body that is read in part.
struct Body {
    reader: Option<ReadableStreamDefaultReader>,
    /// It was read to its end.
    ended: Cell<bool>,
}

impl Body {
    fn of(response: &Response) -> Self {
        let reader = response.body().and_then(|body| ReadableStreamDefaultReader::new(&body).ok());
        Self { ended: Cell::new(reader.is_none()), reader }
    }

    /// The beginning of the body as text: as much as came in time, up to so many bytes.
    async fn beginning(&self, most: u32, sending: &Rc<Sending>) -> String {
        self.beginning_within(most, PATIENCE, sending).await
    }

    async fn beginning_within(&self, most: u32, patience: u64, sending: &Rc<Sending>) -> String {
        let bytes = js_sys::Uint8Array::new_with_length(most);
        let end = self.read(most, patience, sending, |at, chunk| bytes.set(chunk, at)).await;
        js::http::text(&bytes.subarray(0, end))
    }

    /// Reads up to `most` bytes for so many milliseconds at most; then the send is aborted. Returns how many there were.
    async fn read(&self, most: u32, patience: u64, sending: &Sending, take: impl Fn(u32, &js_sys::Uint8Array)) -> u32 {
        let Some(reader) = &self.reader else { return 0 };
        let timer = Timer::start(patience, {
            let controller = sending.controller.clone();
            move || controller.abort()
        });
        let mut end = 0;
        while end < most
            && let Ok(result) = JsFuture::from(reader.read()).await
        {
            let chunk = js::get(&result, "value");
            let Some(chunk) = chunk.dyn_ref::<js_sys::Uint8Array>() else {
                self.ended.set(true);
                break;
            };
            let chunk = chunk.subarray(0, chunk.length().min(most - end));
            take(end, &chunk);
            end += chunk.length();
        }
        drop(timer);
        end
    }

    /// Lets the connection serve the next request: reads a short rest to its end, and drops a long one.
    fn let_go(self, sending: &Rc<Sending>) {
        if self.reader.is_some() {
            let (reading_on, sending) = (sending.read_on(), Rc::clone(sending));
            spawn_local(async move {
                self.read(MOST_BYTES, PATIENCE, &sending, |_, _| {}).await;
                drop(reading_on);
            });
        }
    }
}

/// What a rejected `fetch` means.
///
/// Of the app's own server a redirect that leads nowhere looks like no network. Where the server can be reached all the
/// same, the job's next try does not follow redirects ([`looks_for_redirect`]): if there is one, that is what was wrong.
/// Not after a plain outage, for many a server answers a form that it has taken by a redirect.
pub async fn explain_rejection(engine: &Rc<Engine>, job: &Job) -> AttemptResult {
    if !engine.is_online() {
        return AttemptResult::Unreachable;
    }
    if job.origin() != engine.origin {
        // By a method that changes nothing (RFC 9110 §9.2.1).
        if !probe(engine, job.work.request().head.url.clone(), RequestMode::NoCors).await {
            return AttemptResult::Unreachable;
        }
        return AttemptResult::Hidden(
            [
                job.origin(),
                " can be reached, but its response is hidden from this page: does it answer with \
                 Access-Control-Allow-Origin (CORS), also to the preflight and on errors? It may have acted on the request",
            ]
            .text(),
        );
    }
    let own = js::scope::href();
    if !probe(engine, own, RequestMode::SameOrigin).await {
        return AttemptResult::Unreachable;
    }
    if job.work.request().head.integrity.as_deref().is_some_and(|integrity| !integrity.is_empty()) {
        return AttemptResult::Hidden(
            "the response does not match the request's integrity; the server may have acted on it".to_owned(),
        );
    }
    let mut suspects = engine.rejections.suspects.borrow_mut();
    if suspects.len() < MOST_SUSPECTS && !suspects.contains(&job.id) {
        suspects.push(job.id.clone());
    }
    AttemptResult::Unreachable
}

/// Why following a redirect of the app's own server got no response.
const LEADS_NOWHERE: &str = "the server redirects in circles, or to where the request may not follow; it may have acted on it";

/// Jobs of which is remembered that their next try is not to follow redirects.
const MOST_SUSPECTS: usize = 1_000;

/// Whether this try is to show a redirect instead of following it; asked once a try.
pub fn looks_for_redirect(engine: &Engine, job: &Job) -> bool {
    let mut suspects = engine.rejections.suspects.borrow_mut();
    let at = suspects.iter().position(|id| *id == job.id);
    at.map(|at| suspects.swap_remove(at)).is_some()
}

/// Whether anything comes back from this address; sends that fail together share one probe.
async fn probe(engine: &Rc<Engine>, url: String, mode: RequestMode) -> bool {
    let (now, key) = (clock::now(), url.clone());
    let known = engine
        .rejections
        .probes
        .borrow()
        .iter()
        .find(|(other, at, _)| *other == key && now.0.abs_diff(at.0) < PROBE_HOLDS)
        .cloned();
    if let Some((.., answer)) = known {
        return answer.wait().await;
    }
    let answer = Latch::new();
    {
        let mut probes = engine.rejections.probes.borrow_mut();
        probes.retain(|(_, at, _)| now.0.abs_diff(at.0) < PROBE_HOLDS);
        probes.push((key, now, answer.clone()));
    }
    let controller = js::http::abort_controller();
    engine.host.abort_on_death(&controller);
    let timer = Timer::start(PROBE_PATIENCE, {
        let controller = controller.clone();
        move || controller.abort()
    });
    let init = RequestInit::new();
    init.set_method("HEAD");
    init.set_mode(mode);
    init.set_credentials(RequestCredentials::Omit);
    init.set_cache(RequestCache::NoStore);
    init.set_signal(Some(&controller.signal()));
    let reached = match js::scope::fetch(&url, &init) {
        Ok(promise) => JsFuture::from(promise).await.is_ok(),
        Err(_) => false,
    };
    drop(timer);
    engine.host.release(&controller);
    answer.open(reached);
    reached
}
