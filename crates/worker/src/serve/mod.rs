//! Serves the pages' messages: receives one, has its domain carry it out, responds, and does what follows from it.
//!
//! A handler makes its answer by its operation's type ([`shearwater_core::protocol::operations`]), so that it has the type
//! of the table, and is a question or a change as the table says. What a page asked to change is on the disk before it is told.

mod control;
mod drafts;
mod enqueue;
mod jobs;
mod maintenance;
mod owners;
#[cfg(feature = "full")]
mod records;

use std::{cell::RefCell, rc::Rc};

use js_sys::Function;
use shearwater_core::{
    Error, ErrorCode, JobId,
    boxed::boxed,
    protocol::{Envelope, Event, Op, Operation, Remembered, Response, VERSION, Written},
    queue::job::Job,
    schedule::wakes::SkipBackoff,
    store::{Answer, Caller, ledger::Ledger, receipts::Work},
    wire::{Mismatch, text::Text},
};
use shearwater_web::{decode, parse, spell};
use wasm_bindgen::prelude::*;

use crate::{
    body, clock,
    engine::Engine,
    failpoints, js,
    latch::Latch,
    store::{Access, Db, Mode},
};

/// Messages that are being served, by the page's `re`: one that is repeated joins the first.
#[derive(Default)]
pub struct UnderWay(RefCell<Vec<(String, Latch<JsValue>)>>);

impl UnderWay {
    fn find(&self, re: &str) -> Option<Latch<JsValue>> {
        self.0.borrow().iter().find(|(known, _)| !re.is_empty() && known == re).map(|(_, latch)| latch.clone())
    }

    fn begin(&self, re: &str) -> Latch<JsValue> {
        let latch = Latch::new();
        self.0.borrow_mut().push((re.to_owned(), latch.clone()));
        latch
    }

    fn end(&self, re: &str) {
        self.0.borrow_mut().retain(|(known, _)| known != re);
    }
}

/// An operation's answer, and what remains to be done after it. It is made by the operation's type and written at once, so
/// that what is around it exists once for all operations.
struct Served {
    ok: Written,
    /// Bodies of the answer's items, or of the one answer, which travel by reference.
    bodies: Vec<JsValue>,
    /// What the change left, so that the page reads its own write.
    ledger: Option<Ledger>,
    /// Headers that were taken off new jobs, for a warning in the page.
    dropped: Vec<String>,
    then: Then,
}

impl Served {
    /// The answer to a question.
    fn looked<O: Operation>(answer: &O::Answer) -> Self {
        const { assert!(!O::CHANGES, "a change goes by `after`") };
        Self::new(Written::of::<O>(answer, spell), None, Then::Nothing)
    }

    /// The answer to a change.
    fn after<O: Operation>(answer: &O::Answer, ledger: Ledger, then: Then) -> Self {
        const { assert!(O::CHANGES, "a question goes by `looked`") };
        Self::new(Written::of::<O>(answer, spell), Some(ledger), then)
    }

    #[inline(never)]
    fn new(ok: Written, ledger: Option<Ledger>, then: Then) -> Self {
        Self { ok, bodies: Vec::new(), ledger, dropped: Vec::new(), then }
    }
}

/// What follows from a message that was served.
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

/// Serves one message: responds by `reply`, then does what it set off.
pub async fn receive(engine: &Rc<Engine>, data: JsValue, reply: Function) {
    let re = js::get(&data, "re").as_string().unwrap_or_default();
    if let Some(latch) = engine.under_way.find(&re) {
        // The same message again, while the first is still being worked on.
        post(engine, &reply, &latch.wait().await);
        return;
    }
    // Whatever a fresh worker is asked first, an earlier one may have left work in its hands.
    let first = engine.first_wake();
    let latch = engine.under_way.begin(&re);
    let outcome = carry_out(engine, data).await;
    engine.under_way.end(&re);
    let (message, then) = respond(engine, re, outcome).await;
    if let Then::Drain(queues, ..) | Then::Stored(queues) = &then {
        // Asked for before the page hears that its job is safe: it may close the moment it does.
        for queue in queues.iter().filter(|queue| !engine.is_paused(queue)) {
            engine.register(queue);
        }
    }
    latch.open(message.clone());
    post(engine, &reply, &message);
    follow(engine, then).await;
    if first {
        match engine.queues().await {
            Ok(queues) => drain(engine, &queues, SkipBackoff::None).await,
            Err(error) => engine.log_error(&error.message),
        }
    }
}

/// The message back to the page, and what follows.
async fn respond(engine: &Engine, re: String, outcome: Result<Served, Error>) -> (JsValue, Then) {
    let Served { ok, bodies, ledger, dropped, then } = match outcome {
        Ok(served) => served,
        Err(error) => return (parse(&Response::new(re, Err(error)).text(spell)), Then::Nothing),
    };
    let mut response = Response::new(re, Ok(ok));
    response.dropped = dropped;
    if let Some(ledger) = ledger {
        engine.saw(&ledger);
        // Of the owner who is signed in now: another may have signed in while the answer was on its way.
        let mut status = engine.status(&engine.latest());
        // What was stored can be sent now.
        let now = matches!(&then, Then::Stored(queues) if !engine.is_held(queues));
        status.next_sync_at = if now { Some(clock::now()) } else { engine.next().await };
        response.status = Some(status);
    }
    let message = parse(&response.text(spell));
    if !bodies.is_empty() {
        let ok = js::get(&message, "ok");
        if js_sys::Array::is_array(&ok) {
            for (item, body) in js_sys::Array::from(&ok).iter().zip(bodies) {
                js::set(&item, "body", &body);
            }
        } else {
            js::set(&ok, "bodies", &js::array(bodies));
        }
    }
    (message, then)
}

/// Does what a message set off.
async fn follow(engine: &Rc<Engine>, then: Then) {
    match then {
        Then::Nothing => {}
        Then::Tell(event) => engine.tell_now(event).await,
        Then::Stored(mut queues) => {
            queues.retain(|queue| !engine.is_paused(queue));
            // A job more that is held is due no sooner than all the others.
            let next = if engine.is_held(&queues) { engine.broadcaster.told() } else { Some(Some(clock::now())) };
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
}

async fn drain(engine: &Rc<Engine>, queues: &[String], skip: SkipBackoff) {
    if let Err(error) = engine.drain_all(queues, skip).await {
        engine.log_error(&error.message);
    }
}

fn post(engine: &Engine, reply: &Function, message: &JsValue) {
    if let Err(error) = reply.call1(&JsValue::NULL, message) {
        engine.log_error(&["a page could not be answered: ", &js::message_of(&error)].text());
    }
}

async fn carry_out(engine: &Rc<Engine>, data: JsValue) -> Result<Served, Error> {
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
    // One at a time is what a message needs of these.
    let work = match envelope.op {
        Op::Enqueue(request) => boxed(enqueue::enqueue(engine, request, bodies, caller)),
        Op::Get(id) => boxed(jobs::get(engine, id)),
        Op::List(filter) => boxed(jobs::list(engine, filter)),
        Op::Retry(id) => boxed(jobs::retry(engine, id, caller)),
        Op::Discard(id) => boxed(jobs::discard(engine, id, caller)),
        Op::Cancel(id) => boxed(jobs::cancel(engine, id, caller)),
        Op::Edit(request) => boxed(jobs::edit(engine, request, bodies, caller)),
        Op::Clear(filter) => boxed(jobs::clear(engine, filter, caller)),
        Op::Export(filter) => boxed(jobs::export(engine, filter)),
        Op::Sync(queue) => boxed(control::sync(engine, queue, caller)),
        Op::Pause(queue) => boxed(control::pause(engine, queue, true, caller)),
        Op::Resume(queue) => boxed(control::pause(engine, queue, false, caller)),
        Op::Wake(reason) => boxed(control::wake(engine, reason)),
        Op::Content(id) => boxed(drafts::content(engine, id)),
        Op::DraftSave(request) => boxed(drafts::save(engine, request, bodies, caller)),
        Op::DraftList(form) => boxed(drafts::list(engine, form, caller)),
        Op::DraftLoad(id) => boxed(drafts::load(engine, id, caller)),
        Op::DraftClaim(request) => boxed(drafts::claim(engine, request, caller)),
        Op::DraftDiscard(id) => boxed(drafts::discard(engine, id, caller)),
        #[cfg(feature = "full")]
        Op::RecordWrite(request) => boxed(records::write(engine, request, caller)),
        #[cfg(feature = "full")]
        Op::RecordUndo(name) => boxed(records::undo(engine, name, caller)),
        #[cfg(feature = "full")]
        Op::RecordResolve(request) => boxed(records::resolve(engine, request, caller)),
        #[cfg(feature = "full")]
        Op::RecordSync(collection) => boxed(records::sync(engine, collection)),
        #[cfg(feature = "full")]
        Op::RecordList(request) => boxed(records::list(engine, request)),
        #[cfg(feature = "full")]
        Op::RecordCleanUp(request) => boxed(records::clean_up(engine, request, caller)),
        #[cfg(not(feature = "full"))]
        Op::RecordWrite(_)
        | Op::RecordUndo(_)
        | Op::RecordResolve(_)
        | Op::RecordSync(_)
        | Op::RecordList(_)
        | Op::RecordCleanUp(_) => {
            return Err(Error::invalid_request("this worker has no collections: name them in start({collections})"));
        }
        Op::Status => boxed(control::status(engine)),
        Op::SetNetworkPolicy(change) => boxed(control::set_network(engine, change, caller)),
        Op::SetOwner(request) => boxed(owners::set_owner(engine, request, caller)),
        Op::Metrics => boxed(maintenance::metrics(engine)),
        Op::Repair => boxed(maintenance::repair(engine, caller)),
        Op::Compact(request) => boxed(maintenance::compact(engine, request, caller)),
    };
    work.await
}

/// A change that was carried out, for this message or for one before that is the same.
struct Changed {
    answer: Answer,
    repeated: bool,
    ledger: Ledger,
}

impl Changed {
    /// The answer to a change of one job: whether it came in time. `queue` is where the job is or was.
    fn of_job<O: Operation<Answer = bool>>(self, queue: Option<String>, event: Option<Event>) -> Result<Served, Error> {
        let then = queue.map_or(Then::Nothing, |queue| Then::Drain(vec![queue], event, SkipBackoff::None));
        self.served::<O>(then)
    }

    /// The answer to the removal of a job and of those that waited for it.
    fn of_removal<O: Operation<Answer = bool>>(self, removed: &[Job], id: JobId) -> Result<Served, Error> {
        let mut queues: Vec<String> = Vec::new();
        for job in removed {
            if !queues.contains(&job.queue) {
                queues.push(job.queue.clone());
            }
        }
        // Those behind them may go now.
        let then = if queues.is_empty() {
            Then::Nothing
        } else {
            let ids = std::iter::once(id.clone()).chain(removed.iter().map(|job| job.id.clone()).filter(|other| *other != id));
            Then::Drain(queues, Some(Event::Removed(ids.collect())), SkipBackoff::None)
        };
        self.served::<O>(then)
    }

    /// What follows from a change of many jobs.
    async fn drain_all(&self, engine: &Rc<Engine>, event: Option<Event>) -> Result<Then, Error> {
        Ok(Then::Drain(engine.queues().await?, event.filter(|_| !self.repeated), SkipBackoff::None))
    }

    fn served<O: Operation<Answer: Remembered>>(self, then: Then) -> Result<Served, Error> {
        Ok(Served::after::<O>(&O::Answer::recall(&self.answer)?, self.ledger, then))
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
    access: impl Into<Access>,
    caller: &'w Caller,
    point: &str,
    work: &'w (dyn Fn(Rc<Db>) -> Work<'w> + 'w),
) -> Result<Changed, Error> {
    let (answer, repeated, ledger) = engine.store.once(access, caller, work).await?;
    engine.store.note_room();
    failpoints::reach(point).await;
    Ok(Changed { answer, repeated, ledger })
}

/// The envelope without what travels beside it.
fn without_bodies(data: &JsValue) -> Result<Envelope, Mismatch> {
    let plain = js_sys::Object::new();
    for name in ["shearwater", "re", "at", "owner", "op"] {
        js::set(&plain, name, &js::get(data, name));
    }
    decode(&plain)
}
