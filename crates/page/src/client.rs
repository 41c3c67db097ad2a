//! The client: `Client` of the public surface.

use std::{cell::RefCell, pin::Pin, rc::Rc};

use js_sys::{Array, Function, Object, Promise};
use shearwater_bridge::Js;
use shearwater_core::{
    Error, JobId,
    protocol::{self, Op, Operation, operation, read_answer},
    queue::{
        config::DEFAULT_QUEUE,
        enqueue::{EnqueueOptions, NewJob},
    },
    store::read::Filter,
    wire::{
        Wire,
        text::{Text, listed},
    },
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};

use crate::{
    error::{invalid, to_js},
    events::{Events, Topic, parse_metadata},
    js,
    lines::Lines,
    link::Link,
    options::ConnectOptions,
    request,
    signal::Signals,
    wakes::Wakes,
    worker,
};

/// Events that `on` knows.
const EVENTS: [&str; 9] =
    ["sync-start", "sync-complete", "delivered", "failed", "conflict", "blocked", "job", "removed", "progress"];

/// Members of `EnqueueOptions`.
const OPTIONS: [&str; 7] = ["queue", "key", "priority", "metadata", "notBefore", "maxAge", "maxAttempts"];

/// Returns a client of the active worker of this registration, whose configuration has this name.
///
/// Finding it is the script's, `sw/page/register.js`, which does so while this wasm is being loaded.
///
/// # Errors
/// `invalid-config`, `worker-unavailable`, or why the worker cannot say what is stored.
#[wasm_bindgen]
pub async fn connect(options: JsValue, registration: JsValue, name: String) -> Result<Client, JsValue> {
    let options: ConnectOptions =
        if options.is_undefined() { ConnectOptions::default() } else { parse(options, "connect()", Error::invalid_config)? };
    let events = Events::new(&name, u64::from(options.auto_sync_interval));
    let link = Link::new(registration, options.timeout, Rc::clone(&events));
    events.take_status(answer::<operation::Status>(&link.ask(operation::Status::op(()), Array::new()).await?)?);
    let wakes = Wakes::new(&link, &events, &options);
    Ok(Client { wakes: RefCell::new(Some(wakes)), link, events, lines: Lines::new() })
}

/// A page's way to the queue. All of a page's clients, and all pages, see the same.
///
/// Each promise is rejected with an `Error` that carries a stable `code`: what the caller got wrong
/// (`invalid-request`, `unknown-queue`), what the worker met (`quota-exceeded`, `storage-unavailable` …),
/// or that it could not be asked (`timeout`, `worker-unavailable`).
#[wasm_bindgen]
pub struct Client {
    link: Rc<Link>,
    events: Rc<Events>,
    wakes: RefCell<Option<Wakes>>,
    lines: Rc<Lines>,
}

#[wasm_bindgen]
impl Client {
    /// Calls a method by its name in JavaScript, with what it was given: one way over the border for all of them,
    /// as each would bring glue of its own.
    ///
    /// # Errors
    /// What the method answers at once, rather than by its promise; `invalid-request` for arguments of other types.
    pub fn call(&self, method: &str, first: JsValue, second: JsValue) -> Result<JsValue, JsValue> {
        let promise = match method {
            "enqueue" => self.enqueue(first, second),
            "enqueueAll" => self.enqueue_all(first, second),
            "get" => self.get(text(&first)?),
            "list" => self.list(first),
            "retry" => self.retry(text(&first)?),
            "discard" => self.discard(text(&first)?),
            "cancel" => self.cancel(text(&first)?),
            "edit" => self.edit(text(&first)?, second),
            "clear" => self.clear(first),
            "syncNow" => self.sync_now(text_or_none(&first)?),
            "pause" => self.pause(text_or_none(&first)?),
            "resume" => self.resume(text_or_none(&first)?),
            "setOwner" => self.set_owner(text_or_none(&first)?, &js::get(&second, "purge")),
            "metrics" => self.metrics(),
            "repair" => self.repair(),
            "compact" => self.compact(js::get(&first, "failed").as_f64()),
            "exportFailed" => self.export_failed(first),
            "registerPeriodic" => self.register_periodic(text(&first)?, second.as_f64().unwrap_or(f64::NAN)),
            "getSnapshot" => return Ok(self.snapshot()),
            "capabilities" => return Ok(self.capabilities()),
            "subscribe" => return Ok(self.subscribe(function(first)?).into()),
            "on" => return Ok(self.on(text(&first)?, function(second)?)?.into()),
            "watch" => return Ok(self.watch(text(&first)?, function(second)?)?.into()),
            _ => {
                self.close();
                return Ok(JsValue::UNDEFINED);
            }
        };
        Ok(promise.into())
    }
}

impl Client {
    /// What the browser can do.
    pub fn capabilities(&self) -> JsValue {
        let has = |name: &'static str| JsValue::from_bool(js::get(self.link.registration(), name).is_object());
        let capabilities = Object::new();
        js::set(&capabilities, "backgroundSync", &has("sync"));
        js::set(&capabilities, "periodicSync", &has("periodicSync"));
        capabilities.into()
    }

    /// Stores one request; answers its job's id after the commit.
    pub fn enqueue(&self, request: JsValue, options: JsValue) -> Promise {
        let ids = self.store(&[request], &options);
        promise(async move { Ok(JsFuture::from(ids).await?.unchecked_into::<Array>().get(0)) })
    }

    /// Stores many, all or none; answers their ids.
    pub fn enqueue_all(&self, requests: JsValue, options: JsValue) -> Promise {
        if !Array::is_array(&requests) {
            return Promise::reject(&invalid("enqueueAll takes an array of requests"));
        }
        self.store(&requests.unchecked_into::<Array>().to_vec(), &options)
    }

    /// A stored job, or the trace of a delivered one, or null.
    pub fn get(&self, id: String) -> Promise {
        self.ask(job_id(&id).map(Op::Get))
    }

    /// A page of jobs.
    pub fn list(&self, filter: JsValue) -> Promise {
        self.ask(parse_filter(filter).map(Op::List))
    }

    /// Tries a job again; false when it is too late.
    pub fn retry(&self, id: String) -> Promise {
        self.ask(job_id(&id).map(Op::Retry))
    }

    /// Removes a job; false when it is too late.
    pub fn discard(&self, id: String) -> Promise {
        self.ask(job_id(&id).map(Op::Discard))
    }

    /// Stops a job, be it on its way; false when it is too late.
    pub fn cancel(&self, id: String) -> Promise {
        self.ask(job_id(&id).map(Op::Cancel))
    }

    /// Replaces a job's request; false when it is too late.
    pub fn edit(&self, id: String, change: JsValue) -> Promise {
        let link = Rc::clone(&self.link);
        let caller = link.begin(None);
        let taken = job_id(&id).and_then(|id| Ok((id, request::take_change(&change)?)));
        promise(async move {
            let (id, (taken, headers, body)) = taken?;
            let bytes = taken.body.arrive().await?;
            let mut signals = Signals::default();
            signals.add(taken.signal);
            signals.check()?;
            let op = Op::Edit(protocol::Edit { id, request: taken.head, headers, body });
            link.ask_as(caller, op, Array::of1(&bytes)).await
        })
    }

    /// Removes all that match; answers how many.
    pub fn clear(&self, filter: JsValue) -> Promise {
        self.ask(parse_filter(filter).map(Op::Clear))
    }

    /// Sends now; answers what came of it.
    pub fn sync_now(&self, queue: Option<String>) -> Promise {
        self.ask(Ok(Op::Sync(queue)))
    }

    /// Stops sending.
    pub fn pause(&self, queue: Option<String>) -> Promise {
        self.ask(Ok(Op::Pause(queue)))
    }

    /// Sends again.
    pub fn resume(&self, queue: Option<String>) -> Promise {
        self.ask(Ok(Op::Resume(queue)))
    }

    /// Says who is signed in. `purge` names the owner whose jobs are to go, or says that it is the one before.
    pub fn set_owner(&self, owner: Option<String>, purge: &JsValue) -> Promise {
        let before = || (purge.as_bool() == Some(true)).then(|| self.link.owner());
        let purge = purge.as_string().or_else(before);
        self.ask(Ok(Op::SetOwner(protocol::SetOwner { owner, purge })))
    }

    /// Figures about the queue, and about the disk.
    pub fn metrics(&self) -> Promise {
        let link = Rc::clone(&self.link);
        promise(async move {
            let metrics = link.ask(Op::Metrics, Array::new()).await?;
            js::set(&metrics, "storage", &storage().await);
            Ok(metrics)
        })
    }

    /// Looks at every row and puts right what is wrong.
    pub fn repair(&self) -> Promise {
        self.ask(Ok(Op::Repair))
    }

    /// Forgets what is old.
    pub fn compact(&self, failed: Option<f64>) -> Promise {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
        self.ask(Ok(Op::Compact(protocol::Compact { failed: failed.map(|age| age as u64) })))
    }

    /// The dead letters with their requests and bodies.
    pub fn export_failed(&self, filter: JsValue) -> Promise {
        self.ask(parse_filter(filter).map(Op::Export))
    }

    /// Has the browser wake the worker now and then, where it can.
    pub fn register_periodic(&self, tag: String, min_interval: f64) -> Promise {
        let registration = self.link.registration().clone();
        promise(async move { Ok(JsValue::from_str(worker::register_periodic(&registration, &tag, min_interval).await)) })
    }

    /// The status: the same object until something changes.
    pub fn snapshot(&self) -> JsValue {
        self.events.snapshot()
    }

    /// Calls `listener` after each change of the snapshot; answers a function that ends it.
    pub fn subscribe(&self, listener: Function) -> Function {
        self.events.listen(Topic::Snapshot, listener)
    }

    /// Calls `listener` at each event of this name; answers a function that ends it.
    ///
    /// # Errors
    /// `invalid-request` for a name that does not exist.
    pub fn on(&self, event: String, listener: Function) -> Result<Function, JsValue> {
        if !EVENTS.contains(&event.as_str()) {
            return Err(invalid(["there is no event \"", &event, "\"; there are ", &listed(&EVENTS)].text()));
        }
        Ok(self.events.listen(Topic::Event(event), listener))
    }

    /// Calls `listener` at each change of one job; answers a function that ends it.
    ///
    /// # Errors
    /// `invalid-request` for what is not an id.
    pub fn watch(&self, id: String, listener: Function) -> Result<Function, JsValue> {
        job_id(&id)?;
        Ok(self.events.listen(Topic::Job(id), listener))
    }

    /// Ends this client; the worker goes on.
    pub fn close(&self) {
        self.wakes.take();
        self.lines.close();
        self.events.close();
        self.link.close();
    }

    /// Stores requests, as they are at this moment.
    fn store(&self, requests: &[JsValue], options: &JsValue) -> Promise {
        let link = Rc::clone(&self.link);
        let taken = match take(requests, options) {
            Ok(taken) => taken,
            Err(error) => return Promise::reject(&error),
        };
        let caller = link.begin(None);
        let (line, signals) = (taken.line(), taken.signals.clone());
        let ids = if signals.is_empty() { Vec::new() } else { taken.jobs.iter().map(|job| job.id.clone()).collect() };
        let turn = line.as_ref().and_then(|line| self.lines.turn(line));
        let stored = promise(async move {
            if let Some(turn) = turn {
                // Whatever came of those before.
                let _ = JsFuture::from(turn).await;
            }
            let bodies = Array::new();
            for body in taken.bodies {
                bodies.push(&body.arrive().await?);
            }
            taken.signals.check()?;
            link.ask_as(caller, Op::Enqueue(protocol::Enqueue { jobs: taken.jobs, repeat: false }), bodies).await
        });
        if let Some(line) = line {
            self.lines.join(line, &stored);
        }
        signals.race(stored, ids, Rc::clone(&self.link))
    }

    /// Asks, and answers jobs as the app sees them.
    fn ask(&self, op: Result<Op, JsValue>) -> Promise {
        let link = Rc::clone(&self.link);
        let caller = link.begin(op.as_ref().ok());
        promise(async move {
            let answer = link.ask_as(caller, op?, Array::new()).await?;
            if let Some(jobs) = answer.dyn_ref::<Array>() {
                jobs.iter().for_each(|job| drop(parse_metadata(job)));
            }
            Ok(parse_metadata(answer))
        })
    }
}

/// An argument that is a text.
fn text(argument: &JsValue) -> Result<String, JsValue> {
    argument.as_string().ok_or_else(|| invalid("an argument is not a text"))
}

/// An argument that is a text or not given.
fn text_or_none(argument: &JsValue) -> Result<Option<String>, JsValue> {
    if argument.is_undefined() || argument.is_null() { Ok(None) } else { text(argument).map(Some) }
}

/// An argument that is a function.
fn function(argument: JsValue) -> Result<Function, JsValue> {
    argument.dyn_into().map_err(|_| invalid("a listener is a function"))
}

/// What the browser says about its disk: `usage`, `quota`, `persisted`; null where it says nothing.
async fn storage() -> JsValue {
    let manager = js::get(&js::global("navigator"), "storage");
    let Ok(estimate) = js::call_method(&manager, "estimate", &[]).await else { return JsValue::NULL };
    let storage = Object::new();
    for name in ["usage", "quota"] {
        js::set(&storage, name, &js::get(&estimate, name));
    }
    js::set(&storage, "persisted", &js::call_method(&manager, "persisted", &[]).await.unwrap_or(JsValue::NULL));
    storage.into()
}

/// One promise for all kinds of work: each kind of future would bring machinery of its own.
fn promise(work: impl Future<Output = Result<JsValue, JsValue>> + 'static) -> Promise {
    let work: Pin<Box<dyn Future<Output = Result<JsValue, JsValue>>>> = Box::pin(work);
    future_to_promise(work)
}

/// What an enqueue is given.
struct Taken {
    jobs: Vec<NewJob>,
    bodies: Vec<request::Body>,
    signals: Signals,
}

impl Taken {
    /// The queue and the key that all of them have.
    fn line(&self) -> Option<String> {
        let options = &self.jobs.first()?.options;
        Some([options.queue.as_deref().unwrap_or(DEFAULT_QUEUE), "\n", options.key.as_deref()?].text())
    }
}

fn take(requests: &[JsValue], options: &JsValue) -> Result<Taken, JsValue> {
    let (options, metadata) = enqueue_options(options)?;
    let (mut jobs, mut bodies) = (Vec::with_capacity(requests.len()), Vec::with_capacity(requests.len()));
    let mut signals = Signals::default();
    for request in requests {
        let taken = request::take(request)?;
        let id = job_id(&js::random_uuid())?;
        jobs.push(NewJob { id, request: taken.head, options: options.clone(), metadata: metadata.clone() });
        bodies.push(taken.body);
        signals.add(taken.signal);
    }
    signals.check()?;
    Ok(Taken { jobs, bodies, signals })
}

fn job_id(text: &str) -> Result<JobId, JsValue> {
    JobId::parse(text).map_err(|error| to_js(&error))
}

fn parse_filter(filter: JsValue) -> Result<Filter, JsValue> {
    if filter.is_undefined() || filter.is_null() {
        Ok(Filter::default())
    } else {
        parse(filter, "the filter", Error::invalid_request)
    }
}

fn enqueue_options(options: &JsValue) -> Result<(EnqueueOptions, Option<String>), JsValue> {
    if options.is_undefined() || options.is_null() {
        return Ok((EnqueueOptions::default(), None));
    }
    if !options.is_object() {
        return Err(invalid("the options are an object"));
    }
    // All names, though some are read here and some by the core: an error lists what there is.
    request::check_names("the options object", options, &OPTIONS, &[])?;
    let metadata = request::metadata(&js::get(options, "metadata"))?;
    let rest = Object::assign(&Object::new(), options.unchecked_ref());
    let _ = js_sys::Reflect::delete_property(&rest, &JsValue::from_str("metadata"));
    Ok((parse(rest.into(), "the options", Error::invalid_request)?, metadata))
}

/// What the worker returned, as the operation's own answer.
fn answer<O: Operation>(ok: &JsValue) -> Result<O::Answer, JsValue> {
    let answer = read_answer::<O, _>(&Js(ok.clone()));
    answer
        .map_err(|mismatch| to_js(&Error::internal(["the worker's answer to \"", O::NAME, "\": ", &mismatch.to_string()].text())))
}

fn parse<T: Wire>(value: JsValue, what: &str, kind: fn(String) -> Error) -> Result<T, JsValue> {
    T::read(&Js(value)).map_err(|mismatch| to_js(&kind([what, ": ", &mismatch.to_string()].text())))
}
