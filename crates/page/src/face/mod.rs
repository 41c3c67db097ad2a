//! The client as JavaScript has it: `Client` of `sw/types/index.d.ts`, on the typed one.
//!
//! What is decided here is what JavaScript's values mean, and nothing else: arguments become the core's types, each with
//! an `invalid-request` where it does not fit; answers pass as the worker posted them, for they are plain objects already.

pub(crate) mod form;
pub(crate) mod request;
pub(crate) mod signal;

use std::{cell::RefCell, rc::Rc};

use js_sys::{Array, Function, Object, Promise};
use serde::{Deserialize, Serialize};
use shearwater_core::{
    Error, JobId,
    protocol::{self, Op, Removal},
    queue::enqueue::{EnqueueOptions, NewJob},
    store::read::Filter,
    wire::{
        Wire,
        text::{Text, listed},
    },
};
use shearwater_web::{Js, future_to_promise, parse as parse_json};
use wasm_bindgen::prelude::*;

use crate::{
    answers::storage,
    client::{Client, new_id},
    events::Topic,
    js,
    options::ClientOptions,
    worker,
};
use signal::Signals;

/// Events that `on` knows.
const EVENTS: [&str; 9] =
    ["sync-start", "sync-complete", "delivered", "failed", "conflict", "blocked", "job", "removed", "progress"];

/// Members of `EnqueueOptions`.
const OPTIONS: [&str; 10] =
    ["queue", "key", "priority", "metadata", "notBefore", "maxAge", "maxAttempts", "onDuplicate", "bind", "capture"];

/// Returns a client of the active worker of this registration, whose configuration has this name.
///
/// Finding it is the script's, `sw/page/register.js`, which does so while this wasm is being loaded.
///
/// # Errors
/// `invalid-config`, `worker-unavailable`, or why the worker cannot say what is stored.
#[wasm_bindgen]
pub async fn connect(options: JsValue, registration: JsValue, name: String) -> Result<JsClient, JsValue> {
    let options: ClientOptions = parse(options, "connect()", Error::invalid_config)?;
    let client = Client::attach(registration.unchecked_into(), &name, &options).await.map_err(thrown)?;
    Ok(JsClient { client, shown: RefCell::default() })
}

/// A page's way to the queue, for JavaScript.
#[wasm_bindgen(js_name = Client)]
pub struct JsClient {
    client: Client,
    /// The snapshot as an object, and of which change.
    shown: RefCell<Option<(u32, JsValue)>>,
}

#[wasm_bindgen(js_class = Client)]
impl JsClient {
    /// What the browser can do.
    pub fn capabilities(&self) -> JsValue {
        let can = self.client.capabilities();
        let capabilities = Object::new();
        js::set(&capabilities, "backgroundSync", &can.background_sync.into());
        js::set(&capabilities, "periodicSync", &can.periodic_sync.into());
        capabilities.into()
    }

    /// Stores one request; resolves with its job's id after the commit.
    pub fn enqueue(&self, request: JsValue, options: JsValue) -> Promise {
        self.store(&[request], &options, |ids| Array::from(&ids).get(0))
    }

    /// Stores many, all or none; resolves with their ids.
    #[wasm_bindgen(js_name = enqueueAll)]
    pub fn enqueue_all(&self, requests: JsValue, options: JsValue) -> Promise {
        match requests.dyn_into::<Array>() {
            Ok(requests) => self.store(&requests.to_vec(), &options, |ids| ids),
            Err(_) => Promise::reject(&invalid("enqueueAll takes an array of requests")),
        }
    }

    /// Stores an item of a queue's batches; nobody waits for it.
    pub fn track(&self, queue: JsValue, event: JsValue) {
        match (queue.as_string(), js_sys::JSON::stringify(&event).ok().and_then(|text| text.as_string())) {
            (Some(queue), Some(event)) => self.client.track(&queue, &event),
            _ => js::console::error_thrown("track:", &invalid("track takes the name of a queue and what JSON can say")),
        }
    }

    /// A stored job, or the trace of a delivered one, or null.
    pub fn get(&self, id: JsValue) -> Promise {
        self.ask_of_job(&id, Op::Get)
    }

    /// A page of jobs.
    pub fn list(&self, filter: JsValue) -> Promise {
        self.ask_of_all(filter, Op::List)
    }

    /// Tries a job again; false when it is too late.
    pub fn retry(&self, id: JsValue) -> Promise {
        self.ask_of_job(&id, Op::Retry)
    }

    /// Removes a job; false when it is too late.
    pub fn discard(&self, id: JsValue, options: JsValue) -> Promise {
        self.ask(removal(&id, options).map(Op::Discard))
    }

    /// Stops a job, be it on its way; false when it is too late.
    pub fn cancel(&self, id: JsValue, options: JsValue) -> Promise {
        self.ask(removal(&id, options).map(Op::Cancel))
    }

    /// Replaces a job's request; false when it is too late.
    pub fn edit(&self, id: JsValue, change: JsValue) -> Promise {
        let question = self.client.link().begin(None);
        let taken = job_id(&id).and_then(|id| Ok((id, request::take_change(&change)?)));
        future_to_promise(async move {
            let (id, (taken, headers, body)) = taken?;
            let bytes = taken.body.arrive().await?;
            let mut signals = Signals::default();
            signals.add(taken.signal);
            signals.check()?;
            let op = Op::Edit(protocol::Edit { id, request: taken.head, headers, body });
            question.ask(op, Array::of1(&bytes)).await.map_err(thrown)
        })
    }

    /// Removes all that match; resolves with how many.
    pub fn clear(&self, filter: JsValue) -> Promise {
        self.ask_of_all(filter, Op::Clear)
    }

    /// Sends now; resolves with what came of it.
    #[wasm_bindgen(js_name = syncNow)]
    pub fn sync_now(&self, queue: JsValue) -> Promise {
        self.ask_of_queue(&queue, Op::Sync)
    }

    /// Stops sending.
    pub fn pause(&self, queue: JsValue) -> Promise {
        self.ask_of_queue(&queue, Op::Pause)
    }

    /// Sends again.
    pub fn resume(&self, queue: JsValue) -> Promise {
        self.ask_of_queue(&queue, Op::Resume)
    }

    /// Has the page sync by itself.
    #[wasm_bindgen(js_name = startAutoSync)]
    pub fn start_auto_sync(&self) {
        self.client.start_auto_sync();
    }

    /// Has the page sync by itself no more.
    #[wasm_bindgen(js_name = stopAutoSync)]
    pub fn stop_auto_sync(&self) {
        self.client.stop_auto_sync();
    }

    /// Changes what is sent over which network.
    #[wasm_bindgen(js_name = setNetworkPolicy)]
    pub fn set_network_policy(&self, change: JsValue) -> Promise {
        self.ask(parse(change, "the policy", Error::invalid_request).map(Op::SetNetworkPolicy))
    }

    /// Says who is signed in. `purge` names the owner whose jobs are to go, or says that it is the one before.
    #[wasm_bindgen(js_name = setOwner)]
    pub fn set_owner(&self, owner: JsValue, options: JsValue) -> Promise {
        let purge = js::get(&options, "purge");
        let before = || (purge.as_bool() == Some(true)).then(|| self.client.link().owner());
        let purge = purge.as_string().or_else(before);
        self.ask(text_or_none(&owner).map(|owner| Op::SetOwner(protocol::SetOwner { owner, purge })))
    }

    /// Figures about the queue, and about the disk.
    pub fn metrics(&self) -> Promise {
        let link = Rc::clone(self.client.link());
        future_to_promise(async move {
            let metrics = link.ask(Op::Metrics, Array::new()).await.map_err(thrown)?;
            js::set(&metrics, "storage", &storage().await);
            Ok(metrics)
        })
    }

    /// Looks at every row and puts right what is wrong.
    pub fn repair(&self) -> Promise {
        self.ask(Ok(Op::Repair))
    }

    /// Forgets what is old.
    pub fn compact(&self, options: JsValue) -> Promise {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
        let failed = js::get(&options, "failed").as_f64().map(|age| age as u64);
        self.ask(Ok(Op::Compact(protocol::Compact { failed })))
    }

    /// The dead letters with their requests and bodies.
    #[wasm_bindgen(js_name = exportFailed)]
    pub fn export_failed(&self, filter: JsValue) -> Promise {
        self.ask_of_all(filter, Op::Export)
    }

    /// Has the browser wake the worker now and then, where it can.
    #[wasm_bindgen(js_name = registerPeriodic)]
    pub fn register_periodic(&self, tag: JsValue, min_interval: JsValue) -> Promise {
        let registration = self.client.link().registration().clone();
        future_to_promise(async move {
            let (tag, min_interval) = (text(&tag)?, min_interval.as_f64().unwrap_or(f64::NAN));
            Ok(worker::register_periodic(&registration, &tag, min_interval).await.as_str().into())
        })
    }

    /// The status: the same object until something changes.
    #[wasm_bindgen(js_name = getSnapshot)]
    pub fn snapshot(&self) -> JsValue {
        let events = self.client.heard();
        let mut shown = self.shown.borrow_mut();
        match &*shown {
            Some((of, object)) if *of == events.changes() => object.clone(),
            _ => {
                let object = events.show(parse_json);
                // Options are null to JavaScript, not absent.
                for name in ["progress", "lastSyncAt", "nextSyncAt", "error", "restriction"] {
                    if js::get(&object, name).is_undefined() {
                        js::set(&object, name, &JsValue::NULL);
                    }
                }
                Object::freeze(object.unchecked_ref::<Object>());
                *shown = Some((events.changes(), object.clone()));
                object
            }
        }
    }

    /// Calls `listener` after each change of the snapshot; returns a function that ends it.
    ///
    /// # Errors
    /// `invalid-request` when the listener is not a function.
    pub fn subscribe(&self, listener: JsValue) -> Result<JsValue, JsValue> {
        self.listen(Topic::Snapshot, listener)
    }

    /// Calls `listener` at each event of this name; returns a function that ends it.
    ///
    /// # Errors
    /// `invalid-request` for a name that does not exist.
    pub fn on(&self, event: JsValue, listener: JsValue) -> Result<JsValue, JsValue> {
        let event = text(&event)?;
        match EVENTS.into_iter().find(|name| *name == event) {
            Some(name) => self.listen(Topic::Event(name), listener),
            None => Err(invalid(["there is no event \"", &event, "\"; there are ", &listed(&EVENTS)].text())),
        }
    }

    /// Calls `listener` at each change of one job; returns a function that ends it.
    ///
    /// # Errors
    /// `invalid-request` for what is not an id.
    pub fn watch(&self, id: JsValue, listener: JsValue) -> Result<JsValue, JsValue> {
        self.listen(Topic::Job(job_id(&id)?.as_str().to_owned()), listener)
    }

    /// Asks for an operation in the words of the protocol, on behalf of `owner`. For the package's own scripts.
    #[wasm_bindgen(js_name = _ask)]
    pub fn ask_raw(&self, op: JsValue, bodies: JsValue, owner: JsValue) -> Promise {
        let question = self.client.link().begin_raw(op, owner.as_string());
        let bodies = Array::from(&bodies);
        // The envelope's own operation is not what is posted.
        future_to_promise(async move { question.ask(Op::Status, bodies).await.map_err(thrown) })
    }

    /// As whom this page asks; empty for nobody. For the package's own scripts.
    #[wasm_bindgen(js_name = _owner)]
    pub fn owner(&self) -> String {
        self.client.link().owner()
    }

    /// Ends this client; the worker goes on.
    pub fn close(&self) {
        self.client.close();
    }
}

impl JsClient {
    /// Stores requests, as they are at this moment; resolves with what `result` makes of their ids.
    fn store(&self, requests: &[JsValue], options: &JsValue, result: fn(JsValue) -> JsValue) -> Promise {
        let taken = match take(requests, options) {
            Ok(taken) => taken,
            Err(error) => return Promise::reject(&error),
        };
        let mut intake = self.client.begin_intake(&taken.jobs);
        let signals = taken.signals.clone();
        let ids = if signals.is_empty() { Vec::new() } else { taken.jobs.iter().map(|job| job.id.clone()).collect() };
        let stored = future_to_promise(async move {
            intake.turn().await;
            let bodies = Array::new();
            for body in taken.bodies {
                bodies.push(&body.arrive().await?);
            }
            taken.signals.check()?;
            let ids = intake.store(taken.jobs, bodies).await.map_err(thrown)?;
            taken.signals.settle();
            Ok(result(ids))
        });
        signals.race(stored, ids, Rc::clone(self.client.link()))
    }

    fn ask_of_job(&self, id: &JsValue, op: fn(JobId) -> Op) -> Promise {
        self.ask(job_id(id).map(op))
    }

    fn ask_of_queue(&self, queue: &JsValue, op: fn(Option<String>) -> Op) -> Promise {
        self.ask(text_or_none(queue).map(op))
    }

    fn ask_of_all(&self, filter: JsValue, op: fn(Filter) -> Op) -> Promise {
        self.ask(parse_filter(filter).map(op))
    }

    /// Asks, and resolves with jobs as the app sees them.
    fn ask(&self, op: Result<Op, JsValue>) -> Promise {
        let question = self.client.link().begin(op.as_ref().ok());
        future_to_promise(async move {
            let answer = question.ask(op?, Array::new()).await.map_err(thrown)?;
            if let Some(jobs) = answer.dyn_ref::<Array>() {
                jobs.iter().for_each(|job| drop(js::as_shown(job)));
            }
            Ok(js::as_shown(answer))
        })
    }

    fn listen(&self, topic: Topic, listener: JsValue) -> Result<JsValue, JsValue> {
        let listener: Function = listener.dyn_into().map_err(|_| invalid("a listener is a function"))?;
        let id = self.client.heard().listen(topic, Rc::new(move |detail| notify(&listener, detail)));
        // Not dropped with the function: who forgets that goes on listening. Called again, as React's StrictMode does, it does
        // nothing.
        let events = Rc::downgrade(self.client.heard());
        let end = Closure::<dyn Fn()>::new(move || {
            if let Some(events) = events.upgrade() {
                events.unlisten(id);
            }
        });
        Ok(end.into_js_value())
    }
}

/// An error as JavaScript gets it.
fn thrown(error: Error) -> JsValue {
    shearwater_web::error_of(&error)
}

/// An `invalid-request`.
fn invalid(message: impl Into<String>) -> JsValue {
    thrown(Error::invalid_request(message))
}

/// An argument that is a string.
fn text(argument: &JsValue) -> Result<String, JsValue> {
    argument.as_string().ok_or_else(|| invalid("an argument is not a string"))
}

/// An argument that is a string or not given.
fn text_or_none(argument: &JsValue) -> Result<Option<String>, JsValue> {
    if argument.is_undefined() || argument.is_null() { Ok(None) } else { text(argument).map(Some) }
}

fn job_id(argument: &JsValue) -> Result<JobId, JsValue> {
    JobId::parse(&text(argument)?).map_err(thrown)
}

/// Calls a function of the app; what it throws is its own affair and is reported.
pub(crate) fn notify(function: &Function, argument: &JsValue) {
    if let Err(thrown) = function.call1(&JsValue::NULL, argument) {
        js::console::error_thrown("a listener threw:", &thrown);
    }
}

/// What an enqueue is given.
struct Taken {
    jobs: Vec<NewJob>,
    bodies: Vec<request::Body>,
    signals: Signals,
}

fn take(requests: &[JsValue], options: &JsValue) -> Result<Taken, JsValue> {
    let (options, metadata) = enqueue_options(options)?;
    let (mut jobs, mut bodies) = (Vec::with_capacity(requests.len()), Vec::with_capacity(requests.len()));
    let mut signals = Signals::default();
    for request in requests {
        let taken = request::take(request)?;
        jobs.push(NewJob {
            id: new_id().map_err(thrown)?,
            request: taken.head,
            options: options.clone(),
            metadata: metadata.clone(),
        });
        bodies.push(taken.body);
        signals.add(taken.signal);
    }
    signals.check()?;
    Ok(Taken { jobs, bodies, signals })
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename = "!RemovalOptions", default)]
struct RemovalOptions {
    cascade: bool,
}

fn removal(id: &JsValue, options: JsValue) -> Result<Removal, JsValue> {
    let id = job_id(id)?;
    if options.is_undefined() || options.is_null() {
        return Ok(id.into());
    }
    let RemovalOptions { cascade } = parse(options, "the options", Error::invalid_request)?;
    Ok(Removal { id, cascade })
}

fn parse_filter(filter: JsValue) -> Result<Filter, JsValue> {
    if filter.is_undefined() || filter.is_null() {
        Ok(Filter::default())
    } else {
        parse(filter, "the filter", Error::invalid_request)
    }
}

/// `{name: {job, pointer}}` or `{name: job}` as a list.
fn bindings(bind: &JsValue) -> Result<JsValue, JsValue> {
    if !bind.is_object() {
        return Err(invalid("bind is an object such as {note: {job: id, pointer: \"/id\"}}"));
    }
    let list = Array::new();
    for entry in Object::entries(bind.unchecked_ref()).iter() {
        let entry: Array = entry.unchecked_into();
        let (name, to) = (entry.get(0), entry.get(1));
        let binding = Object::new();
        if to.is_object() {
            let _ = Object::assign(&binding, to.unchecked_ref());
        } else {
            js::set(&binding, "job", &to);
        }
        js::set(&binding, "name", &name);
        list.push(&binding);
    }
    Ok(list.into())
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
    let bind = js::get(options, "bind");
    if !bind.is_undefined() && !bind.is_null() {
        js::set(&rest, "bind", &bindings(&bind)?);
    }
    Ok((parse(rest.into(), "the options", Error::invalid_request)?, metadata))
}

fn parse<T: Wire>(value: JsValue, what: &str, kind: fn(String) -> Error) -> Result<T, JsValue> {
    T::read(&Js(value)).map_err(|mismatch| thrown(kind([what, ": ", &mismatch.to_string()].text())))
}
