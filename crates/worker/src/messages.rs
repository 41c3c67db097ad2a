//! Answers the pages' messages.

use std::rc::Rc;

use js_sys::{Array, Function};
use serde::Serialize;
use shearwater_core::{
    Error, ErrorCode, JobId,
    config::check_name,
    protocol::{Answer, Envelope, Event, Op, VERSION, WakeReason},
    request::RequestHead,
    store::{
        enqueue::{self, NewJob},
        hands::{self, Body, Edit},
        read,
        turn::Ripen,
    },
    view::JobView,
};
use wasm_bindgen::prelude::*;

use crate::{
    clock,
    codec::{decode, encode},
    engine::Engine,
    gate::Gate,
    idb::Mode,
    js,
};

/// What remains to be done after the answer.
enum Then {
    Nothing,
    /// The status changed.
    Tell(Vec<JobView>, Option<Event>),
    /// There may be something to send in these queues, and pages are to hear of this first.
    Drain(Vec<String>, Ripen, Option<Event>),
}

/// Answers one message by `reply`, then does what it set off.
pub async fn handle(engine: &Rc<Engine>, data: JsValue, reply: Function) {
    let re = js::get(&data, "re").as_string().unwrap_or_default();
    let joined = engine.answering.borrow().iter().find(|(known, _)| !re.is_empty() && *known == re).map(|(_, gate)| gate.clone());
    if let Some(gate) = joined {
        // The same message again, while the first is still being worked on.
        answer(engine, &re, &reply, gate.passed().await);
        return;
    }
    let gate = Gate::new();
    engine.answering.borrow_mut().push((re.clone(), gate.clone()));
    let outcome = carry_out(engine, data).await;
    engine.answering.borrow_mut().retain(|(known, _)| *known != re);
    let (outcome, then) = match outcome {
        Ok((ok, then)) => (Ok(ok), then),
        Err(error) => (Err(error), Then::Nothing),
    };
    if let Then::Drain(queues, ..) = &then {
        // Asked for before the page hears that its job is safe: it may close the moment it does.
        for queue in queues {
            engine.register(queue);
        }
    }
    gate.open(outcome.clone());
    answer(engine, &re, &reply, outcome);
    match then {
        Then::Nothing => {}
        Then::Tell(jobs, event) => engine.tell_now(jobs, event).await,
        Then::Drain(queues, ripen, event) => {
            engine.tell_now(Vec::new(), event).await;
            if let Err(error) = engine.drain_all(queues, ripen).await {
                engine.log_error(&error.message);
            }
        }
    }
}

fn answer(engine: &Engine, re: &str, reply: &Function, outcome: Result<JsValue, Error>) {
    let (ok, error) = match outcome {
        Ok(ok) => (Some(ok), None),
        Err(error) => (None, Some(error)),
    };
    let message = encode(&Answer::<()> { shearwater: VERSION, re: re.to_owned(), ok: None, error }).unwrap_or(JsValue::NULL);
    if let Some(ok) = ok {
        js::set(&message, "ok", &ok);
    }
    if let Err(error) = reply.call1(&JsValue::NULL, &message) {
        engine.log_error(&["a page could not be answered: ", &js::message_of(&error)].concat());
    }
}

async fn carry_out(engine: &Rc<Engine>, data: JsValue) -> Result<(JsValue, Then), Error> {
    if js::get(&data, "shearwater").as_f64() != Some(f64::from(VERSION)) {
        return Err(Error::new(
            ErrorCode::InvalidMessage,
            "page and worker speak different versions of the protocol; reload the page so that both are of one release",
        ));
    }
    #[cfg(feature = "faults")]
    if js::get(&data, "op").as_string().as_deref() == Some("panic") {
        panic!("asked to");
    }
    let bodies = js::get(&data, "bodies");
    let bodies: Vec<JsValue> = if Array::is_array(&bodies) { bodies.unchecked_into::<Array>().iter().collect() } else { Vec::new() };
    let envelope: Envelope = decode(data)
        .map_err(|reason| Error::new(ErrorCode::InvalidMessage, ["a message that this worker does not understand: ", &reason].concat()))?;
    let now = clock::now();
    let config = &engine.config;
    match envelope.op {
        Op::Enqueue { jobs, repeat } => store_jobs(engine, jobs, bodies, repeat).await,
        Op::Get(id) => {
            let job = engine.store.run(Mode::Read, async |db| read::get(db, &id, config).await).await?;
            job.map_or(Ok((JsValue::NULL, Then::Nothing)), |job| done(&job, Then::Nothing))
        }
        Op::List(filter) => {
            let jobs = engine.store.run(Mode::Read, async |db| read::list(db, &filter, config).await).await?;
            done(&jobs, Then::Nothing)
        }
        Op::Retry(id) => {
            let job = engine.store.run(Mode::Strict, async |db| hands::retry(db, now, &id, config).await).await?;
            let then = job.as_ref().map_or(Then::Nothing, |job| Then::Drain(vec![job.queue.clone()], Ripen::Nothing, None));
            done(&job.is_some(), then)
        }
        Op::Discard(id) => {
            let job = engine.store.run(Mode::Strict, async |db| hands::discard(db, now, &id).await).await?;
            // Those behind it may go now.
            let discarded = job.is_some();
            let then = job.map_or(Then::Nothing, |job| {
                Then::Drain(vec![job.queue], Ripen::Nothing, Some(Event::Removed(vec![job.id])))
            });
            done(&discarded, then)
        }
        Op::Edit { id, request, body } => edit(engine, id, request, body.then(|| bodies.into_iter().next()).flatten(), body).await,
        Op::Clear(filter) => {
            let cleared = engine.store.run(Mode::Strict, async |db| hands::clear(db, now, &filter).await).await?;
            done(&cleared, Then::Tell(Vec::new(), Some(Event::Removed(Vec::new()))))
        }
        Op::Sync(queue) => {
            let queues = match queue {
                Some(queue) => {
                    config.queue(&queue)?;
                    vec![queue]
                }
                None => engine.queues().await?,
            };
            let total = engine.drain_all(queues, Ripen::All).await?;
            done(&total.result, Then::Nothing)
        }
        Op::Pause(queue) => pause(engine, queue, true).await,
        Op::Resume(queue) => pause(engine, queue, false).await,
        Op::SetOwner(owner) => {
            if let Some(owner) = &owner {
                check_name("owner", owner)?;
            }
            let owner = owner.unwrap_or_default();
            engine.store.run(Mode::Strict, async |db| hands::set_owner(db, now, &owner, config).await).await?;
            let queues = engine.queues().await?;
            done(&(), Then::Drain(queues, Ripen::Nothing, None))
        }
        Op::Status => {
            let (ledger, next) = engine.outlook().await?;
            let mut status = engine.status(&ledger);
            status.next_sync_at = next;
            engine.seen.replace(ledger);
            done(&status, Then::Nothing)
        }
        Op::Wake(reason) => {
            engine.first_wake();
            let ripen = match reason {
                WakeReason::Online | WakeReason::Load | WakeReason::Visible => Ripen::Unreachable,
                WakeReason::Due => Ripen::Nothing,
            };
            done(&(), Then::Drain(engine.queues().await?, ripen, None))
        }
    }
}

fn done<T: Serialize>(ok: &T, then: Then) -> Result<(JsValue, Then), Error> {
    Ok((encode(ok)?, then))
}

async fn store_jobs(engine: &Rc<Engine>, jobs: Vec<NewJob>, bodies: Vec<JsValue>, repeat: bool) -> Result<(JsValue, Then), Error> {
    let mut bodies = bodies.into_iter();
    let mut admitted = Vec::with_capacity(jobs.len());
    let mut queues: Vec<String> = Vec::new();
    for mut job in jobs {
        let body = bodies.next().filter(|body| !body.is_undefined() && !body.is_null());
        let size = body.as_ref().map(body_size).transpose()?;
        let origin = parse_url(&mut job.request)?;
        let queue = job.options.queue.as_deref().unwrap_or(shearwater_core::config::DEFAULT_QUEUE);
        if !queues.iter().any(|known| known == queue) {
            queues.push(queue.to_owned());
        }
        let job = enqueue::admit(job, origin, size, &engine.config)?;
        if !job.taken.is_empty() {
            engine.log_info(&["credentials are not stored; the auth hook supplies them when sending: ", &job.taken.join(", ")].concat());
        }
        admitted.push((job, body));
    }
    let now = clock::now();
    let stored = engine.store.run(Mode::Strict, async |db| enqueue::enqueue(db, now, admitted.clone(), repeat).await).await?;
    let ids: Vec<JobId> = stored.into_iter().map(|(id, _)| id).collect();
    done(&ids, Then::Drain(queues, Ripen::Nothing, None))
}

async fn edit(
    engine: &Rc<Engine>,
    id: JobId,
    mut request: RequestHead,
    body: Option<JsValue>,
    replace: bool,
) -> Result<(JsValue, Then), Error> {
    let origin = parse_url(&mut request)?;
    let body = match body.filter(|body| !body.is_undefined() && !body.is_null()) {
        Some(body) => Some((body_size(&body)?, body)),
        None => None,
    };
    let key = clock::unique_name();
    let now = clock::now();
    let job = engine
        .store
        .run(Mode::Strict, async |db| {
            let body = match &body {
                _ if !replace => Body::Keep,
                None => Body::None,
                Some((size, body)) => Body::Replace(body.clone(), *size),
            };
            let change = Edit { request: request.clone(), origin: origin.clone(), body, idempotency_key: key.clone() };
            hands::edit(db, now, &id, change, &engine.config).await
        })
        .await?;
    let then = job.as_ref().map_or(Then::Nothing, |job| Then::Drain(vec![job.queue.clone()], Ripen::Nothing, None));
    done(&job.is_some(), then)
}

async fn pause(engine: &Rc<Engine>, queue: Option<String>, paused: bool) -> Result<(JsValue, Then), Error> {
    if let Some(queue) = &queue {
        engine.config.queue(queue)?;
    }
    engine.store.run(Mode::Strict, async |db| hands::pause(db, queue.as_deref(), paused).await).await?;
    let then = if paused { Then::Tell(Vec::new(), None) } else { Then::Drain(engine.queues().await?, Ripen::Nothing, None) };
    done(&(), then)
}

/// Has the platform parse the URL; answers its origin.
fn parse_url(request: &mut RequestHead) -> Result<String, Error> {
    let url = js::URL::new(&request.url).map_err(|_| Error::invalid_request("url is not an absolute URL"))?;
    if !url.username().is_empty() || !url.password().is_empty() {
        return Err(Error::invalid_request("url: credentials in a URL are never stored; use the auth hook"));
    }
    request.url = url.href();
    Ok(url.origin())
}

/// The size of a body, which is a `Blob` or an `ArrayBuffer`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates; sizes are not negative")]
fn body_size(body: &JsValue) -> Result<u64, Error> {
    js::get(body, "size")
        .as_f64()
        .or_else(|| js::get(body, "byteLength").as_f64())
        .map(|size| size as u64)
        .ok_or_else(|| Error::new(ErrorCode::InvalidMessage, "a body is a Blob or an ArrayBuffer"))
}

