//! Answers the pages' messages.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use js_sys::{Array, Function};
use shearwater_bridge::{decode, encode};
use shearwater_core::{
    Error, ErrorCode, JobId,
    boxed::boxed,
    http::fetchable,
    metrics,
    protocol::{self, Envelope, Event, Op, VERSION},
    queue::{
        config::check_name,
        enqueue::{self, NewJob},
        job::{Job, State},
        manage::{self, Body, Cancelled, Edit},
        request::RequestHead,
    },
    schedule::wakes::SkipBackoff,
    store::{
        Answer, Caller, Tx,
        ledger::Ledger,
        read::{self, Filter},
        receipts::Work,
        repair,
    },
    wire::{Wire, text::Text},
};
use wasm_bindgen::prelude::*;

use crate::{
    body, clock,
    engine::Engine,
    failpoints,
    intake::Arrival,
    js,
    latch::Latch,
    store::{Db, Mode},
};

/// An answer, and what remains to be done after it.
struct Done {
    ok: JsValue,
    /// What the answered change left, so that the page reads its own write.
    ledger: Option<Ledger>,
    /// Headers that were taken off new jobs, for a warning in the page.
    dropped: Vec<String>,
    then: Then,
}

impl Done {
    /// The answer to a change.
    fn after(ok: JsValue, ledger: Ledger, then: Then) -> Self {
        Self { ok, ledger: Some(ledger), dropped: Vec::new(), then }
    }
}

enum Then {
    Nothing,
    /// The status changed.
    Tell(Option<Event>),
    /// There may be something to send in these queues, and pages are to hear of this first.
    Drain(Vec<String>, Option<Event>, SkipBackoff),
    /// There are new jobs in these queues.
    Stored(Vec<String>),
    /// What waits in these queues may be tried.
    Wake(Vec<String>, SkipBackoff),
    /// The drains of these queues are to come to their end.
    WaitForDrains(Vec<String>),
}

/// Answers one message by `reply`, then does what it set off.
pub async fn handle(engine: &Rc<Engine>, data: JsValue, reply: Function) {
    let re = js::get(&data, "re").as_string().unwrap_or_default();
    let joined =
        engine.answering.borrow().iter().find(|(known, _)| !re.is_empty() && *known == re).map(|(_, latch)| latch.clone());
    if let Some(latch) = joined {
        // The same message again, while the first is still being worked on.
        post(engine, &reply, &latch.wait().await);
        return;
    }
    // Whatever a fresh worker is asked first, an earlier one may have left work in its hands.
    let first = engine.first_wake();
    let latch = Latch::new();
    engine.answering.borrow_mut().push((re.clone(), latch.clone()));
    let outcome = carry_out(engine, data).await;
    engine.answering.borrow_mut().retain(|(known, _)| *known != re);
    let (message, then) = match outcome {
        Ok(Done { ok, ledger, dropped, then }) => {
            let message = answer(&re, "ok", &ok);
            if !dropped.is_empty() {
                js::set(&message, "dropped", &encode(&dropped));
            }
            if let Some(ledger) = ledger {
                engine.saw(&ledger);
                // Of the owner who is signed in now: another may have signed in while the answer was on its way.
                let mut status = engine.status(&engine.seen.borrow());
                // What was stored can be sent now.
                let now = matches!(&then, Then::Stored(queues) if !queues.iter().all(|queue| engine.is_paused(queue)));
                status.next_sync_at = if now { Some(clock::now()) } else { engine.next().await };
                js::set(&message, "status", &encode(&status));
            }
            (message, then)
        }
        Err(error) => (answer(&re, "error", &encode(&error)), Then::Nothing),
    };
    if let Then::Drain(queues, ..) | Then::Stored(queues) = &then {
        // Asked for before the page hears that its job is safe: it may close the moment it does.
        for queue in queues.iter().filter(|queue| !engine.is_paused(queue)) {
            engine.register(queue);
        }
    }
    latch.open(message.clone());
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
                    drain(engine, &queues, SkipBackoff::None).await;
                    told.wait().await;
                }
                None => engine.tell_now(None).await,
            }
        }
        Then::Drain(mut queues, event, skip) => {
            queues.retain(|queue| !engine.is_paused(queue));
            if queues.is_empty() {
                engine.tell_now(event).await;
            } else {
                engine.tell_next(Some(clock::now()), event);
                drain(engine, &queues, skip).await;
            }
        }
        Then::Wake(queues, skip) => drain(engine, &queues, skip).await,
        Then::WaitForDrains(queues) => engine.wait_for_drains(&queues).await,
    }
    if first {
        match engine.queues().await {
            Ok(queues) => drain(engine, &queues, SkipBackoff::None).await,
            Err(error) => engine.log_error(&error.message),
        }
    }
}

async fn drain(engine: &Rc<Engine>, queues: &[String], skip: SkipBackoff) {
    if let Err(error) = engine.drain_all(queues, skip).await {
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
    let caller = envelope.caller();
    let now = clock::now();
    let config = &engine.config;
    // One at a time is what a message needs of these.
    let work = match envelope.op {
        Op::Enqueue(protocol::Enqueue { jobs, repeat }) => boxed(store_jobs(engine, jobs, bodies, repeat, caller)),
        Op::Get(id) => boxed(async move {
            let job = engine.store.run(Mode::Read, async |db| read::get(db, &id, config).await).await?;
            Ok(look(&job))
        }),
        Op::List(filter) => boxed(async move {
            let jobs = engine.store.run(Mode::Read, async |db| read::list(db, &filter, config).await).await?;
            Ok(look(&jobs))
        }),
        Op::Retry(id) => boxed(async move {
            let queue = RefCell::new(None);
            let changed = change(engine, &caller, "retry-after", &|db: Rc<Db>| {
                Box::pin(async {
                    let job = manage::retry(&*{ db }, now, &id, config).await?;
                    queue.replace(job.map(|job| job.queue));
                    Ok(Answer::InTime(queue.borrow().is_some()))
                })
            })
            .await?;
            Ok(changed.of_job(queue.take(), None))
        }),
        Op::Discard(id) => boxed(async move {
            let queue = RefCell::new(None);
            let changed = change(engine, &caller, "discard-after", &|db: Rc<Db>| {
                Box::pin(async {
                    let job = manage::discard(&*{ db }, now, &id).await?;
                    queue.replace(job.map(|job| job.queue));
                    Ok(Answer::InTime(queue.borrow().is_some()))
                })
            })
            .await?;
            // Those behind it may go now.
            Ok(changed.of_job(queue.take(), Some(Event::Removed(vec![id.clone()]))))
        }),
        Op::Cancel(id) => boxed(cancel(engine, id, caller)),
        Op::Edit(protocol::Edit { id, request, headers, body }) => {
            let bytes = bodies.into_iter().next().unwrap_or_default();
            boxed(edit(engine, id, request, headers, body.then_some(bytes), caller))
        }
        Op::Clear(filter) => boxed(async move {
            let changed = change(engine, &caller, "clear-after", &|db: Rc<Db>| {
                Box::pin(async { Ok(Answer::Removed(manage::clear(&*{ db }, now, &filter, &caller).await?)) })
            })
            .await?;
            changed.of_all(engine, Some(Event::Removed(Vec::new()))).await
        }),
        Op::Sync(queue) => boxed(sync(engine, queue, caller)),
        Op::Pause(queue) => boxed(pause(engine, queue, true, caller)),
        Op::Resume(queue) => boxed(pause(engine, queue, false, caller)),
        Op::SetOwner(protocol::SetOwner { owner, purge }) => boxed(set_owner(engine, owner, purge, caller)),
        Op::Metrics => boxed(async move {
            let (metrics, ledger) = engine
                .store
                .run(Mode::Read, async |db| Ok((metrics::read(db, now).await?, shearwater_core::store::read_ledger(db).await?)))
                .await?;
            let ok = encode(&metrics);
            js::set(&ok, "quarantine", &engine.store.quarantine(&ledger.owner).await?);
            Ok(Done { ok, ledger: None, dropped: Vec::new(), then: Then::Nothing })
        }),
        Op::Repair => boxed(async move {
            let changed = change(engine, &caller, "repair-after", &|db: Rc<Db>| {
                Box::pin(async { Ok(Answer::Repaired(repair::repair(&*{ db }).await?)) })
            })
            .await?;
            let owner = changed.ledger.owner.clone();
            // Dead leases are taken back by the drains that begin now.
            let done = changed.of_all(engine, None).await?;
            js::set(&done.ok, "quarantine", &engine.store.quarantine(&owner).await?);
            Ok(done)
        }),
        Op::Compact(protocol::Compact { failed }) => boxed(async move {
            let changed = change(engine, &caller, "compact-after", &|db: Rc<Db>| {
                Box::pin(async { Ok(Answer::Compacted(manage::compact(&*{ db }, now, failed, &caller, config).await?)) })
            })
            .await?;
            changed.of_all(engine, Some(Event::Removed(Vec::new()))).await
        }),
        Op::Export(filter) => boxed(export(engine, filter)),
        Op::Status => boxed(async move {
            let (ledger, next) = engine.ledger_and_next_wake().await?;
            let mut status = engine.status(&ledger);
            status.next_sync_at = next;
            engine.saw(&ledger);
            Ok(look(&status))
        }),
        Op::Wake(reason) => boxed(async move {
            let (queues, skip) = engine.due(reason).await?;
            // A drain tells at its end. Without one: what was committed last may never have been told, for
            // its worker was stopped in between, and the page wakes because it knows no better.
            let then = if queues.is_empty() { Then::Tell(None) } else { Then::Wake(queues, skip) };
            Ok(Done { ok: JsValue::NULL, ledger: None, dropped: Vec::new(), then })
        }),
    };
    work.await
}

/// Drains a queue, or all, until all that can be tried now was tried.
async fn sync(engine: &Rc<Engine>, queue: Option<String>, caller: Caller) -> Result<Done, Error> {
    let queues = match queue {
        Some(queue) => {
            engine.config.queue(&queue)?;
            let ledger = engine.ledger().await?;
            manage::check_queue(&ledger, caller.owner_or(&ledger.owner), &queue, &engine.config)?;
            vec![queue]
        }
        None => engine.queues().await?,
    };
    let result = engine.drain_now(&queues).await?;
    // The event lives on while the rest of the work does.
    Ok(Done::after(encode(&result), engine.ledger().await?, Then::WaitForDrains(queues)))
}

async fn set_owner(engine: &Rc<Engine>, owner: Option<String>, purge: Option<String>, caller: Caller) -> Result<Done, Error> {
    if let Some(owner) = &owner {
        check_name("owner", owner)?;
    }
    let (owner, now) = (owner.unwrap_or_default(), clock::now());
    // What was claimed for the one before and is not on its way yet, is not sent any more.
    let changes = engine.owner() != owner;
    if changes {
        engine.stop(&engine.owner(), None);
    }
    let changed = change(engine, &caller, "set-owner-after", &|db: Rc<Db>| {
        Box::pin(async {
            manage::set_owner(&*{ db }, now, &owner, purge.as_deref(), &engine.config).await?;
            Ok(Answer::Done)
        })
    })
    .await?;
    engine.saw(&changed.ledger);
    if changes {
        engine.sends.revoke();
        // One that began while this was being written has claimed before it.
        engine.stop_others();
    }
    changed.of_all(engine, None).await
}

/// Stops a job, be it on its way.
async fn cancel(engine: &Rc<Engine>, id: JobId, caller: Caller) -> Result<Done, Error> {
    let now = clock::now();
    let (queue, stopped) = (RefCell::new(None), Cell::new(false));
    let changed = change(engine, &caller, "cancel-after", &|db: Rc<Db>| {
        Box::pin(async {
            let cancelled = manage::cancel(&*{ db }, now, &id, &engine.config).await?;
            stopped.set(matches!(cancelled, Cancelled::Stopped(_)));
            if let Cancelled::Removed(job) | Cancelled::Stopped(job) = cancelled {
                queue.replace(Some(job.queue));
            }
            Ok(Answer::InTime(queue.borrow().is_some()))
        })
    })
    .await?;
    if !stopped.get() {
        return Ok(changed.of_job(queue.take(), Some(Event::Removed(vec![id]))));
    }
    engine.sends.cancel(&id);
    let running: Vec<_> = engine.running.borrow().iter().cloned().collect();
    for running in running {
        running.cancelled(engine, &id);
    }
    let job = engine.store.run(Mode::Read, async |db| read::get(db, &id, &engine.config).await).await?;
    engine.tell(engine.status(&changed.ledger), job.into_iter().collect(), None);
    Ok(changed.of_job(queue.take(), None))
}

/// A change that was carried out, for this message or for one before that is the same.
struct Changed {
    answer: Answer,
    repeated: bool,
    ledger: Ledger,
}

impl Changed {
    /// The answer to a change of one job: whether it came in time. `queue` is where the job is or was.
    fn of_job(self, queue: Option<String>, event: Option<Event>) -> Done {
        let then = queue.map_or(Then::Nothing, |queue| Then::Drain(vec![queue], event, SkipBackoff::None));
        Done::after(self.ok(), self.ledger, then)
    }

    /// The answer to a change of many jobs.
    async fn of_all(self, engine: &Rc<Engine>, event: Option<Event>) -> Result<Done, Error> {
        let then = Then::Drain(engine.queues().await?, event.filter(|_| !self.repeated), SkipBackoff::None);
        Ok(Done::after(self.ok(), self.ledger, then))
    }

    fn ok(&self) -> JsValue {
        match &self.answer {
            Answer::Done => JsValue::NULL,
            Answer::InTime(in_time) => JsValue::from_bool(*in_time),
            Answer::Removed(count) => encode(count),
            Answer::Compacted(compacted) => encode(compacted),
            Answer::Repaired(report) => encode(report),
        }
    }
}

/// Carries out a change that a person or the app asked for, once however often its message comes: it is on the disk
/// before it is answered. `point` is where the crash tests stop before the answer.
async fn change<'w>(
    engine: &'w Engine,
    caller: &'w Caller,
    point: &str,
    work: &'w (dyn Fn(Rc<Db>) -> Work<'w> + 'w),
) -> Result<Changed, Error> {
    change_in(engine, Mode::Strict, caller, point, work).await
}

async fn change_in<'w>(
    engine: &'w Engine,
    mode: Mode,
    caller: &'w Caller,
    point: &str,
    work: &'w (dyn Fn(Rc<Db>) -> Work<'w> + 'w),
) -> Result<Changed, Error> {
    let (answer, repeated, ledger) = engine.store.once(mode, caller, work).await?;
    engine.store.note_room();
    failpoints::reach(point).await;
    Ok(Changed { answer, repeated, ledger })
}

/// The answer to a question that changed nothing.
fn look<T: Wire>(ok: &T) -> Done {
    Done { ok: encode(ok), ledger: None, dropped: Vec::new(), then: Then::Nothing }
}

/// The envelope without what travels beside it.
fn without_bodies(data: &JsValue) -> Result<Envelope, shearwater_core::wire::Mismatch> {
    let plain = js_sys::Object::new();
    for name in ["shearwater", "re", "at", "owner", "op"] {
        js::set(&plain, name, &js::get(data, name));
    }
    decode(&plain)
}

async fn store_jobs(
    engine: &Rc<Engine>,
    mut jobs: Vec<NewJob>,
    bodies: Vec<JsValue>,
    repeat: bool,
    caller: Caller,
) -> Result<Done, Error> {
    let bodies = body::all(&mut jobs, bodies).await?;
    let mut admitted = Vec::with_capacity(jobs.len());
    let mut ids = Vec::with_capacity(jobs.len());
    let mut queues: Vec<String> = Vec::new();
    let mut dropped: Vec<String> = Vec::new();
    let mut total = 0;
    for (mut job, body) in jobs.into_iter().zip(bodies) {
        let size = body.as_ref().map(body_size).transpose()?;
        total += size.unwrap_or_default();
        let origin = parse_url(&mut job.request)?;
        fetchable::check(&job.request, &origin, &engine.origin)?;
        let queue = job.options.queue.as_deref().unwrap_or(shearwater_core::queue::config::DEFAULT_QUEUE);
        if !queues.iter().any(|known| known == queue) {
            queues.push(queue.to_owned());
        }
        ids.push(job.id.clone());
        let job = enqueue::admit(job, origin, size, &engine.config)?;
        for name in &job.taken {
            if !dropped.contains(name) {
                dropped.push(name.clone());
            }
        }
        admitted.push((job, body));
    }
    failpoints::reach("enqueue-before").await;
    let ledger = engine.take_in(Arrival { caller, jobs: admitted, repeat, size: total }).await?;
    failpoints::reach("enqueue-after").await;
    Ok(Done { dropped, ..Done::after(encode(&ids), ledger, Then::Stored(queues)) })
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
                    let Some(job) = db.get::<Job>(&view.id).await? else { continue };
                    let entry = encode(&view);
                    js::set(&entry, "headers", &encode(&job.work.request().head.headers));
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
    Ok(Done { ok: jobs.into(), ledger: None, dropped: Vec::new(), then: Then::Nothing })
}

async fn edit(
    engine: &Rc<Engine>,
    id: JobId,
    mut request: RequestHead,
    headers: bool,
    bytes: Option<JsValue>,
    caller: Caller,
) -> Result<Done, Error> {
    let origin = if request.url.is_empty() { None } else { Some(parse_url(&mut request)?) };
    let bytes = match bytes {
        Some(bytes) => Some(body::own(bytes).await?),
        None => None,
    };
    let size = bytes.iter().flatten().next().map(body_size).transpose()?;
    let new_key = clock::unique_name();
    let now = clock::now();
    let room = size.unwrap_or_default();
    engine.store.expect_room(room)?;
    let queue = RefCell::new(None);
    let changed = change_in(engine, Mode::Intake, &caller, "edit-after", &|db: Rc<Db>| {
        Box::pin(async {
            let db = db;
            let body = match &bytes {
                None => Body::Keep,
                Some(None) => Body::None,
                Some(Some(bytes)) => Body::Replace(bytes.clone(), size.unwrap_or_default()),
            };
            let (mut request, mut key) = (request.clone(), new_key.clone());
            if let Some(job) = db.get::<Job>(&id).await? {
                if let Some(header) = engine.config.queue_or_default(&job.queue).idempotency.header() {
                    match request.given_key(header)? {
                        Some(given) => key = given,
                        // The key that the app gave belongs to what the request was before.
                        None if !headers && job.work.request().head.given_key(header).is_ok_and(|key| key.is_some()) => {
                            request.headers.push((header.to_ascii_lowercase(), ["\"", &key, "\""].text()));
                        }
                        None => {}
                    }
                }
                let stored = job.work.request();
                let mut whole = stored.head.clone();
                whole.change(request.clone(), headers);
                fetchable::check(&whole, origin.as_ref().unwrap_or(&stored.origin), &engine.origin)?;
            }
            let edit = Edit { request, headers, origin: origin.clone(), body, idempotency_key: key };
            let job = manage::edit(&*db, now, &id, edit, &engine.config).await?;
            queue.replace(job.map(|job| job.queue));
            Ok(Answer::InTime(queue.borrow().is_some()))
        })
    })
    .await;
    if changed.as_ref().is_err_and(|error| error.code == ErrorCode::QuotaExceeded) {
        engine.store.note_full(room);
    }
    Ok(changed?.of_job(queue.take(), None))
}

async fn pause(engine: &Rc<Engine>, queue: Option<String>, paused: bool, caller: Caller) -> Result<Done, Error> {
    if let Some(queue) = &queue {
        engine.config.queue(queue)?;
    }
    let changed = change(engine, &caller, "pause-after", &|db: Rc<Db>| {
        Box::pin(async {
            manage::pause(&*{ db }, queue.as_deref(), paused, &caller, &engine.config).await?;
            Ok(Answer::Done)
        })
    })
    .await?;
    if paused {
        // A message that comes again changes nothing: somebody may have resumed since.
        if !changed.repeated {
            engine.stop(caller.owner_or(&changed.ledger.owner), queue.as_deref());
        }
        return Ok(Done::after(changed.ok(), changed.ledger, Then::Tell(None)));
    }
    engine.saw(&changed.ledger);
    // Whoever resumes hopes, as one whose network is back does.
    let queues = engine.queues().await?;
    Ok(Done::after(changed.ok(), changed.ledger, Then::Drain(queues, None, SkipBackoff::Unreachable)))
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
