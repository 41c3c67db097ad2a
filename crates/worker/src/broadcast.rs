//! Tells every open page what is stored: the status, and the jobs that changed (P5).

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use shearwater_core::{
    Millis,
    drain::News,
    protocol::{
        Broadcast, Event, VERSION,
        view::{JobView, Status},
    },
    queue::{cycle::Settled, job::State, last_error::LastError},
    store::ledger::Ledger,
    wire::text::Text,
};
use shearwater_web::{encode, spawn_local};
use web_sys::BroadcastChannel;

use crate::{clock::Timer, engine::Engine, js, latch::Latch};

/// Milliseconds within which all pages hear of what one of them has stored.
const TOLD_WITHIN: u64 = 20;

/// The way to all pages, and what they were told last.
pub struct Broadcaster {
    /// `None` where the browser has no `BroadcastChannel`.
    channel: Option<BroadcastChannel>,
    /// A broadcast that is about to be made.
    soon: RefCell<Option<(Latch<()>, Timer)>>,
    /// The time of the next wake, as pages were told last.
    told: Cell<Option<Option<Millis>>>,
    /// Why the last cycle of a drain could not be written.
    trouble: RefCell<Option<LastError>>,
}

impl Broadcaster {
    /// The way to the pages of the configuration of this name.
    pub fn new(name: &str) -> Self {
        Self {
            channel: BroadcastChannel::new(&["shearwater:", name].text()).ok(),
            soon: RefCell::default(),
            told: Cell::new(None),
            trouble: RefCell::default(),
        }
    }

    /// The time of the next wake, if pages were told of it.
    pub fn told(&self) -> Option<Option<Millis>> {
        self.told.get()
    }

    /// The next wake that pages were told of was another owner's.
    pub fn forget_next_wake(&self) {
        self.told.set(None);
    }

    /// Why a cycle could not be written, or that one was.
    pub fn note_trouble(&self, trouble: Option<LastError>) {
        self.trouble.replace(trouble);
    }
}

impl Engine {
    /// The time of the next wake: as pages were told, or, if they were not yet, as it is stored.
    pub async fn next(&self) -> Option<Millis> {
        match self.broadcaster.told.get() {
            Some(told) => told,
            None => self.ledger_and_next_wake().await.ok().and_then(|(_, next)| next),
        }
    }

    /// Broadcasts the status as it is stored now.
    pub async fn tell_now(&self, event: Option<Event>) {
        match self.ledger_and_next_wake().await {
            Ok((ledger, next)) => {
                self.saw_stored(ledger);
                self.tell_next(next, event);
            }
            Err(error) => self.log_error(&error.message),
        }
    }

    /// Broadcasts the status as it was seen last, and when the next wake is.
    pub fn tell_next(&self, next: Option<Millis>, event: Option<Event>) {
        let mut status = self.status(&self.latest());
        status.next_sync_at = next;
        self.broadcaster.told.set(Some(next));
        self.tell(status, Vec::new(), event);
    }

    /// Broadcasts a change that an answer has told already to the page that asked: soon, so that a burst of
    /// changes is one word to the other pages.
    pub fn tell_soon(self: &Rc<Self>, next: Option<Millis>) -> Latch<()> {
        self.broadcaster.told.set(Some(next));
        let mut soon = self.broadcaster.soon.borrow_mut();
        if let Some((latch, _)) = soon.as_ref() {
            return latch.clone();
        }
        let latch = Latch::new();
        let engine = Rc::clone(self);
        let timer = Timer::start(TOLD_WITHIN, move || {
            let ended = engine.broadcaster.soon.take();
            engine.tell_next(engine.broadcaster.told.get().flatten(), None);
            if let Some((latch, _)) = ended {
                latch.open(());
            }
        });
        *soon = Some((latch.clone(), timer));
        latch
    }

    /// The status as of this ledger, with what this worker is doing.
    pub fn status(&self, ledger: &Ledger) -> Status {
        let mut status = Status::of(ledger);
        // What is still in flight for somebody who has signed out is nothing to whoever is signed in.
        let progress = self.drains.progress(&ledger.owner);
        status.is_running = progress.is_some();
        (status.done, status.total) = progress.unwrap_or_default();
        status.quarantined = self.store.quarantined();
        status.network = ledger.network_policy(&self.config);
        status.restriction = self.permit(ledger).restriction();
        if status.pending + status.syncing > 0 {
            status.error = self.broadcaster.trouble.borrow().clone().or(status.error);
        }
        status
    }

    /// Tells pages what a cycle of a drain changed.
    pub fn tell_news(&self, news: News) {
        let mut jobs = Vec::with_capacity(news.settled.len() + news.claimed.len());
        jobs.extend(news.settled.into_iter().filter_map(|settled| self.outcome_view(settled, &news.ledger)));
        for job in news.claimed.into_iter().chain(news.released) {
            jobs.push(JobView::of(job, None, &news.ledger, &self.config));
        }
        self.tell(self.status(&news.ledger), jobs, None);
    }

    /// Calls the app's hook of an outcome, which is told what happened and decides nothing; what it throws is reported.
    pub fn tell_outcome(self: &Rc<Self>, settled: &Settled, ledger: &Ledger) {
        let name = match settled {
            Settled::Delivered(_) => "delivered",
            Settled::Kept(job) if matches!(job.state, State::Failed | State::Conflict | State::Blocked) => job.state.as_str(),
            Settled::Kept(_) | Settled::Late => return,
        };
        if !self.host.has_hook(name) {
            return;
        }
        let Some(job) = self.outcome_view(settled.clone(), ledger) else { return };
        let (engine, detail) = (Rc::clone(self), js::as_shown(encode(&job)));
        spawn_local(async move {
            if let Err(error) = engine.host.hook(name, &detail).await {
                engine.log_error(&error.message);
            }
        });
    }

    /// A settled job as apps see it.
    fn outcome_view(&self, settled: Settled, ledger: &Ledger) -> Option<JobView> {
        match settled {
            Settled::Delivered(outcome) => Some(JobView::delivered(*outcome)),
            Settled::Kept(job) => Some(JobView::of(*job, None, ledger, &self.config)),
            Settled::Late => None,
        }
    }

    /// Broadcasts to all pages.
    pub fn tell(&self, status: Status, jobs: Vec<JobView>, event: Option<Event>) {
        let broadcast = Broadcast { shearwater: VERSION, status, jobs, event };
        let posted = self.broadcaster.channel.as_ref().map_or(Ok(()), |channel| channel.post_message(&encode(&broadcast)));
        if let Err(error) = posted {
            self.log_error(&["pages could not be told: ", &js::message_of(&error)].text());
        }
    }
}
