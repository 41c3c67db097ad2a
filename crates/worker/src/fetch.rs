//! Sends one job and says what came back.

use std::{cell::Cell, rc::Rc};

use js_sys::{Object, Promise};
use shearwater_bridge::spawn_local;
use shearwater_core::{
    Error, Millis,
    classify::{Meaning, Reply, Response, status_meaning},
    config::WorkerConfig,
    job::Job,
    text::Text,
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{
    auth::MOST_SENDS,
    clock::{self, Timer},
    engine::Engine,
    gate::Gate,
    host::Host,
    js,
};

/// Milliseconds that the question for the time may take.
const PATIENCE: u64 = 10_000;

/// Characters of an error reply that are kept for people.
const EXCERPT: usize = 300;

/// Sends a job under its queue's time limit. Never fails: whatever happens is a [`Reply`].
pub async fn send(engine: &Engine, job: &Job, body: Option<&JsValue>) -> Reply {
    if job.size.is_some() && body.is_none() {
        return Reply::Unsendable("the stored body is gone; discard the job or edit it".to_owned());
    }
    if body.is_some_and(|body| !is_body(body)) {
        return Reply::Unsendable("the stored body is no body; discard the job or edit it".to_owned());
    }
    let mut supplied = None;
    let mut sends = 0;
    let mut refreshed = false;
    loop {
        let generation = engine.auth.settled().await;
        let credentials = match supplied.take() {
            Some(credentials) => credentials,
            None => match credentials(engine, job, false).await {
                // Refreshed while the hook made up its mind: what it answers is of before.
                Ok(_) if engine.auth.settled().await != generation => continue,
                Ok(credentials) => credentials,
                Err(reply) => return reply,
            },
        };
        // The hook may have taken its time.
        if !engine.is_owner(&job.owner) {
            return Reply::Withheld("another user is signed in; sent when its owner is".to_owned());
        }
        if !job.may_be_sent(clock::now()) {
            return Reply::Withheld("the auth hook took too long".to_owned());
        }
        let reply = attempt(engine, job, body, &credentials).await;
        sends += 1;
        let refused = reply.status().is_some_and(|status| status_meaning(&job.request.method, status) == Meaning::Blocked);
        if !refused || credentials.is_empty() || sends >= MOST_SENDS {
            return reply;
        }
        if let Some(_refresh) = engine.auth.begin(generation) {
            if refreshed {
                return reply;
            }
            refreshed = true;
            match self::credentials(engine, job, true).await {
                Ok(credentials) if credentials.is_empty() => return reply,
                Ok(credentials) => supplied = Some(credentials),
                Err(reply) => return reply,
            }
        }
    }
}

/// What the app's `auth` hook supplies for this job.
async fn credentials(engine: &Engine, job: &Job, refresh: bool) -> Result<Vec<(String, String)>, Reply> {
    let detail = Object::new();
    js::set(&detail, "id", &JsValue::from_str(job.id.as_str()));
    js::set(&detail, "url", &JsValue::from_str(&job.request.url));
    js::set(&detail, "method", &JsValue::from_str(&job.request.method));
    js::set(&detail, "queue", &JsValue::from_str(&job.queue));
    let owner = if job.owner.is_empty() { JsValue::NULL } else { JsValue::from_str(&job.owner) };
    js::set(&detail, "owner", &owner);
    js::set(&detail, "refresh", &JsValue::from_bool(refresh));
    match hook_in_time(engine, job, detail).await {
        Ok(Some(headers)) if headers.is_object() => {
            js::Headers::new(&present(headers)).map(|headers| headers.pairs()).map_err(|error| {
                let message = ["what the app's \"auth\" hook answered is no headers: ", &js::message_of(&error)].text();
                engine.log_error(&message);
                Reply::Withheld(message)
            })
        }
        Ok(_) => Ok(Vec::new()),
        Err(error) => {
            engine.log_error(&error.message);
            // No credentials is no reason to bother the server, nor to give up on the job.
            Err(Reply::Withheld(error.message))
        }
    }
}

/// A plain object without the members that are undefined or null; anything else as it is.
fn present(headers: JsValue) -> JsValue {
    if !js::get(&headers, "forEach").is_undefined() {
        return headers;
    }
    let is_there = |entry: &JsValue| !entry.unchecked_ref::<js_sys::Array>().get(1).loose_eq(&JsValue::NULL);
    js::array(Object::entries(headers.unchecked_ref()).iter().filter(is_there)).into()
}

/// Whether this is what bodies are stored as: a `Blob` or an `ArrayBuffer`.
fn is_body(value: &JsValue) -> bool {
    ["size", "byteLength"].into_iter().any(|name| js::get(value, name).as_f64().is_some())
}

/// Calls the `auth` hook, and gives it up after the time that the queue has for a send.
async fn hook_in_time(engine: &Engine, job: &Job, detail: Object) -> Result<Option<JsValue>, Error> {
    let answer: Gate<Result<Option<JsValue>, Error>> = Gate::new();
    let limit = engine.config.queue_or_default(&job.queue).timeout;
    let timer = Timer::start(limit, {
        let answer = answer.clone();
        move || answer.open(Err(Error::internal("the app's \"auth\" hook did not answer in time")))
    });
    spawn_local({
        let (host, answer) = (engine.host.clone(), answer.clone());
        async move { answer.open(host.hook("auth", &detail).await) }
    });
    let answered = answer.passed().await;
    drop(timer);
    answered
}

/// Asks the app's own server what time it is: whether it replied, and its `Date` (RFC 9110 §6.6.1).
pub async fn ask_time(engine: &Engine) -> (bool, Option<Millis>) {
    let controller = js::AbortController::new();
    engine.host.abort_on_death(&controller);
    let timer = Timer::start(PATIENCE, {
        let controller = controller.clone();
        move || controller.unchecked_into::<js::AbortController>().abort()
    });
    let init = Object::new();
    js::set(&init, "method", &JsValue::from_str("HEAD"));
    js::set(&init, "cache", &JsValue::from_str("no-store"));
    js::set(&init, "signal", &controller.signal());
    let response = match js::fetch(&js::get2(&js_sys::global(), "location", "href").as_string().unwrap_or_default(), &init) {
        Ok(promise) => JsFuture::from(promise).await.ok(),
        Err(_) => None,
    };
    drop(timer);
    engine.host.release(&controller);
    let date = response.as_ref().and_then(|response| response.unchecked_ref::<js::Response>().headers().get("date"));
    (response.is_some(), date.and_then(|date| Millis::from_http_date(&date)))
}

async fn attempt(engine: &Engine, job: &Job, body: Option<&JsValue>, credentials: &[(String, String)]) -> Reply {
    let controller = js::AbortController::new();
    engine.host.abort_on_death(&controller);
    let timed_out = Rc::new(Cell::new(false));
    let limit = engine.config.queue_or_default(&job.queue).send_limit(job.size);
    let timer = Timer::start(limit, {
        let (timed_out, controller) = (Rc::clone(&timed_out), controller.clone());
        move || {
            timed_out.set(true);
            controller.unchecked_into::<js::AbortController>().abort();
        }
    });
    let init = request_init(&engine.config, &engine.origin, job, body, credentials);
    js::set(&init, "signal", &controller.signal());
    let reply = match js::fetch(&job.request.url, &init) {
        Ok(promise) => match JsFuture::from(promise).await {
            Ok(response) => read(&engine.host, response.unchecked_into()).await,
            Err(_) if timed_out.get() => Reply::TimedOut,
            Err(_) => Reply::Unreachable,
        },
        Err(refused) => Reply::Unsendable(js::message_of(&refused)),
    };
    drop(timer);
    engine.host.release(&controller);
    reply
}

fn request_init(
    config: &WorkerConfig,
    own_origin: &str,
    job: &Job,
    body: Option<&JsValue>,
    credentials: &[(String, String)],
) -> Object {
    let request = &job.request;
    let init = Object::new();
    js::set(&init, "method", &JsValue::from_str(&request.method));
    let queue = config.queue_or_default(&job.queue);
    let takes_key = job.origin == own_origin || config.idempotency_origins.contains(&job.origin);
    // A structured-field string (RFC 8941 §3.3.3); a UUID needs no escapes.
    let key =
        queue.idempotency.header().filter(|_| takes_key).map(|name| (name.to_owned(), ["\"", &job.idempotency_key, "\""].text()));
    let supplied = || credentials.iter().chain(&key);
    let stored = request.headers.iter().filter(|(name, _)| !supplied().any(|(other, _)| other.eq_ignore_ascii_case(name)));
    let pair = |(name, value): &(String, String)| js::array([JsValue::from_str(name), JsValue::from_str(value)]).into();
    js::set(&init, "headers", &js::array(stored.chain(supplied()).map(pair)));
    if let Some(body) = body {
        js::set(&init, "body", body);
    }
    let options = [
        ("credentials", &request.credentials),
        ("mode", &request.mode),
        ("redirect", &request.redirect),
        ("referrerPolicy", &request.referrer_policy),
        ("cache", &request.cache),
        ("integrity", &request.integrity),
    ];
    for (name, value) in options {
        if let Some(value) = value {
            js::set(&init, name, &JsValue::from_str(value));
        }
    }
    init
}

async fn read(host: &Host, response: js::Response) -> Reply {
    let status = response.status();
    if status == 0 {
        return Reply::Opaque;
    }
    let headers = response.headers();
    let mut reply = Response {
        status,
        retry_after: headers.get("retry-after"),
        date: headers.get("date"),
        rate_limit: headers.get("ratelimit"),
        excerpt: None,
    };
    let kind = headers.get("content-type").unwrap_or_default();
    if status >= 400
        && (kind.starts_with("application/json")
            || kind.starts_with("application/problem+json")
            || kind.starts_with("text/plain"))
    {
        reply.excerpt = excerpt(host, &response).await;
    } else {
        free_connection(&response, headers.get("content-length"));
    }
    Reply::Status(reply)
}

/// The beginning of an error reply. That it cannot be read changes nothing about the outcome.
async fn excerpt(host: &Host, response: &js::Response) -> Option<String> {
    let text = JsFuture::from(host.until_death(&response.text().ok()?)).await.ok()?.as_string()?;
    let detail = js_sys::JSON::parse(&text).ok().map(|json| js::get(&json, "detail"));
    let text = detail.and_then(|detail| detail.as_string()).unwrap_or(text);
    Some(text.trim().chars().take(EXCERPT).collect())
}

/// Lets the connection serve the next request: reads a short reply to its end, and drops a long one.
fn free_connection(response: &js::Response, length: Option<String>) {
    let short = length.and_then(|length| length.parse::<u32>().ok()).is_some_and(|length| length <= 65_536);
    let ending = if short {
        response.array_buffer().ok()
    } else {
        let body = response.body();
        let cancel = js::get(&body, "cancel");
        cancel
            .dyn_into::<js_sys::Function>()
            .ok()
            .and_then(|cancel| cancel.call0(&body).ok())
            .map(JsCast::unchecked_into::<Promise>)
    };
    if let Some(ending) = ending {
        spawn_local(async move {
            // Only the connection was of interest.
            let _ = JsFuture::from(ending).await;
        });
    }
}
