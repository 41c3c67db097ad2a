//! Drives one drain: takes the core's commands and feeds back what came of them.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use futures_channel::oneshot;
use shearwater_core::{
    Error, JobId, Millis,
    drain::{Command, Drain, Input, Plan, Summary},
    protocol::{Event, SyncComplete, view::SyncResult},
    queue::{
        cycle::{Cycle, CycleOutcome, Settings, cycle},
        job::Job,
        last_error::LastError,
    },
    schedule::wakes::SkipBackoff,
    wire::text::Text,
};
use shearwater_web::spawn_local;
use wasm_bindgen::prelude::*;

use crate::{
    clock::{self, Timer},
    drain::{fetch, locks},
    engine::Engine,
    failpoints, js,
    latch::Latch,
    store::Mode,
};

/// A drain at work on one queue.
pub struct DrainTask {
    /// The queue.
    pub queue: String,
    /// Whose jobs it sends.
    pub owner: String,
    /// Opened with what it did.
    pub over: Latch<Summary>,
    /// Told by the core's last command, before the lock is released.
    finished: Cell<Option<oneshot::Sender<Summary>>>,
    /// There was a reason to look again when the drain was already stopping.
    once_more: Cell<bool>,
    /// Outcomes so far, and expected.
    pub progress: Cell<(u64, u64)>,
    /// Something is being sent or about to be; not merely waited for.
    pub active: Cell<bool>,
    /// Who waits until all that can be tried now was tried, and the counts when they began to.
    rests: RefCell<Vec<(SyncResult, oneshot::Sender<Result<SyncResult, Error>>)>>,
    /// The counts of the last `sync-complete`.
    told: Cell<SyncResult>,
    /// Serves a `sync` event, which brings the browser back by being rejected.
    pub for_sync_event: Cell<bool>,
    drain: RefCell<Option<Drain>>,
    /// The version of the ledger that the last cycle left, and the next wake by it, where it held nothing.
    next_wake_at_version: Cell<Option<(u64, Option<Millis>)>>,
    /// Reasons not to wait that came before it had its lock.
    early: Cell<SkipBackoff>,
    bodies: RefCell<Vec<(JobId, JsValue)>>,
    timer: RefCell<Option<Timer>>,
}

impl DrainTask {
    /// A drain that waits for its lock.
    pub fn new(queue: &str, owner: &str, skip: SkipBackoff) -> Rc<Self> {
        Rc::new(Self {
            queue: queue.to_owned(),
            owner: owner.to_owned(),
            over: Latch::new(),
            finished: Cell::default(),
            once_more: Cell::new(false),
            progress: Cell::new((0, 0)),
            active: Cell::new(false),
            rests: RefCell::default(),
            told: Cell::default(),
            for_sync_event: Cell::new(false),
            drain: RefCell::default(),
            next_wake_at_version: Cell::new(None),
            early: Cell::new(skip),
            bodies: RefCell::default(),
            timer: RefCell::default(),
        })
    }

    /// Asks for the lock of `owner`'s share of a queue. Jobs of different owners have nothing to do with each other, and
    /// nobody waits behind a request that hangs on behalf of somebody who has signed out.
    pub fn lock(engine: &Engine, queue: &str, owner: &str) -> locks::Asked {
        let owner = if owner.is_empty() { String::new() } else { [":", owner].text() };
        locks::ask(&engine.host, &["shearwater:", &engine.config.name, ":", queue, &owner].text())
    }

    /// Waits for the queue's lock, then drains it.
    pub async fn run(self: Rc<Self>, engine: Rc<Engine>, lock: locks::Asked) {
        let lock = lock.granted().await;
        let mut summary = self.drain_once(&engine, lock.exclusive).await;
        while self.once_more.replace(false) {
            summary = self.drain_once(&engine, lock.exclusive).await;
        }
        drop(lock);
        engine.log_info(
            &[
                "queue \"",
                &self.queue,
                "\": ",
                &summary.result.delivered.to_string(),
                " delivered, ",
                &summary.result.retried.to_string(),
                " to retry, ",
                &summary.result.failed.to_string(),
                " failed, ",
                &summary.result.remaining.to_string(),
                " left",
            ]
            .text(),
        );
        engine.drained(&self, &summary);
        self.rest(&engine, summary.result, summary.error.clone()).await;
        self.over.open(summary);
    }

    /// Looks again, and does not wait for those whom the reason concerns.
    pub fn nudge(self: &Rc<Self>, engine: &Rc<Engine>, skip: SkipBackoff) {
        let state = self.drain.borrow().as_ref().map(Drain::is_spent);
        match state {
            Some(false) => {
                self.feed(engine, Input::Nudge { skip, online: engine.is_online(), connection: js::scope::connection() })
            }
            // It has no lock yet, or sends nothing more: the drain that comes next will look.
            None | Some(true) => {
                self.early.set(self.early.get().max(skip));
                self.once_more.set(state.is_some());
            }
        }
    }

    async fn drain_once(self: &Rc<Self>, engine: &Rc<Engine>, exclusive: bool) -> Summary {
        let plan = Plan {
            queue: self.queue.clone(),
            owner: self.owner.clone(),
            holder: clock::unique_name(),
            concurrency: engine.config.queue_or_default(&self.queue).concurrency,
            budget: engine.budget(),
            skip: self.early.replace(SkipBackoff::None),
            online: engine.is_online(),
            connection: js::scope::connection(),
            exclusive,
        };
        let (tell, finished) = oneshot::channel();
        self.finished.set(Some(tell));
        self.told.take();
        *self.drain.borrow_mut() = Some(Drain::new(clock::now(), plan));
        self.feed(engine, Input::Start);
        // Its sender is this drain's own, and goes only with the summary.
        finished.await.unwrap_or_default()
    }

    /// This job was cancelled: it is not sent, if it was at hand.
    pub fn cancelled(self: &Rc<Self>, engine: &Rc<Engine>, id: &JobId) {
        self.feed(engine, Input::Cancelled(id.clone()));
    }

    /// Sends nothing more; what is in flight comes to its end.
    pub fn stop(self: &Rc<Self>, engine: &Rc<Engine>) {
        self.feed(engine, Input::Stop);
    }

    /// Told when all that can be tried now was tried, with what came of it since; or with why the drain ended.
    pub fn rested(&self) -> oneshot::Receiver<Result<SyncResult, Error>> {
        // What a drain that is over has done was not asked for by whoever comes now: the next one begins at zero.
        let before = self.drain.borrow().as_ref().filter(|drain| !drain.is_spent()).map(Drain::result).unwrap_or_default();
        let (tell, rested) = oneshot::channel();
        self.rests.borrow_mut().push((before, tell));
        rested
    }

    /// Nothing is in flight any more.
    async fn rest(&self, engine: &Engine, result: SyncResult, error: Option<Error>) {
        for (before, tell) in self.rests.take() {
            let _ = tell.send(error.clone().map_or(Ok(result.since(&before)), Err));
        }
        // What was done for an owner who has signed out is nothing to the next.
        let event = (self.active.replace(false) && self.owner == engine.owner()).then(|| {
            let news = result.since(&self.told.replace(result));
            Event::SyncComplete(SyncComplete { queue: self.queue.clone(), result: news })
        });
        failpoints::reach("status-before").await;
        match self.next_wake_at_version.take() {
            // Nobody has written since.
            Some((version, next)) if version == engine.latest().version => engine.tell_next(next, event),
            _ => engine.tell_now(event).await,
        }
        failpoints::reach("status-after").await;
    }

    fn feed(self: &Rc<Self>, engine: &Rc<Engine>, input: Input) {
        let mut commands = Vec::new();
        if let Some(drain) = self.drain.borrow_mut().as_mut() {
            drain.handle(clock::now(), input);
            commands.extend(std::iter::from_fn(|| drain.poll()));
        }
        for command in commands {
            self.carry_out(engine, command);
        }
    }

    fn carry_out(self: &Rc<Self>, engine: &Rc<Engine>, command: Command) {
        let (this, engine) = (Rc::clone(self), Rc::clone(engine));
        match command {
            Command::Cycle(cycle) => spawn_local(async move {
                let input = match this.cycle(&engine, &cycle).await {
                    Ok(committed) => {
                        engine.broadcaster.note_trouble(None);
                        Input::CycleCommitted(committed)
                    }
                    Err(error) => {
                        engine.log_error(&error.message);
                        engine.broadcaster.note_trouble(Some(LastError::storage(&error)));
                        Input::CycleFailed(error)
                    }
                };
                this.feed(&engine, input);
            }),
            Command::Send(dispatch) => {
                let bodies: Vec<Option<JsValue>> = dispatch.jobs.iter().map(|job| self.body(&job.id)).collect();
                spawn_local(async move {
                    failpoints::reach("send-before").await;
                    let result = fetch::send(&engine, &dispatch, &bodies).await;
                    failpoints::reach("reply-after").await;
                    this.feed(&engine, Input::Attempted { dispatch: dispatch.id, result, roll: clock::roll() });
                });
            }
            Command::Wait(until) => {
                let timer = Timer::start(until.since(clock::now()), move || this.feed(&engine, Input::Tick));
                *self.timer.borrow_mut() = Some(timer);
            }
            Command::AskTime => spawn_local(async move {
                let (replied, date) = fetch::ask_time(&engine).await;
                this.feed(&engine, Input::Time { replied, date });
            }),
            Command::Tell(news) => {
                self.progress.set((news.done, news.total));
                engine.saw(&news.ledger);
                if !news.claimed.is_empty() && !self.active.replace(true) {
                    let event = Event::SyncStart(self.queue.clone());
                    engine.tell(engine.status(&news.ledger), Vec::new(), Some(event));
                }
                engine.tell_news(*news);
            }
            Command::Rest(result) => spawn_local(async move { this.rest(&engine, result, None).await }),
            Command::Done(summary) => {
                self.timer.take();
                if let Some(tell) = self.finished.take() {
                    let _ = tell.send(summary);
                }
            }
        }
    }

    /// Takes the body that was loaded with a claimed job.
    fn body(&self, id: &JobId) -> Option<JsValue> {
        let mut bodies = self.bodies.borrow_mut();
        let at = bodies.iter().position(|(other, _)| other == id)?;
        Some(bodies.swap_remove(at).1)
    }

    /// One cycle, with the bodies of what it claimed.
    async fn cycle(&self, engine: &Rc<Engine>, request: &Cycle) -> Result<CycleOutcome, Error> {
        failpoints::reach(if request.settle.is_empty() { "claim-before" } else { "outcome-before" }).await;
        let config = engine.config.queue_or_default(&self.queue);
        let settings = Settings::new(&engine.config, &config);
        // As it is now: it may have changed since the drain was last nudged.
        let request = &Cycle { connection: js::scope::connection(), ..request.clone() };
        let (committed, bodies) = engine
            .store
            .run(Mode::Relaxed, async |db| {
                let committed = cycle(db, clock::now(), request, settings).await?;
                let with_body: Vec<_> = committed.claimed.iter().filter(|job| job.size().is_some()).collect();
                let found = db.bodies(&with_body).await?.into_iter();
                let bodies: Vec<_> =
                    with_body.iter().map(|job| job.id.clone()).zip(found).filter(|(_, body)| !body.is_undefined()).collect();
                Ok((committed, bodies))
            })
            .await?;
        engine.saw(&committed.ledger);
        if committed.recovered {
            engine.recovered(&self.queue);
        }
        for queue in &committed.freed {
            engine.start(queue, SkipBackoff::None);
        }
        #[cfg(feature = "full")]
        crate::collections::tell(engine, Some(&committed.collections));
        for settled in &committed.settled {
            engine.tell_outcome(settled, &committed.ledger);
        }
        let idle = committed.next_wake.filter(|_| request.in_flight.is_empty());
        self.next_wake_at_version.set(idle.map(|next| (committed.ledger.version, next)));
        if !committed.settled.is_empty() {
            engine.store.note_room();
            failpoints::reach("outcome-after").await;
        }
        if !committed.claimed.is_empty() {
            failpoints::reach("claim-after").await;
        }
        {
            // A body from an earlier claim may be of an earlier edit.
            let mut held = self.bodies.borrow_mut();
            held.retain(|(id, _)| !committed.claimed.iter().any(|job| job.id == *id));
            held.extend(bodies);
        }
        for Job { id, .. } in &committed.claimed {
            engine.log_debug("claimed", id);
        }
        Ok(committed)
    }
}
