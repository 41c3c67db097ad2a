//! What one worker holds: configuration, store, running drains.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use shearwater_bridge::spawn_local;
use shearwater_core::{
    Error, JobId, Millis,
    drain::{Budget, Summary},
    protocol::{Event, view::SyncResult},
    queue::{
        config::{LogLevel, WorkerConfig},
        job::{Job, State},
        last_error::LastError,
    },
    schedule::{
        next_wake,
        wakes::{SkipBackoff, WakeReason},
    },
    store::{Session, ledger::Ledger},
    wire::text::Text,
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{
    clock::{self, Timer},
    drain::{auth::Auth, fetch::Sends, locks::Asked, task::DrainTask},
    host::Host,
    idb::Mode,
    intake::Intake,
    js::{self, BroadcastChannel},
    latch::Latch,
    reply::Probe,
    serve::UnderWay,
    store::Store,
};

/// Milliseconds within which all pages hear of what one of them has stored.
const TOLD_WITHIN: u64 = 20;

/// Milliseconds between two tries of what found nobody that are owed to mere hope.
const UNREACHABLE_RETRY_INTERVAL: u64 = 5_000;

/// See the module.
pub struct Engine {
    /// As given to `start()`.
    pub config: WorkerConfig,
    /// The app's own origin.
    pub origin: String,
    /// The script's side.
    pub host: Host,
    /// The database.
    pub store: Store,
    /// To all pages; `None` where the browser has no `BroadcastChannel`.
    pub channel: Option<BroadcastChannel>,
    /// Drains at work, one for each owner's share of a queue at most.
    pub running: RefCell<Vec<Rc<DrainTask>>>,
    /// New jobs on their way to the disk.
    pub intake: Intake,
    /// Sends on their way.
    pub sends: Sends,
    /// Jobs whose next try is to show a redirect instead of following it.
    pub suspects: RefCell<Vec<JobId>>,
    /// Places that were probed lately.
    pub probes: RefCell<Vec<Probe>>,
    /// Messages that are being served.
    pub under_way: UnderWay,
    /// Sync tags that the browser holds, as far as this worker knows.
    tags: RefCell<Vec<String>>,
    /// The latest ledger seen, for statuses between transactions.
    pub seen: RefCell<Ledger>,
    /// A broadcast that is about to be made.
    soon: RefCell<Option<(Latch<()>, Timer)>>,
    /// The time of the next wake, as pages were told last.
    pub told: Cell<Option<Option<Millis>>>,
    /// Why the last cycle of a drain could not be written.
    pub trouble: RefCell<Option<LastError>>,
    /// The app's credentials.
    pub auth: Auth,
    /// A look at who is signed in that is under way: sends that begin together share one.
    looking: RefCell<Option<Latch<Result<Option<Session>, Error>>>>,
    /// When what found nobody was last tried for the sake of hope.
    unreachable_retried_at: Cell<Millis>,
    resumed: Cell<bool>,
}

impl Engine {
    /// An idle engine.
    pub fn new(config: WorkerConfig, host: Host) -> Rc<Self> {
        let origin = js::get2(&js_sys::global(), "location", "origin").as_string().unwrap_or_default();
        Rc::new(Self {
            origin,
            store: Store::new(&config.name, config.log_level >= LogLevel::Error, host.clone()),
            channel: BroadcastChannel::new(&["shearwater:", &config.name].text()).ok(),
            host,
            running: RefCell::default(),
            intake: Intake::default(),
            sends: Sends::default(),
            suspects: RefCell::default(),
            probes: RefCell::default(),
            under_way: UnderWay::default(),
            tags: RefCell::default(),
            seen: RefCell::default(),
            soon: RefCell::default(),
            told: Cell::new(None),
            trouble: RefCell::default(),
            auth: Auth::default(),
            looking: RefCell::default(),
            unreachable_retried_at: Cell::default(),
            resumed: Cell::new(false),
            config,
        })
    }

    /// Whether the browser believes that there is a network.
    pub fn is_online(&self) -> bool {
        js::get2(&js_sys::global(), "navigator", "onLine").as_bool() != Some(false)
    }

    /// Starts to drain the current owner's share of one queue, or joins the drain that is at work on it.
    pub fn start(self: &Rc<Self>, queue: &str, skip: SkipBackoff) -> Rc<DrainTask> {
        self.start_by(queue, skip, None)
    }

    /// As [`Engine::start`]; the queue's lock may have been asked for already.
    pub fn start_by(self: &Rc<Self>, queue: &str, skip: SkipBackoff, lock: Option<Asked>) -> Rc<DrainTask> {
        let owner = self.owner();
        let same = |running: &&Rc<DrainTask>| running.queue == queue && running.owner == owner;
        let existing = self.running.borrow().iter().find(same).cloned();
        existing.inspect(|running| running.nudge(self, skip)).unwrap_or_else(|| {
            let running = DrainTask::new(queue, &owner, skip);
            self.running.borrow_mut().push(Rc::clone(&running));
            let lock = lock.unwrap_or_else(|| DrainTask::lock(self, queue, &owner));
            spawn_local(Rc::clone(&running).run(Rc::clone(self), lock));
            running
        })
    }

    /// Drains these queues side by side to their end; answers whether something is left that a later
    /// wake can send.
    ///
    /// # Errors
    /// The first store failure that ended a drain.
    pub async fn drain_all(self: &Rc<Self>, queues: &[String], skip: SkipBackoff) -> Result<bool, Error> {
        let drains: Vec<_> = queues.iter().map(|queue| self.start(queue, skip)).collect();
        let (mut again, mut error) = (false, None);
        for running in drains {
            let summary = running.over.wait().await;
            again |= summary.again;
            error = error.or(summary.error);
        }
        error.map_or(Ok(again), Err)
    }

    /// Has the drains of `owner`'s share of one queue, or of all, send nothing more.
    pub fn stop(self: &Rc<Self>, owner: &str, queue: Option<&str>) {
        let theirs = |running: &&Rc<DrainTask>| running.owner == owner && queue.is_none_or(|queue| running.queue == queue);
        let running: Vec<_> = self.running.borrow().iter().filter(theirs).cloned().collect();
        for running in running {
            running.stop(self);
        }
    }

    /// Has the drains of all but the current owner's jobs send nothing more.
    pub fn stop_others(self: &Rc<Self>) {
        let owner = self.owner();
        let running: Vec<_> = self.running.borrow().iter().filter(|running| running.owner != owner).cloned().collect();
        for running in running {
            running.stop(self);
        }
    }

    /// Waits for the drains of these queues that are at work, and starts none.
    pub async fn wait_for_drains(&self, queues: &[String]) {
        let running: Vec<_> = self.running.borrow().iter().filter(|running| queues.contains(&running.queue)).cloned().collect();
        for running in running {
            running.over.wait().await;
        }
    }

    /// Drains these queues side by side until all that can be tried now was tried.
    ///
    /// # Errors
    /// The first store failure that ended a drain.
    pub async fn drain_now(self: &Rc<Self>, queues: &[String]) -> Result<SyncResult, Error> {
        let rests: Vec<_> = queues.iter().map(|queue| self.start(queue, SkipBackoff::All).rested()).collect();
        let mut total = Ok(SyncResult::default());
        for rest in rests {
            let rested = rest.wait().await;
            total = total.and_then(|mut total| {
                total.add(&rested?);
                Ok(total)
            });
        }
        total
    }

    /// A drain ended: free its place, and have the browser come again if need be.
    pub fn drained(self: &Rc<Self>, running: &Rc<DrainTask>, summary: &Summary) {
        self.running.borrow_mut().retain(|other| !Rc::ptr_eq(other, running));
        // A `sync` event that leaves work is rejected instead: to register its tag while it is being
        // fired makes Chromium fire it again at once, and again.
        if summary.again && !running.for_sync_event.get() {
            self.register(&running.queue);
        }
        if summary.signed_out && self.has_work(&self.seen.borrow(), &running.queue) {
            self.start(&running.queue, SkipBackoff::None);
        }
    }

    /// An origin was reached again that could not be: what waits for it in other queues may go as well.
    pub fn recovered(self: &Rc<Self>, queue: &str) {
        let others: Vec<String> = {
            let ledger = self.seen.borrow();
            let waits = |name: &String| name != queue && self.has_work(&ledger, name);
            ledger.own_queues().map(|known| known.queue.clone()).filter(waits).collect()
        };
        for other in others {
            self.start(&other, SkipBackoff::Unreachable);
        }
    }

    /// Who is signed in, as this worker saw last.
    pub fn owner(&self) -> String {
        self.seen.borrow().owner.clone()
    }

    /// Takes a ledger that was read, unless a later one is known.
    pub fn saw(&self, ledger: &Ledger) {
        let (version, is_another) = {
            let seen = self.seen.borrow();
            (seen.version, seen.owner != ledger.owner)
        };
        if ledger.version >= version {
            if is_another {
                // The next wake that pages were told of was the other's.
                self.told.set(None);
            }
            self.seen.replace(ledger.clone());
        }
    }

    /// Whether this claimed job's owner is signed in as they were when it was claimed, as it is stored at this moment:
    /// another worker of the same database may have signed somebody in or out since.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn is_signed_in(self: &Rc<Self>, job: &Job) -> Result<bool, Error> {
        let look = self.looking.borrow().clone();
        let look = look.unwrap_or_else(|| {
            let look = Latch::new();
            self.looking.replace(Some(look.clone()));
            let engine = Rc::clone(self);
            spawn_local({
                let look = look.clone();
                async move {
                    let session = engine.store.session().await;
                    engine.looking.take();
                    look.open(session);
                }
            });
            look
        });
        // While the store does not say, nobody has signed in since what was claimed was claimed.
        Ok(look.wait().await?.is_none_or(|session| session.covers(job)))
    }

    /// Queues in which a wake for this reason finds something to do now; costs a look at the indexes.
    ///
    /// Hope that comes too often is none: a page that loses and gets the focus again and again does not
    /// have an unreachable server tried each time.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn due(&self, reason: WakeReason) -> Result<(Vec<String>, SkipBackoff), Error> {
        let now = clock::now();
        let since = now.since(self.unreachable_retried_at.get()).max(self.unreachable_retried_at.get().since(now));
        let skips = reason.retries_unreachable() && (since > UNREACHABLE_RETRY_INTERVAL || reason == WakeReason::Online);
        let skip = if skips { SkipBackoff::Unreachable } else { SkipBackoff::None };
        if skips {
            self.unreachable_retried_at.set(now);
        }
        let (queues, ledger) = self
            .store
            .run(Mode::Read, async |db| {
                let ledger = shearwater_core::store::read_ledger(db).await?;
                Ok((next_wake::due(db, &ledger, now, skip).await?, ledger))
            })
            .await?;
        self.saw(&ledger);
        Ok((queues, skip))
    }

    /// Queues of the current owner that have jobs to send.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn queues(&self) -> Result<Vec<String>, Error> {
        let ledger = self.ledger().await?;
        let live = |queue: &&shearwater_core::store::ledger::QueueLedger| {
            let mut counts = queue.counts;
            *counts.of(State::Pending) + *counts.of(State::Syncing) > 0
        };
        Ok(ledger.own_queues().filter(live).map(|queue| queue.queue.clone()).collect())
    }

    /// Whether `queue` stores and does not send, as this worker saw last.
    pub fn is_paused(&self, queue: &str) -> bool {
        self.seen.borrow().is_paused(queue)
    }

    /// Whether a drain of `queue` has something to do, sooner or later: jobs to send or to take back.
    pub fn has_work(&self, ledger: &Ledger, queue: &str) -> bool {
        ledger
            .queue(queue, &ledger.owner)
            .is_some_and(|known| known.counts.syncing > 0 || (known.counts.pending > 0 && !ledger.is_paused(queue)))
    }

    /// The ledger as stored.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn ledger(&self) -> Result<Ledger, Error> {
        let ledger = self.store.run(Mode::Read, async |db| shearwater_core::store::read_ledger(db).await).await?;
        self.saw(&ledger);
        Ok(ledger)
    }

    /// The ledger and the time of the next wake, as stored.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn ledger_and_next_wake(&self) -> Result<(Ledger, Option<Millis>), Error> {
        self.store
            .run(Mode::Read, async |db| {
                let ledger = shearwater_core::store::read_ledger(db).await?;
                let next = next_wake::next_wake(db, &ledger, clock::now()).await?;
                Ok((ledger, next))
            })
            .await
    }

    /// The time of the next wake: as pages were told, or, if they were not yet, as it is stored.
    pub async fn next(&self) -> Option<Millis> {
        match self.told.get() {
            Some(told) => told,
            None => self.ledger_and_next_wake().await.ok().and_then(|(_, next)| next),
        }
    }

    /// Broadcasts the status as it is stored now.
    pub async fn tell_now(&self, event: Option<Event>) {
        match self.ledger_and_next_wake().await {
            Ok((ledger, next)) => {
                self.seen.replace(ledger);
                self.tell_next(next, event);
            }
            Err(error) => self.log_error(&error.message),
        }
    }

    /// Broadcasts the status as it was seen last, and when the next wake is.
    pub fn tell_next(&self, next: Option<Millis>, event: Option<Event>) {
        let mut status = self.status(&self.seen.borrow());
        status.next_sync_at = next;
        self.told.set(Some(next));
        self.tell(status, Vec::new(), event);
    }

    /// Broadcasts a change that an answer has told already to the page that asked: soon, so that a burst of
    /// changes is one word to the other pages.
    pub fn tell_soon(self: &Rc<Self>, next: Option<Millis>) -> Latch<()> {
        self.told.set(Some(next));
        let mut soon = self.soon.borrow_mut();
        if let Some((latch, _)) = soon.as_ref() {
            return latch.clone();
        }
        let latch = Latch::new();
        let engine = Rc::clone(self);
        let timer = Timer::start(TOLD_WITHIN, move || {
            let ended = engine.soon.take();
            engine.tell_next(engine.told.get().flatten(), None);
            if let Some((latch, _)) = ended {
                latch.open(());
            }
        });
        *soon = Some((latch.clone(), timer));
        latch
    }

    /// Has the browser fire a `sync` event for this queue, where it can. The request is on its way when
    /// this returns.
    pub fn register(self: &Rc<Self>, queue: &str) {
        if self.tags.borrow().iter().any(|tag| tag == queue) {
            return;
        }
        let manager = js::get2(&js_sys::global(), "registration", "sync");
        let Ok(register) = js::get(&manager, "register").dyn_into::<js_sys::Function>() else { return };
        let Ok(promise) = register.call1(&manager, &JsValue::from_str(queue)) else { return };
        self.tags.borrow_mut().push(queue.to_owned());
        let promise: js_sys::Promise = promise.unchecked_into();
        let (engine, queue) = (Rc::clone(self), queue.to_owned());
        spawn_local(async move {
            if JsFuture::from(promise).await.is_err() {
                // Denied, or no window is open: pages poke instead, and the next job asks again.
                engine.tag_is_held(&queue, false);
            }
        });
    }

    /// Whether the browser holds this tag, and will fire it by itself.
    pub fn tag_is_held(&self, tag: &str, held: bool) {
        let mut tags = self.tags.borrow_mut();
        tags.retain(|known| known != tag);
        if held {
            tags.push(tag.to_owned());
        }
    }

    /// Whether this is the first wake of this worker.
    pub fn first_wake(&self) -> bool {
        !self.resumed.replace(true)
    }

    /// What a wake may spend.
    pub fn budget(&self) -> Budget {
        Budget::default()
    }

    /// Writes to the console what a developer must know.
    pub fn log_error(&self, text: &str) {
        if self.config.log_level >= LogLevel::Error {
            js::console_error("[shearwater]", text);
        }
    }

    /// Writes to the console each step of a job.
    pub fn log_debug(&self, step: &str, id: &JobId) {
        if self.config.log_level >= LogLevel::Debug {
            js::console_info("[shearwater]", &[step, " ", id.as_str()].text());
        }
    }

    /// Writes to the console what a developer may want to follow.
    pub fn log_info(&self, text: &str) {
        if self.config.log_level >= LogLevel::Info {
            js::console_info("[shearwater]", text);
        }
    }
}
