//! The client: a page's way to the queue.

use std::{cell::RefCell, pin::Pin, rc::Rc};

use js_sys::Array;
use shearwater_core::{
    Error, JobId,
    protocol::{
        self, Op, Operation, Removal, Repaired, operation, read_answer,
        view::{JobView, Snapshot, SyncResult},
    },
    queue::{
        config::DEFAULT_QUEUE,
        enqueue::{EnqueueOptions, NewJob},
        manage::Compacted,
        request::RequestHead,
    },
    schedule::network::NetworkChange,
    store::read::Filter,
    wire::text::Text,
};
use shearwater_web::{Js, spawn_local};
use wasm_bindgen::prelude::*;
use web_sys::ServiceWorkerRegistration;

use crate::{
    answers::{self, Capabilities, Exported, Metrics, PeriodicSync, Purge},
    events::Events,
    find, js,
    lines::{Lines, Place},
    link::{Link, Question},
    options::{ClientOptions, ConnectOptions},
    request::{Change, NewRequest},
    stream::{self, Event, Updates},
    wakes::Wakes,
    worker,
};

/// A page's way to the queue. All of a page's clients, and all pages, see the same; clones are one client.
///
/// Each call may return what the caller got wrong (`invalid-request`, `unknown-queue`), what the worker met
/// (`quota-exceeded`, `storage-unavailable` …), or that it could not be asked (`timeout`, `worker-unavailable`): see
/// [`ErrorCode`](shearwater_core::ErrorCode). A call whose future is dropped is not repeated should its message get lost;
/// whether it was carried out, [`Client::list`] tells.
///
/// When the last clone is dropped, its streams end and it wakes the worker no more, as by [`Client::close`]; the worker
/// goes on.
#[derive(Clone)]
pub struct Client(Rc<Inner>);

struct Inner {
    link: Rc<Link>,
    events: Rc<Events>,
    lines: Rc<Lines>,
    wakes: RefCell<Option<Wakes>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lines.close();
        self.events.close();
    }
}

impl Client {
    /// Registers the app's service worker, waits until it is active, and returns a client of it. Where another library's
    /// worker has the scope already, register yours first, and use [`Client::of_registration`] once it is active.
    ///
    /// # Errors
    /// `worker-unavailable` with what is in the way; `timeout`; what the worker's configuration has wrong.
    pub async fn connect(options: ConnectOptions) -> Result<Self, Error> {
        let timeout = options.client.timeout;
        find::within(timeout, async {
            let registration = find::register(&options).await?;
            let name = find::greet(&registration).await?;
            Self::attach(registration, &name, &options.client).await
        })
        .await
    }

    /// Returns a client of the active worker of a registration that the app made itself.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn of_registration(registration: &ServiceWorkerRegistration, options: ClientOptions) -> Result<Self, Error> {
        find::within(options.timeout, async {
            let name = find::greet(registration).await?;
            Self::attach(registration.clone(), &name, &options).await
        })
        .await
    }

    /// Returns a client of the active worker of this registration, whose configuration has this name.
    ///
    /// # Errors
    /// Why the worker cannot say what is stored.
    pub(crate) async fn attach(
        registration: ServiceWorkerRegistration,
        name: &str,
        options: &ClientOptions,
    ) -> Result<Self, Error> {
        let events = Events::new(name);
        let link = Link::new(registration, options.timeout, Rc::clone(&events));
        events.take_status(read::<operation::Status>(&link.ask(operation::Status::op(()), Array::new()).await?)?);
        let wakes = Wakes::new(&link, &events, options)?;
        Ok(Self(Rc::new(Inner { wakes: RefCell::new(Some(wakes)), link, events, lines: Lines::new() })))
    }

    /// What this browser can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let has = |name: &'static str| js::get(self.link().registration(), name).is_object();
        Capabilities { background_sync: has("sync"), periodic_sync: has("periodicSync") }
    }

    /// Stores a request, and returns its job's id once it is safely on the disk.
    ///
    /// Its body, its owner and its place behind those of the same key are settled when the future is first polled.
    ///
    /// # Errors
    /// `invalid-request` for what cannot be queued, `unknown-queue`, `quota-exceeded`, `storage-unavailable` …; then
    /// nothing is stored. After a `timeout` it may be stored all the same.
    pub async fn enqueue(&self, request: NewRequest) -> Result<JobId, Error> {
        let mut ids = self.enqueue_all(vec![request]).await?;
        ids.pop().ok_or_else(|| Error::internal("the worker returned no id"))
    }

    /// Stores many in one transaction, all or none, and returns their ids.
    ///
    /// # Errors
    /// As [`Client::enqueue`].
    pub async fn enqueue_all(&self, requests: Vec<NewRequest>) -> Result<Vec<JobId>, Error> {
        let (mut jobs, bodies) = (Vec::with_capacity(requests.len()), Array::new());
        for request in requests {
            let (job, body) = request.into_job(new_id()?)?;
            jobs.push(job);
            bodies.push(&body);
        }
        let mut intake = self.begin_intake(&jobs);
        intake.turn().await;
        read::<operation::Enqueue>(&intake.store(jobs, bodies).await?)
    }

    /// Stores an item of a queue's batches, as JSON text, and does not wait for it: what goes wrong is told to the console.
    /// The message is posted before the page's next task, so it survives `pagehide`.
    pub fn track(&self, queue: &str, event: &str) {
        let Ok(id) = new_id() else { return };
        let options = EnqueueOptions { queue: Some(queue.to_owned()), ..EnqueueOptions::default() };
        let request = RequestHead { method: "POST".to_owned(), ..RequestHead::default() };
        let jobs = vec![NewJob { id, request, options, metadata: None }];
        let (intake, body) = (self.begin_intake(&[]), js_sys::Uint8Array::from(event.as_bytes()).buffer());
        spawn_local(async move {
            if let Err(error) = intake.store(jobs, Array::of1(&body)).await {
                js::console::error_thrown("track:", &js::error_of(&error));
            }
        });
    }

    /// A stored job, or the trace of a delivered one while the history keeps it.
    ///
    /// # Errors
    /// That the worker cannot say.
    pub async fn get(&self, id: JobId) -> Result<Option<JobView>, Error> {
        get(self.link(), id).await
    }

    /// A page of jobs, in the order of queueing.
    ///
    /// # Errors
    /// `invalid-request` when `after` names no stored job.
    pub async fn list(&self, filter: Filter) -> Result<Vec<JobView>, Error> {
        self.ask::<operation::List>(filter).await
    }

    /// Tries a job now; a failed one afresh. False: too late, it is gone or being sent.
    ///
    /// # Errors
    /// That the worker cannot do it.
    pub async fn retry(&self, id: JobId) -> Result<bool, Error> {
        self.ask::<operation::Retry>(id).await
    }

    /// Removes a job. False: too late.
    ///
    /// # Errors
    /// `has-dependents` when other jobs wait for its response; that the worker cannot do it.
    pub async fn discard(&self, id: JobId) -> Result<bool, Error> {
        self.ask::<operation::Discard>(id.into()).await
    }

    /// As [`Client::discard`], with all that wait for its response, and for theirs.
    ///
    /// # Errors
    /// That the worker cannot do it.
    pub async fn discard_cascade(&self, id: JobId) -> Result<bool, Error> {
        self.ask::<operation::Discard>(Removal { id, cascade: true }).await
    }

    /// Stops a job: one that waits is removed; one that is being sent is aborted and listed as failed with the error kind
    /// `cancelled`, for it may have arrived. False: too late.
    ///
    /// # Errors
    /// As [`Client::discard`].
    pub async fn cancel(&self, id: JobId) -> Result<bool, Error> {
        self.ask::<operation::Cancel>(id.into()).await
    }

    /// As [`Client::cancel`]; where it waits, with all that wait for its response, and for theirs.
    ///
    /// # Errors
    /// That the worker cannot do it.
    pub async fn cancel_cascade(&self, id: JobId) -> Result<bool, Error> {
        self.ask::<operation::Cancel>(Removal { id, cascade: true }).await
    }

    /// Changes a waiting or failed job's request, under a new idempotency key. False: too late.
    ///
    /// # Errors
    /// `invalid-request` for what the request would become.
    pub async fn edit(&self, id: JobId, change: Change) -> Result<bool, Error> {
        let (edit, body) = change.into_edit(id)?;
        let op = operation::Edit::op(edit);
        read::<operation::Edit>(&self.link().begin(Some(&op)).ask(op, Array::of1(&body)).await?)
    }

    /// Removes all jobs that match and are not being sent; returns how many. Of the filter, `queue` and `state` count.
    ///
    /// # Errors
    /// That the worker cannot do it.
    pub async fn clear(&self, filter: Filter) -> Result<u32, Error> {
        self.ask::<operation::Clear>(filter).await
    }

    /// Sends now, one queue or all, waiting only for servers that asked for it (`Retry-After`). Takes as long as that does.
    ///
    /// # Errors
    /// `unknown-queue`.
    pub async fn sync_now(&self, queue: Option<&str>) -> Result<SyncResult, Error> {
        self.ask::<operation::Sync>(queue.map(str::to_owned)).await
    }

    /// Stores and does not send the current owner's jobs, of one queue or of all, until [`Client::resume`]; survives
    /// restarts.
    ///
    /// # Errors
    /// `unknown-queue`.
    pub async fn pause(&self, queue: Option<&str>) -> Result<(), Error> {
        self.ask::<operation::Pause>(queue.map(str::to_owned)).await
    }

    /// Sends again.
    ///
    /// # Errors
    /// `unknown-queue`.
    pub async fn resume(&self, queue: Option<&str>) -> Result<(), Error> {
        self.ask::<operation::Resume>(queue.map(str::to_owned)).await
    }

    /// Has the page sync by itself, as its options say; it does from the beginning unless they say `auto_start: false`.
    pub fn start_auto_sync(&self) {
        self.set_auto_sync(true);
    }

    /// Has the page sync by itself no more. What is due is sent all the same.
    pub fn stop_auto_sync(&self) {
        self.set_auto_sync(false);
    }

    fn set_auto_sync(&self, running: bool) {
        if let Some(wakes) = self.0.wakes.borrow().as_ref() {
            wakes.set_running(running);
        }
    }

    /// Changes what is sent over which network, for the current owner; survives restarts.
    ///
    /// # Errors
    /// That the worker cannot do it.
    pub async fn set_network_policy(&self, change: NetworkChange) -> Result<(), Error> {
        self.ask::<operation::SetNetworkPolicy>(change).await
    }

    /// Says who is signed in; none for nobody. Jobs are stamped with, shown to and sent for their owner only. Call it
    /// before the session's cookies change.
    ///
    /// # Errors
    /// `invalid-request` for a name that is empty or too long.
    pub async fn set_owner(&self, owner: Option<&str>, purge: Purge) -> Result<(), Error> {
        let purge = match purge {
            Purge::Nothing => None,
            Purge::Previous => Some(self.link().owner()),
            Purge::Owner(owner) => Some(owner),
        };
        self.ask::<operation::SetOwner>(protocol::SetOwner { owner: owner.map(str::to_owned), purge }).await
    }

    /// Figures about the queue, and about the disk.
    ///
    /// # Errors
    /// That the worker cannot say.
    pub async fn metrics(&self) -> Result<Metrics, Error> {
        Ok(answers::metrics(self.ask::<operation::Metrics>(()).await?).await)
    }

    /// Looks at every stored row: puts aside what does not parse, counts anew, takes back dead leases.
    ///
    /// # Errors
    /// That the worker cannot do it.
    pub async fn repair(&self) -> Result<Repaired, Error> {
        self.ask::<operation::Repair>(()).await
    }

    /// Forgets traces beyond the configured history, and failed jobs last tried longer than `failed` milliseconds ago.
    ///
    /// # Errors
    /// That the worker cannot do it.
    pub async fn compact(&self, failed: Option<u64>) -> Result<Compacted, Error> {
        self.ask::<operation::Compact>(protocol::Compact { failed }).await
    }

    /// Failed, conflicting and blocked jobs with headers and bodies; 100 of each unless `limit` says otherwise.
    ///
    /// # Errors
    /// `invalid-request` when `after` names no stored job.
    pub async fn export_failed(&self, filter: Filter) -> Result<Vec<Exported>, Error> {
        answers::exported(&self.put(operation::Export::op(filter)).await?)
    }

    /// Has the browser fire `periodicsync`, at least `min_interval` milliseconds apart: what is due is sent.
    pub async fn register_periodic(&self, tag: &str, min_interval: u64) -> PeriodicSync {
        #[expect(clippy::cast_precision_loss, reason = "a time, in milliseconds")]
        worker::register_periodic(self.link().registration(), tag, min_interval as f64).await
    }

    /// The status as this page knows it: what each call that has returned did is in it.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.events.snapshot()
    }

    /// The status as it is now, then as it is after each change. Who is slow gets the latest.
    pub fn snapshots(&self) -> Updates<Snapshot> {
        stream::snapshots(&self.0.events)
    }

    /// A job as it is now, then as it is after each change; none when there is none, or no more. Who is slow gets the
    /// latest.
    pub fn watch(&self, id: JobId) -> Updates<Option<JobView>> {
        stream::watch(&self.0.events, self.link(), id)
    }

    /// What happens from now on. Who is more than [`stream::MOST_EVENTS`] behind loses the oldest.
    pub fn events(&self) -> Updates<Event> {
        stream::events(&self.0.events)
    }

    /// Ends this client and its streams; the worker goes on. Calls that are not answered yet, and all later ones, return
    /// `worker-unavailable`.
    pub fn close(&self) {
        self.0.wakes.take();
        self.0.lines.close();
        self.0.events.close();
        self.0.link.close();
    }

    pub(crate) fn link(&self) -> &Rc<Link> {
        &self.0.link
    }

    #[cfg(feature = "javascript")]
    pub(crate) fn heard(&self) -> &Rc<Events> {
        &self.0.events
    }

    /// Begins to store jobs, at this moment.
    pub(crate) fn begin_intake(&self, jobs: &[NewJob]) -> Intake {
        Intake { places: lines_of(jobs).map(|line| self.0.lines.join(line)).collect(), question: self.link().begin(None) }
    }

    /// Asks, and gives the answer as it came.
    async fn put(&self, op: Op) -> Result<JsValue, Error> {
        // Boxed: one machinery for all calls.
        let asked: Pin<Box<dyn Future<Output = _>>> = Box::pin(self.link().ask(op, Array::new()));
        asked.await
    }

    async fn ask<O: Operation>(&self, request: O::Request) -> Result<O::Answer, Error> {
        read::<O>(&self.put(O::op(request)).await?)
    }
}

/// A call that stores jobs, from the moment it was made.
pub(crate) struct Intake {
    question: Question,
    places: Vec<Place>,
}

impl Intake {
    /// Waits for those of the same key that were called before.
    pub(crate) async fn turn(&mut self) {
        for place in &mut self.places {
            place.turn().await;
        }
    }

    /// Stores them; returns their ids as they came.
    pub(crate) async fn store(self, jobs: Vec<NewJob>, bodies: Array) -> Result<JsValue, Error> {
        self.question
            .ask(operation::Enqueue::op(protocol::Enqueue { jobs, repeat: false, draft: None, replaces: None }), bodies)
            .await
    }
}

/// Each queue and key that any of them has, once.
fn lines_of(jobs: &[NewJob]) -> impl Iterator<Item = String> {
    let mut lines: Vec<String> = Vec::new();
    for options in jobs.iter().map(|job| &job.options) {
        if let Some(key) = options.key.as_deref() {
            let line = [options.queue.as_deref().unwrap_or(DEFAULT_QUEUE), "\n", key].text();
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines.into_iter()
}

/// A job's id, of the page's making.
pub(crate) fn new_id() -> Result<JobId, Error> {
    JobId::parse(&js::random::uuid())
}

pub(crate) async fn get(link: &Rc<Link>, id: JobId) -> Result<Option<JobView>, Error> {
    read::<operation::Get>(&link.ask(operation::Get::op(id), Array::new()).await?)
}

/// What the worker returned, as the operation's own answer.
pub(crate) fn read<O: Operation>(ok: &JsValue) -> Result<O::Answer, Error> {
    // A job that does not exist, say: null is no value that could be read.
    let ok = (!ok.is_null()).then(|| Js(ok.clone()));
    read_answer::<O, _>(ok.as_ref())
        .map_err(|mismatch| Error::internal(["the worker's answer to \"", O::NAME, "\": ", &mismatch.to_string()].text()))
}
