//! Sends one job, or a batch of them, and says what came back.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::Rc,
};

use futures_util::future::{Either, select};
use js_sys::{Object, Promise};
use shearwater_core::{
    Error, JobId, Millis,
    boxed::boxed,
    drain::Dispatch,
    health::auth::{Authorization, Step, Supplied},
    http::reply::AttemptResult,
    queue::{
        batch::{Batch, Piece},
        binding,
        config::WorkerConfig,
        cycle::retry::disposition_of_status,
        disposition::Disposition,
        job::{Job, RequestWork},
    },
    wire::text::Text,
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Blob, Headers, Request, RequestCache, RequestInit, RequestRedirect, Response};

use crate::{
    body,
    clock::{self, Timer},
    drain::before_send,
    engine::Engine,
    host::Host,
    js,
    reply::{self, Guard, Wanted},
};

/// Milliseconds that the question for the time may take.
const PATIENCE: u64 = 10_000;

/// Sends a dispatch under its queue's time limit, given the bodies of its jobs. Never fails: whatever happens is an
/// [`AttemptResult`].
pub async fn send(engine: &Rc<Engine>, dispatch: &Dispatch, bodies: &[Option<JsValue>]) -> AttemptResult {
    let ticket = engine.sends.admit(dispatch);
    if !dispatch.jobs.iter().any(|job| job.bind.is_some()) {
        return boxed(send_bound(engine, dispatch, bodies, &ticket)).await;
    }
    match boxed(bound(dispatch, bodies)).await {
        Ok((dispatch, bodies)) => boxed(send_bound(engine, &dispatch, &bodies, &ticket)).await,
        Err(why) => AttemptResult::Unsendable(why),
    }
}

/// A dispatch and its bodies with the values filled in that its jobs are bound to.
async fn bound(dispatch: &Dispatch, bodies: &[Option<JsValue>]) -> Result<(Dispatch, Vec<Option<JsValue>>), String> {
    let (mut dispatch, mut bodies) = (dispatch.clone(), bodies.to_vec());
    for (job, body) in dispatch.jobs.iter_mut().zip(&mut bodies) {
        let head = binding::fill_head(job)?;
        if binding::is_json(&head)
            && let Some(stored) = body.as_mut()
        {
            let text = body::text(stored).await.ok_or("the stored body cannot be read; discard the job or edit it")?;
            let filled = binding::fill_body(job, &text)?;
            *stored = js_sys::Uint8Array::from(filled.as_bytes()).buffer().into();
        }
        job.work.request_mut().head = head;
    }
    Ok((dispatch, bodies))
}

/// Sends what is as it is to be sent.
async fn send_bound(engine: &Rc<Engine>, dispatch: &Dispatch, bodies: &[Option<JsValue>], ticket: &Ticket) -> AttemptResult {
    let Some(job) = dispatch.jobs.first() else { return AttemptResult::Withheld("nothing to send".to_owned()) };
    for (job, body) in dispatch.jobs.iter().zip(bodies) {
        if job.size().is_some() && body.is_none() {
            return AttemptResult::Unsendable("the stored body is gone; discard the job or edit it".to_owned());
        }
        if body.as_ref().is_some_and(|body| !is_body(body)) {
            return AttemptResult::Unsendable("the stored body is no body; discard the job or edit it".to_owned());
        }
    }
    let body = match dispatch.batch() {
        Some(batch) => match together(batch, bodies) {
            Ok(body) => Some(body),
            Err(error) => return AttemptResult::Unsendable(js::message_of(&error)),
        },
        None => bodies.first().cloned().flatten(),
    };
    let body = body.as_ref();
    if let Some(body) = body
        && !body::is_whole(body).await
    {
        let advice =
            "the browser did not keep the body whole, as on a full disk: discard the job, or edit it with the body again";
        return AttemptResult::Unsendable(advice.to_owned());
    }
    // Credentials are for the origins that the hook is for, and for nobody else.
    let mut authorization = Authorization::new(is_of_hook(engine, job, "auth"));
    let mut headers = Vec::new();
    let mut result = AttemptResult::Withheld("the auth hook supplied nothing".to_owned());
    loop {
        if authorization.is_ready()
            && let Some(withheld) = withheld(engine, job, ticket).await
        {
            return withheld;
        }
        match engine.auth.step(&mut authorization).await {
            Step::Ask { refresh } => {
                let asked = credentials(engine, job, refresh).await;
                let supplied = match &asked {
                    Ok(headers) if headers.is_empty() => Supplied::Nothing,
                    Ok(_) => Supplied::Credentials,
                    Err(_) => Supplied::Failed,
                };
                engine.auth.supplied(&mut authorization, supplied);
                match asked {
                    Ok(supplied) => headers = supplied,
                    Err(failed) => return failed,
                }
            }
            Step::Send => {
                let extra = match before_send::ask(engine, job).await {
                    Ok(extra) => extra,
                    Err(failed) => return failed,
                };
                if let Some(withheld) = withheld(engine, job, ticket).await {
                    return withheld;
                }
                let body = match extra.body(job, body) {
                    Ok(body) => body,
                    Err(failed) => return failed,
                };
                let supplied = [extra.headers.as_slice(), &headers].concat();
                result = attempt(engine, dispatch, job, body.as_ref(), &supplied, &headers).await;
                let method = &job.work.request().head.method;
                let refused = result.status().is_some_and(|status| disposition_of_status(method, status) == Disposition::Blocked);
                engine.auth.replied(&mut authorization, refused);
            }
            Step::Done | Step::Wait => return result,
        }
    }
}

/// The body of a batch.
fn together(batch: &Batch, bodies: &[Option<JsValue>]) -> Result<JsValue, JsValue> {
    let parts = js_sys::Array::new();
    batch.envelope.body(bodies, |piece| {
        parts.push(&match piece {
            Piece::Text(text) => JsValue::from_str(text),
            Piece::Item(body) => body.clone().unwrap_or_default(),
        });
    });
    Blob::new_with_str_sequence(&parts).map(JsValue::from)
}

/// Why the job must not leave after all, looked at in the last moment: the hook may have taken its time, and another worker
/// may have signed somebody else in.
async fn withheld(engine: &Rc<Engine>, job: &Job, ticket: &Ticket) -> Option<AttemptResult> {
    let why = match engine.is_signed_in(job).await {
        Err(error) => error.into_message(),
        Ok(false) => "another user is signed in; sent when its owner is".to_owned(),
        Ok(true) if ticket.revoked.get() => "cancelled, or its owner signed out, before it left".to_owned(),
        Ok(true) if !job.may_be_sent(clock::now()) => "the auth hook took too long".to_owned(),
        Ok(true) => return None,
    };
    Some(AttemptResult::Withheld(why))
}

/// Whether this job's origin is one of those that the app's hook of this name is for.
pub fn is_of_hook(engine: &Engine, job: &Job, name: &str) -> bool {
    let origin = &job.work.request().origin;
    engine.host.hook_origins(name).map_or(*origin == engine.origin, |origins| origins.contains(origin))
}

/// What a hook is told of a job.
pub fn job_detail(job: &Job) -> Object {
    let detail = Object::new();
    js::set(&detail, "id", &JsValue::from_str(job.id.as_str()));
    js::set(&detail, "url", &JsValue::from_str(&job.work.request().head.url));
    js::set(&detail, "method", &JsValue::from_str(&job.work.request().head.method));
    js::set(&detail, "queue", &JsValue::from_str(&job.queue));
    js::set(&detail, "owner", &owner_of(job));
    detail
}

/// A job's owner as apps see it: null for nobody.
fn owner_of(job: &Job) -> JsValue {
    if job.owner.is_empty() { JsValue::NULL } else { JsValue::from_str(&job.owner) }
}

/// What the app's `auth` hook supplies for this job.
async fn credentials(engine: &Engine, job: &Job, refresh: bool) -> Result<Vec<(String, String)>, AttemptResult> {
    let detail = job_detail(job);
    js::set(&detail, "refresh", &JsValue::from_bool(refresh));
    match hook_in_time(engine, job, "auth", detail).await {
        Ok(Some(headers)) if headers.is_object() => Headers::new_with_record_from_str_to_str(&present(headers))
            .map(|headers| js::http::pairs(&headers))
            .map_err(|error| {
                let message = ["what the app's \"auth\" hook answered is no headers: ", &js::message_of(&error)].text();
                engine.log_error(&message);
                AttemptResult::Withheld(message)
            }),
        Ok(_) => Ok(Vec::new()),
        Err(error) => {
            engine.log_error(&error.message);
            // No credentials is no reason to bother the server, nor to give up on the job.
            Err(AttemptResult::Withheld(error.into_message()))
        }
    }
}

/// A plain object without the members that are undefined or null; anything else as it is.
pub fn present(headers: JsValue) -> Object {
    if !js::get(&headers, "forEach").is_undefined() {
        return headers.unchecked_into();
    }
    let is_there = |entry: &JsValue| !entry.unchecked_ref::<js_sys::Array>().get(1).loose_eq(&JsValue::NULL);
    js::array(Object::entries(headers.unchecked_ref()).iter().filter(is_there)).into()
}

/// Whether this is what bodies are stored as.
fn is_body(value: &JsValue) -> bool {
    value.is_instance_of::<Blob>() || value.is_instance_of::<js_sys::ArrayBuffer>()
}

/// Calls a hook, and gives it up after the time that the queue has for a send; one before a send after its own.
pub async fn hook_in_time(engine: &Engine, job: &Job, name: &'static str, detail: Object) -> Result<Option<JsValue>, Error> {
    let limit = engine.config.queue_or_default(&job.queue).timeout;
    let limit = if name == "auth" { limit } else { limit.min(before_send::PATIENCE) };
    match select(pin!(engine.host.hook(name, &detail)), pin!(js::time::sleep(limit))).await {
        Either::Left((answered, _)) => answered,
        Either::Right(_) => Err(Error::internal(["the app's \"", name, "\" hook did not answer in time"].text())),
    }
}

/// Asks the app's own server what time it is: whether it replied, and its `Date` (RFC 9110 §6.6.1).
pub async fn ask_time(engine: &Engine) -> (bool, Option<Millis>) {
    let controller = js::http::abort_controller();
    engine.host.abort_on_death(&controller);
    let timer = Timer::start(PATIENCE, {
        let controller = controller.clone();
        move || controller.abort()
    });
    let init = RequestInit::new();
    init.set_method("HEAD");
    init.set_cache(RequestCache::NoStore);
    init.set_signal(Some(&controller.signal()));
    let response = match js::scope::fetch(&js::scope::href(), &init) {
        Ok(promise) => JsFuture::from(promise).await.ok(),
        Err(_) => None,
    };
    drop(timer);
    engine.host.release(&controller);
    let date = response.as_ref().and_then(|response| js::http::header(&response.unchecked_ref::<Response>().headers(), "date"));
    (response.is_some(), date.and_then(|date| Millis::from_http_date(&date)))
}

async fn attempt(
    engine: &Rc<Engine>,
    dispatch: &Dispatch,
    job: &Job,
    body: Option<&JsValue>,
    supplied: &[(String, String)],
    credentials: &[(String, String)],
) -> AttemptResult {
    let sending = Sending::begin(engine, dispatch);
    let queue = engine.config.queue_or_default(&job.queue);
    let timer = Timer::start(queue.send_limit(dispatch.size()), {
        let sending = Rc::clone(&sending);
        move || sending.abort(End::TimedOut)
    });
    let init = request_init(&engine.config, &engine.origin, job, dispatch.key(), body, supplied);
    let guard = match job.work.request().head.redirect.as_deref() {
        // Where only `follow` is allowed, and no header of a hook is sent (Fetch §4.1).
        _ if job.work.request().head.mode.as_deref() == Some("no-cors") => None,
        // By `error` a redirect would be told from no network by nobody.
        Some("error" | "manual") => Some(Guard::Asked),
        _ if !credentials.is_empty() => Some(Guard::Credentials),
        _ if reply::looks_for_redirect(engine, job) => Some(Guard::Suspicion),
        _ => None,
    };
    if guard.is_some() {
        init.set_redirect(RequestRedirect::Manual);
    }
    init.set_signal(Some(&sending.controller.signal()));
    let adapter = adapter_of(engine, job);
    // What the platform refuses before any network says nothing about a server.
    let sent = Request::new_with_str_and_init(&job.work.request().head.url, &init).and_then(|request| match &adapter {
        Some(collection) => adapted(engine, dispatch, job, collection, &request),
        None => js::scope::fetch_request(&request),
    });
    let reply = match sent {
        Ok(promise) => match JsFuture::from(promise).await {
            Ok(response) => {
                reply::read(
                    response.unchecked_into(),
                    &sending,
                    &queue,
                    guard,
                    Wanted::of(engine, job),
                    dispatch.batch().is_some(),
                )
                .await
            }
            Err(thrown) => match sending.ended.get() {
                Some(End::TimedOut) => AttemptResult::TimedOut,
                // Says nothing about the server.
                Some(End::Cancelled) => AttemptResult::Withheld("the send was cancelled".to_owned()),
                None if adapter.is_some() => {
                    let message = ["the app's adapter failed: ", &js::message_of(&thrown)].text();
                    engine.log_error(&message);
                    AttemptResult::Withheld(message)
                }
                None => reply::explain_rejection(engine, job).await,
            },
        },
        Err(refused) => AttemptResult::Unsendable(js::message_of(&refused)),
    };
    drop(timer);
    sending.settled(engine);
    reply
}

/// The collection whose request it is, if the app has an adapter for it.
#[cfg(feature = "full")]
fn adapter_of<'j>(engine: &Engine, job: &'j Job) -> Option<&'j str> {
    let collection = job.record.as_deref()?.split('\n').next()?;
    engine.host.has_hook(&["adapter:", collection].text()).then_some(collection)
}

#[cfg(feature = "full")]
fn adapted(engine: &Engine, dispatch: &Dispatch, job: &Job, collection: &str, request: &Request) -> Result<Promise, JsValue> {
    let detail = Object::new();
    js::set(&detail, "collection", &JsValue::from_str(collection));
    js::set(&detail, "owner", &owner_of(job));
    js::set(&detail, "idempotencyKey", &JsValue::from_str(dispatch.key()));
    engine.host.adapt(&["adapter:", collection].text(), request, &detail)
}

#[cfg(not(feature = "full"))]
fn adapter_of<'j>(_: &Engine, _: &'j Job) -> Option<&'j str> {
    None
}

#[cfg(not(feature = "full"))]
fn adapted(_: &Engine, _: &Dispatch, _: &Job, _: &str, request: &Request) -> Result<Promise, JsValue> {
    js::scope::fetch_request(request)
}

/// Why a send was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its time was up.
    TimedOut,
    /// A person cancelled it.
    Cancelled,
}

/// Sends on their way.
#[derive(Default)]
pub struct Sends(RefCell<Vec<Rc<Sending>>>, RefCell<Vec<Rc<Ticket>>>);

/// The right to send a job, from its claim until its request leaves: the app's hook may take its time meanwhile.
struct Ticket {
    ids: Vec<JobId>,
    revoked: Cell<bool>,
}

impl Sends {
    fn admit(&self, dispatch: &Dispatch) -> Rc<Ticket> {
        let ticket = Rc::new(Ticket { ids: dispatch.ids(), revoked: Cell::new(false) });
        let mut tickets = self.1.borrow_mut();
        tickets.retain(|ticket| Rc::strong_count(ticket) > 1);
        tickets.push(Rc::clone(&ticket));
        ticket
    }

    /// Nothing that has not left yet is sent: somebody else signs in.
    pub fn revoke(&self) {
        self.1.borrow().iter().for_each(|ticket| ticket.revoked.set(true));
    }

    /// Aborts the sends of this job, its batch included.
    pub fn cancel(&self, id: &JobId) {
        self.1.borrow().iter().filter(|ticket| ticket.ids.contains(id)).for_each(|ticket| ticket.revoked.set(true));
        let sendings: Vec<_> = self.0.borrow().iter().filter(|sending| sending.ids.contains(id)).cloned().collect();
        sendings.iter().for_each(|sending| sending.abort(End::Cancelled));
    }
}

/// One send, from its beginning until nothing holds its connection any more.
pub struct Sending {
    ids: Vec<JobId>,
    /// Aborts it.
    pub controller: AbortController,
    ended: Cell<Option<End>>,
    host: Host,
    /// Its body is still being read.
    reading: Cell<bool>,
}

impl Sending {
    fn begin(engine: &Engine, dispatch: &Dispatch) -> Rc<Self> {
        let controller = js::http::abort_controller();
        engine.host.abort_on_death(&controller);
        let sending = Rc::new(Self {
            ids: dispatch.ids(),
            controller,
            ended: Cell::new(None),
            host: engine.host.clone(),
            reading: Cell::new(false),
        });
        engine.sends.0.borrow_mut().push(Rc::clone(&sending));
        sending
    }

    fn abort(&self, end: End) {
        self.ended.set(Some(self.ended.get().unwrap_or(end)));
        self.controller.abort();
    }

    /// Its reply is known.
    fn settled(self: &Rc<Self>, engine: &Engine) {
        engine.sends.0.borrow_mut().retain(|other| !Rc::ptr_eq(other, self));
        if !self.reading.get() {
            self.host.release(&self.controller);
        }
    }

    /// Reads on after the reply is known, by whoever calls this.
    pub fn read_on(self: &Rc<Self>) -> ReadingOn {
        self.reading.set(true);
        ReadingOn(Rc::clone(self))
    }
}

/// What is left of a body is being read; dropped, it is let go.
pub struct ReadingOn(Rc<Sending>);

impl Drop for ReadingOn {
    fn drop(&mut self) {
        self.0.controller.abort();
        self.0.host.release(&self.0.controller);
    }
}

fn request_init(
    config: &WorkerConfig,
    own_origin: &str,
    job: &Job,
    key: &str,
    body: Option<&JsValue>,
    credentials: &[(String, String)],
) -> RequestInit {
    let RequestWork { head: request, origin, .. } = job.work.request();
    let init = RequestInit::new();
    init.set_method(&request.method);
    let queue = config.queue_or_default(&job.queue);
    let takes_key = origin == own_origin || config.idempotency_origins.contains(origin);
    // A structured-field string (RFC 8941 §3.3.3); a UUID needs no escapes.
    let key = queue.idempotency.header().filter(|_| takes_key).map(|name| (name.to_owned(), ["\"", key, "\""].text()));
    let supplied = || credentials.iter().chain(&key);
    let stored = request.headers.iter().filter(|(name, _)| !supplied().any(|(other, _)| other.eq_ignore_ascii_case(name)));
    let pair = |(name, value): &(String, String)| js::array([JsValue::from_str(name), JsValue::from_str(value)]).into();
    init.set_headers(&js::array(stored.chain(supplied()).map(pair)));
    if let Some(body) = body {
        init.set_body(body);
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
