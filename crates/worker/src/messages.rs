//! Answers the pages' messages.

use std::{cell::Cell, rc::Rc};

use js_sys::{Array, Function};
use shearwater_bridge::{decode, encode};
use shearwater_core::{
    Error, ErrorCode, JobId,
    apart::apart,
    config::check_name,
    fetchable,
    job::State,
    ledger::Ledger,
    protocol::{self, Envelope, Event, Op, VERSION},
    request::RequestHead,
    store::{
        Tx,
        enqueue::{self, NewJob},
        hands::{self, Body, Edit},
        read::{self, Filter},
        repair,
        turn::Ripen,
    },
    text::{Text, listed},
    wire::Wire,
};
use wasm_bindgen::prelude::*;

use crate::{body, clock, engine::Engine, gate::Gate, idb::Mode, js, points, store::Db};

/// An answer, and what remains to be done after it.
struct Done {
    ok: JsValue,
    /// What the answered change left, so that the page reads its own write.
    ledger: Option<Ledger>,
    then: Then,
}

enum Then {
    Nothing,
    /// The status changed.
    Tell(Option<Event>),
    /// There may be something to send in these queues, and pages are to hear of this first.
    Drain(Vec<String>, Option<Event>),
    /// There are new jobs in these queues.
    Stored(Vec<String>),
    /// What waits in these queues may be tried.
    Wake(Vec<String>, Ripen),
    /// The drains of these queues are to come to their end.
    Linger(Vec<String>),
}

/// Answers one message by `reply`, then does what it set off.
pub async fn handle(engine: &Rc<Engine>, data: JsValue, reply: Function) {
    let re = js::get(&data, "re").as_string().unwrap_or_default();
    let joined = engine.answering.borrow().iter().find(|(known, _)| !re.is_empty() && *known == re).map(|(_, gate)| gate.clone());
    if let Some(gate) = joined {
        // The same message again, while the first is still being worked on.
        post(engine, &reply, &gate.passed().await);
        return;
    }
    // Whatever a fresh worker is asked first, an earlier one may have left work in its hands.
    let first = engine.first_wake();
    let gate = Gate::new();
    engine.answering.borrow_mut().push((re.clone(), gate.clone()));
    let outcome = carry_out(engine, data).await;
    engine.answering.borrow_mut().retain(|(known, _)| *known != re);
    let (message, then) = match outcome {
        Ok(Done { ok, ledger, then }) => {
            let message = answer(&re, "ok", &ok);
            if let Some(ledger) = ledger {
                let mut status = engine.status(&ledger);
                engine.seen.replace(ledger);
                // What was stored can be sent now.
                let now = matches!(&then, Then::Stored(queues) if !queues.iter().all(|queue| engine.is_paused(queue)));
                status.next_sync_at = if now { Some(clock::now()) } else { engine.next().await };
                js::set(&message, "status", &encode(&status));
            }
            (message, then)
        }
        Err(error) => (answer(&re, "error", &encode(&error)), Then::Nothing),
    };
    if let Then::Drain(queues, _) | Then::Stored(queues) = &then {
        // Asked for before the page hears that its job is safe: it may close the moment it does.
        for queue in queues.iter().filter(|queue| !engine.is_paused(queue)) {
            engine.register(queue);
        }
    }
    gate.open(message.clone());
    post(engine, &reply, &message);
    match then {
        Then::Nothing => {}
        Then::Tell(event) => engine.tell_now(event).await,
        Then::Stored(mut queues) => {
            queues.retain(|queue| !engine.is_paused(queue));
            // A job more in a queue that is paused is due no sooner than all the others.
            let next = if queues.is_empty() { engine.told.get() } else { Some(Some(clock::now())) };
            match next {
                Some(next) => {
                    let told = engine.tell_soon(next);
                    drain(engine, &queues, Ripen::Nothing).await;
                    told.passed().await;
                }
                None => engine.tell_now(None).await,
            }
        }
        Then::Drain(mut queues, event) => {
            queues.retain(|queue| !engine.is_paused(queue));
            if queues.is_empty() {
                engine.tell_now(event).await;
            } else {
                engine.tell_next(Some(clock::now()), event);
                drain(engine, &queues, Ripen::Nothing).await;
            }
        }
        Then::Wake(queues, ripen) => drain(engine, &queues, ripen).await,
        Then::Linger(queues) => engine.linger(&queues).await,
    }
    if first {
        match engine.queues().await {
            Ok(queues) => drain(engine, &queues, Ripen::Nothing).await,
            Err(error) => engine.log_error(&error.message),
        }
    }
}

async fn drain(engine: &Rc<Engine>, queues: &[String], ripen: Ripen) {
    if let Err(error) = engine.drain_all(queues, ripen).await {
        engine.log_error(&error.message);
    }
}

fn answer(re: &str, name: &'static str, value: &JsValue) -> JsValue {
    let message = js_sys::Object::new();
    js::set(&message, "shearwater", &js::number(u64::from(VERSION)));
    js::set(&message, "re", &JsValue::from_str(re));
    js::set(&message, name, value);
    message.into()
}

fn post(engine: &Engine, reply: &Function, message: &JsValue) {
    if let Err(error) = reply.call1(&JsValue::NULL, message) {
        engine.log_error(&["a page could not be answered: ", &js::message_of(&error)].text());
    }
}

async fn carry_out(engine: &Rc<Engine>, data: JsValue) -> Result<Done, Error> {
    if js::get(&data, "shearwater").as_f64() != Some(f64::from(VERSION)) {
        return Err(Error::new(
            ErrorCode::InvalidMessage,
            "page and worker speak different versions of the protocol; reload the page so that both are of one release",
        ));
    }
    #[cfg(feature = "faults")]
    if js::get(&data, "op").as_string().as_deref() == Some("panic") {
        panic!("asked to"); // only with the feature `faults`, which never ships
    }
    let bodies = body::beside(&data)?;
    let envelope: Envelope = without_bodies(&data).map_err(|mismatch| {
        Error::new(ErrorCode::InvalidMessage, ["a message that this worker does not understand: ", &mismatch.to_string()].text())
    })?;
    let now = clock::now();
    let config = &engine.config;
    // One at a time is what a message needs of these.
    let work = match envelope.op {
        Op::Enqueue(protocol::Enqueue { jobs, repeat }) => apart(store_jobs(engine, jobs, bodies, repeat)),
        Op::Get(id) => apart(async move {
            let job = engine.store.run(Mode::Read, async |db| read::get(db, &id, config).await).await?;
            Ok(look(&job))
        }),
        Op::List(filter) => apart(async move {
            let jobs = engine.store.run(Mode::Read, async |db| read::list(db, &filter, config).await).await?;
            Ok(look(&jobs))
        }),
        Op::Retry(id) => apart(async move {
            let (job, ledger) = change(engine, async |db| hands::retry(db, now, &id, config).await).await?;
            Ok(changed(job.map(|job| job.queue), ledger, None))
        }),
        Op::Discard(id) => apart(async move {
            let (job, ledger) = change(engine, async |db| hands::discard(db, now, &id).await).await?;
            // Those behind it may go now.
            Ok(changed(job.map(|job| job.queue), ledger, Some(Event::Removed(vec![id]))))
        }),
        Op::Edit(protocol::Edit { id, request, headers, body }) => {
            let bytes = bodies.into_iter().next().unwrap_or_default();
            apart(edit(engine, id, request, headers, body.then_some(bytes)))
        }
        Op::Clear(filter) => apart(async move {
            let (cleared, ledger) = change(engine, async |db| hands::clear(db, now, &filter).await).await?;
            let then = Then::Drain(engine.queues().await?, Some(Event::Removed(Vec::new())));
            Ok(Done { ok: encode(&cleared), ledger: Some(ledger), then })
        }),
        Op::Sync(queue) => apart(sync(engine, queue)),
        Op::Pause(queue) => apart(pause(engine, queue, true)),
        Op::Resume(queue) => apart(pause(engine, queue, false)),
        Op::SetOwner(protocol::SetOwner { owner, purge }) => apart(set_owner(engine, owner, purge)),
        Op::Metrics => apart(async move {
            let metrics = engine.store.run(Mode::Read, async |db| read::metrics(db, now).await).await?;
            let ok = encode(&metrics);
            js::set(&ok, "quarantine", &engine.store.quarantine().await?);
            Ok(Done { ok, ledger: None, then: Then::Nothing })
        }),
        Op::Repair => apart(async move {
            let (report, ledger) = change(engine, async |db| repair::repair(db).await).await?;
            // Dead leases are taken back by the drains that begin now.
            let then = Then::Drain(engine.queues().await?, None);
            let ok = encode(&report);
            js::set(&ok, "quarantine", &engine.store.quarantine().await?);
            Ok(Done { ok, ledger: Some(ledger), then })
        }),
        Op::Compact(protocol::Compact { failed }) => apart(async move {
            let (compacted, ledger) = change(engine, async |db| hands::compact(db, now, failed, config).await).await?;
            let then = Then::Drain(engine.queues().await?, Some(Event::Removed(Vec::new())));
            Ok(Done { ok: encode(&compacted), ledger: Some(ledger), then })
        }),
        Op::Export(filter) => apart(export(engine, filter)),
        Op::Status => apart(async move {
            let (ledger, next) = engine.outlook().await?;
            let mut status = engine.status(&ledger);
            status.next_sync_at = next;
            engine.seen.replace(ledger);
            Ok(look(&status))
        }),
        Op::Wake(reason) => apart(async move {
            let (queues, ripen) = engine.due(reason).await?;
            // A drain tells at its end. Without one: what was committed last may never have been told, for
            // its worker was stopped in between, and the page wakes because it knows no better.
            let then = if queues.is_empty() { Then::Tell(None) } else { Then::Wake(queues, ripen) };
            Ok(Done { ok: JsValue::NULL, ledger: None, then })
        }),
    };
    work.await
}

/// Drains a queue, or all, until all that can be tried now was tried.
async fn sync(engine: &Rc<Engine>, queue: Option<String>) -> Result<Done, Error> {
    let queues = match queue {
        Some(queue) => {
            engine.config.queue(&queue)?;
            vec![queue]
        }
        None => engine.queues().await?,
    };
    let result = engine.drain_now(&queues).await?;
    // The event lives on while the rest of the work does.
    Ok(Done { ok: encode(&result), ledger: Some(engine.ledger().await?), then: Then::Linger(queues) })
}

async fn set_owner(engine: &Rc<Engine>, owner: Option<String>, purge: bool) -> Result<Done, Error> {
    if let Some(owner) = &owner {
        check_name("owner", owner)?;
    }
    let (owner, now) = (owner.unwrap_or_default(), clock::now());
    // What was claimed for the one before and is not on its way yet, is not sent any more.
    engine.owner.replace(Some(owner.clone()));
    engine.stop(None);
    let outcome = change(engine, async |db| hands::set_owner(db, now, &owner, purge, &engine.config).await.map(drop)).await;
    let ((), ledger) = outcome.inspect_err(|_| drop(engine.owner.take()))?;
    engine.stop(None);
    let then = Then::Drain(engine.queues().await?, None);
    Ok(Done { ok: JsValue::NULL, ledger: Some(ledger), then })
}

/// Runs a change that a person or the app asked for: on the disk before it is answered.
async fn change<R>(engine: &Engine, work: impl AsyncFn(&Db) -> Result<R, Error>) -> Result<(R, Ledger), Error> {
    let outcome = write(engine, Mode::Strict, work).await?;
    engine.store.note_room();
    Ok(outcome)
}

/// Runs a change that takes in something new, of so many bytes; of what may be stored already, none.
async fn take_in<R>(
    engine: &Engine,
    size: Option<u64>,
    work: impl AsyncFn(&Db) -> Result<R, Error>,
) -> Result<(R, Ledger), Error> {
    let Some(size) = size else { return write(engine, Mode::Intake, work).await };
    engine.store.expect_room(size)?;
    let outcome = write(engine, Mode::Intake, work).await;
    if outcome.as_ref().is_err_and(|error| error.code == ErrorCode::QuotaExceeded) {
        engine.store.note_full(size);
    }
    outcome
}

async fn write<R>(engine: &Engine, mode: Mode, work: impl AsyncFn(&Db) -> Result<R, Error>) -> Result<(R, Ledger), Error> {
    engine
        .store
        .run(mode, async |db| {
            let outcome = work(db).await?;
            Ok((outcome, shearwater_core::store::ledger(db).await?))
        })
        .await
}

/// The answer to a question that changed nothing.
fn look<T: Wire>(ok: &T) -> Done {
    Done { ok: encode(ok), ledger: None, then: Then::Nothing }
}

/// The answer to a change of one job: whether it came in time, that is, whether the job's queue is known.
fn changed(queue: Option<String>, ledger: Ledger, event: Option<Event>) -> Done {
    let ok = JsValue::from_bool(queue.is_some());
    let then = queue.map_or(Then::Nothing, |queue| Then::Drain(vec![queue], event));
    Done { ok, ledger: Some(ledger), then }
}

/// The envelope without what travels beside it.
fn without_bodies(data: &JsValue) -> Result<Envelope, shearwater_core::wire::Mismatch> {
    let plain = js_sys::Object::new();
    for name in ["shearwater", "re", "op"] {
        js::set(&plain, name, &js::get(data, name));
    }
    decode(&plain)
}

async fn store_jobs(engine: &Rc<Engine>, mut jobs: Vec<NewJob>, bodies: Vec<JsValue>, repeat: bool) -> Result<Done, Error> {
    let bodies = body::all(&mut jobs, bodies).await?;
    let mut admitted = Vec::with_capacity(jobs.len());
    let mut queues: Vec<String> = Vec::new();
    let mut total = 0;
    for (mut job, body) in jobs.into_iter().zip(bodies) {
        let size = body.as_ref().map(body_size).transpose()?;
        total += size.unwrap_or_default();
        let origin = parse_url(&mut job.request)?;
        fetchable::check(&job.request, &origin, &engine.origin)?;
        let queue = job.options.queue.as_deref().unwrap_or(shearwater_core::config::DEFAULT_QUEUE);
        if !queues.iter().any(|known| known == queue) {
            queues.push(queue.to_owned());
        }
        let job = enqueue::admit(job, origin, size, &engine.config)?;
        if !job.taken.is_empty() {
            engine.log_info(
                &["credentials are not stored; the auth hook supplies them when sending: ", &listed(&job.taken)].text(),
            );
        }
        admitted.push((job, body));
    }
    points::reach("enqueue-before").await;
    let now = clock::now();
    // A commit whose end was lost with the connection may have been one: what is run again looks first.
    let again = Cell::new(repeat);
    let (stored, ledger) = take_in(engine, (!repeat).then_some(total), async |db| {
        enqueue::enqueue(db, now, admitted.clone(), again.replace(true)).await
    })
    .await?;
    points::reach("enqueue-after").await;
    let ids: Vec<JobId> = stored.into_iter().map(|(id, _)| id).collect();
    Ok(Done { ok: encode(&ids), ledger: Some(ledger), then: Then::Stored(queues) })
}

/// Dead letters with their whole requests, for a person to carry elsewhere.
async fn export(engine: &Rc<Engine>, filter: Filter) -> Result<Done, Error> {
    let jobs = Array::new();
    for state in [State::Failed, State::Conflict, State::Blocked].into_iter().filter(|state| filter.takes_state(*state)) {
        let filter = Filter { state: Some(state), ..filter.clone() };
        let page = engine
            .store
            .run(Mode::Read, async |db| {
                let page = Array::new();
                for view in read::list(db, &filter, &engine.config).await? {
                    let Some(job) = db.job(&view.id).await? else { continue };
                    let entry = encode(&view);
                    js::set(&entry, "headers", &encode(&job.request.headers));
                    js::set(&entry, "body", &db.bodies(&[&job]).await?.pop().unwrap_or_default());
                    page.push(&entry);
                }
                Ok(page)
            })
            .await?;
        for job in page.iter() {
            jobs.push(&job);
        }
    }
    Ok(Done { ok: jobs.into(), ledger: None, then: Then::Nothing })
}

async fn edit(
    engine: &Rc<Engine>,
    id: JobId,
    mut request: RequestHead,
    headers: bool,
    bytes: Option<JsValue>,
) -> Result<Done, Error> {
    let origin = if request.url.is_empty() { None } else { Some(parse_url(&mut request)?) };
    let bytes = match bytes {
        Some(bytes) => Some(body::own(bytes).await?),
        None => None,
    };
    let size = bytes.iter().flatten().next().map(body_size).transpose()?;
    let new_key = clock::unique_name();
    let now = clock::now();
    let (job, ledger) = take_in(engine, Some(size.unwrap_or_default()), async |db| {
        let body = match &bytes {
            None => Body::Keep,
            Some(None) => Body::None,
            Some(Some(bytes)) => Body::Replace(bytes.clone(), size.unwrap_or_default()),
        };
        let (mut request, mut key) = (request.clone(), new_key.clone());
        if let Some(job) = db.job(&id).await? {
            if let Some(header) = engine.config.queue_or_default(&job.queue).idempotency.header() {
                match request.given_key(header)? {
                    Some(given) => key = given,
                    // The key that the app gave belongs to what the request was before.
                    None if !headers && job.request.given_key(header).is_ok_and(|key| key.is_some()) => {
                        request.headers.push((header.to_ascii_lowercase(), ["\"", &key, "\""].text()));
                    }
                    None => {}
                }
            }
            let mut whole = job.request;
            whole.change(request.clone(), headers);
            fetchable::check(&whole, origin.as_ref().unwrap_or(&job.origin), &engine.origin)?;
        }
        let edit = Edit { request, headers, origin: origin.clone(), body, idempotency_key: key };
        hands::edit(db, now, &id, edit, &engine.config).await
    })
    .await?;
    Ok(changed(job.map(|job| job.queue), ledger, None))
}

async fn pause(engine: &Rc<Engine>, queue: Option<String>, paused: bool) -> Result<Done, Error> {
    if let Some(queue) = &queue {
        engine.config.queue(queue)?;
    }
    if paused {
        engine.stop(queue.as_deref());
    }
    let ((), ledger) = change(engine, async |db| hands::pause(db, queue.as_deref(), paused).await.map(drop)).await?;
    if paused {
        // One that began while the pause was being written has claimed before it.
        engine.stop(queue.as_deref());
    }
    let then = if paused { Then::Tell(None) } else { Then::Drain(engine.queues().await?, None) };
    Ok(Done { ok: JsValue::NULL, ledger: Some(ledger), then })
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
