//! The client: `Client` of the public surface.

use std::{cell::RefCell, rc::Rc};

use js_sys::{Array, Function, Object};
use serde::de::DeserializeOwned;
use shearwater_core::{
    Error, JobId,
    protocol::Op,
    store::{
        enqueue::{EnqueueOptions, NewJob},
        read::Filter,
    },
    view::Status,
};
use wasm_bindgen::prelude::*;

use crate::{
    error::{invalid, to_js},
    events::{Events, Topic, parse_metadata},
    js,
    link::Link,
    options::ConnectOptions,
    request, worker,
    wakes::Wakes,
};

/// Events that `on` knows.
const EVENTS: [&str; 9] =
    ["sync-start", "sync-complete", "delivered", "failed", "conflict", "blocked", "job", "removed", "progress"];

/// Registers the worker, waits until it is active, and answers a client.
///
/// # Errors
/// `invalid-config`, `worker-unavailable`, or what the worker refuses to start for.
#[wasm_bindgen]
pub async fn connect(options: JsValue) -> Result<Client, JsValue> {
    let options: ConnectOptions = if options.is_undefined() { ConnectOptions::default() } else { parse(options, "connect()", Error::invalid_config)? };
    options.check().map_err(|error| to_js(&error))?;
    let registration = worker::register(&options).await?;
    let link = Link::new(registration, options.timeout)?;
    let events = Events::new(&options.name);
    let client = Client { wakes: RefCell::default(), link, events };
    let status = client.link.ask(Op::Status, Array::new()).await?;
    client.events.take_status(parse::<Status>(status, "the worker's status", Error::internal)?);
    *client.wakes.borrow_mut() = Some(Wakes::new(&client.link, &client.events, &options));
    Ok(client)
}

/// A page's way to the queue. All of a page's clients, and all pages, see the same.
#[wasm_bindgen]
pub struct Client {
    link: Rc<Link>,
    events: Rc<Events>,
    wakes: RefCell<Option<Wakes>>,
}

#[wasm_bindgen]
impl Client {
    /// What the browser can do.
    pub fn capabilities(&self) -> JsValue {
        let has = |name| JsValue::from_bool(js::get(self.link.registration(), name).is_object());
        let capabilities = Object::new();
        js::set(&capabilities, "backgroundSync", &has("sync"));
        js::set(&capabilities, "periodicSync", &has("periodicSync"));
        capabilities.into()
    }

    /// Stores one request; answers its job's id after the commit.
    ///
    /// # Errors
    /// `invalid-request`, `unknown-queue`, `quota-exceeded`, `storage-unavailable`, `timeout` …
    pub async fn enqueue(&self, request: JsValue, options: JsValue) -> Result<JsValue, JsValue> {
        let ids: Array = self.store(vec![request], &options).await?.unchecked_into();
        Ok(ids.get(0))
    }

    /// Stores many, all or none; answers their ids.
    ///
    /// # Errors
    /// As [`Client::enqueue`].
    #[wasm_bindgen(js_name = enqueueAll)]
    pub async fn enqueue_all(&self, requests: JsValue, options: JsValue) -> Result<JsValue, JsValue> {
        if !Array::is_array(&requests) {
            return Err(invalid("enqueueAll takes an array of requests"));
        }
        self.store(requests.unchecked_into::<Array>().iter().collect(), &options).await
    }

    async fn store(&self, requests: Vec<JsValue>, options: &JsValue) -> Result<JsValue, JsValue> {
        let (options, metadata) = enqueue_options(options)?;
        let mut jobs = Vec::with_capacity(requests.len());
        let bodies = Array::new();
        for request in &requests {
            let taken = request::take(request).await?;
            let id = JobId::parse(&js::random_uuid()).map_err(|error| to_js(&error))?;
            jobs.push(NewJob { id, request: taken.head, options: options.clone(), metadata: metadata.clone() });
            bodies.push(&taken.body);
        }
        self.link.ask(Op::Enqueue { jobs, repeat: false }, bodies).await
    }

    /// A stored job, or the trace of a delivered one, or null.
    ///
    /// # Errors
    /// `invalid-request` for what is not an id; what the worker answers.
    pub async fn get(&self, id: String) -> Result<JsValue, JsValue> {
        Ok(parse_metadata(self.ask(Op::Get(job_id(&id)?)).await?))
    }

    /// A page of jobs.
    ///
    /// # Errors
    /// `invalid-request` for an unknown filter; what the worker answers.
    pub async fn list(&self, filter: JsValue) -> Result<JsValue, JsValue> {
        let jobs: Array = self.ask(Op::List(parse_filter(filter)?)).await?.unchecked_into();
        jobs.iter().for_each(|job| drop(parse_metadata(job)));
        Ok(jobs.into())
    }

    /// Tries a job again; false when it is too late.
    ///
    /// # Errors
    /// `invalid-request` for what is not an id; what the worker answers.
    pub async fn retry(&self, id: String) -> Result<JsValue, JsValue> {
        self.ask(Op::Retry(job_id(&id)?)).await
    }

    /// Removes a job; false when it is too late.
    ///
    /// # Errors
    /// `invalid-request` for what is not an id; what the worker answers.
    pub async fn discard(&self, id: String) -> Result<JsValue, JsValue> {
        self.ask(Op::Discard(job_id(&id)?)).await
    }

    /// Replaces a job's request; false when it is too late.
    ///
    /// # Errors
    /// `invalid-request`; what the worker answers.
    pub async fn edit(&self, id: String, change: JsValue) -> Result<JsValue, JsValue> {
        let id = job_id(&id)?;
        let replaces = js::is_a(&change, "Request") || !js::get(&change, "body").is_undefined();
        let taken = request::take(&change).await?;
        let bodies = Array::of1(&taken.body);
        self.link.ask(Op::Edit { id, request: taken.head, body: replaces }, bodies).await
    }

    /// Removes all that match; answers how many.
    ///
    /// # Errors
    /// `invalid-request` for an unknown filter; what the worker answers.
    pub async fn clear(&self, filter: JsValue) -> Result<JsValue, JsValue> {
        self.ask(Op::Clear(parse_filter(filter)?)).await
    }

    /// Sends now; answers what came of it.
    ///
    /// # Errors
    /// `unknown-queue`; what the worker answers.
    #[wasm_bindgen(js_name = syncNow)]
    pub async fn sync_now(&self, queue: Option<String>) -> Result<JsValue, JsValue> {
        self.ask(Op::Sync(queue)).await
    }

    /// Stops sending.
    ///
    /// # Errors
    /// `unknown-queue`; what the worker answers.
    pub async fn pause(&self, queue: Option<String>) -> Result<(), JsValue> {
        self.ask(Op::Pause(queue)).await.map(drop)
    }

    /// Sends again.
    ///
    /// # Errors
    /// `unknown-queue`; what the worker answers.
    pub async fn resume(&self, queue: Option<String>) -> Result<(), JsValue> {
        self.ask(Op::Resume(queue)).await.map(drop)
    }

    /// Says who is signed in.
    ///
    /// # Errors
    /// `invalid-request` for a name that cannot be stored; what the worker answers.
    #[wasm_bindgen(js_name = setOwner)]
    pub async fn set_owner(&self, owner: Option<String>) -> Result<(), JsValue> {
        self.ask(Op::SetOwner(owner)).await.map(drop)
    }

    /// The status: the same object until something changes.
    #[wasm_bindgen(js_name = getSnapshot)]
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
            return Err(invalid(["there is no event \"", &event, "\"; there are ", &EVENTS.join(", ")].concat()));
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
        self.events.close();
        self.link.close();
    }

    async fn ask(&self, op: Op) -> Result<JsValue, JsValue> {
        self.link.ask(op, Array::new()).await
    }
}

fn job_id(text: &str) -> Result<JobId, JsValue> {
    JobId::parse(text).map_err(|error| to_js(&error))
}

fn parse_filter(filter: JsValue) -> Result<Filter, JsValue> {
    if filter.is_undefined() || filter.is_null() { Ok(Filter::default()) } else { parse(filter, "the filter", Error::invalid_request) }
}

fn enqueue_options(options: &JsValue) -> Result<(EnqueueOptions, Option<String>), JsValue> {
    if options.is_undefined() || options.is_null() {
        return Ok((EnqueueOptions::default(), None));
    }
    if !options.is_object() {
        return Err(invalid("the options are an object"));
    }
    let metadata = request::metadata(&js::get(options, "metadata"))?;
    let rest = Object::assign(&Object::new(), options.unchecked_ref());
    let _ = js_sys::Reflect::delete_property(&rest, &JsValue::from_str("metadata"));
    Ok((parse(rest.into(), "the options", Error::invalid_request)?, metadata))
}

fn parse<T: DeserializeOwned>(value: JsValue, what: &str, kind: fn(String) -> Error) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value).map_err(|error| to_js(&kind([what, ": ", &js::message_of(&error.into())].concat())))
}
