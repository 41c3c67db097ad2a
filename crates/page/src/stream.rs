//! Streams of what changes.
//!
//! A stream holds what its consumer has not taken yet, and no more than a fixed number of items: who is slow loses the
//! oldest and holds up nobody. It is woken, never called: what its consumer does, be it a panic, happens outside of the
//! client. Dropping it unsubscribes.
//!
//! No channel of `futures` is one: those that are bounded refuse what is new when they are full, and keep what is old.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use futures_core::Stream;
use shearwater_core::{
    JobId,
    protocol::{
        self,
        view::{JobView, Snapshot, SyncResult},
    },
    wire::Wire,
};
use shearwater_web::decode;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::{
    client::get,
    events::{Events, Topic},
    js,
    link::Link,
};

/// The most events that wait for a slow consumer of [`Client::events`](crate::Client::events).
pub const MOST_EVENTS: usize = 1_024;

/// What happens, as all pages hear it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A drain of this queue began.
    SyncStart {
        /// The queue.
        queue: String,
    },
    /// A drain of this queue ended.
    SyncComplete {
        /// The queue.
        queue: String,
        /// What it did.
        result: SyncResult,
    },
    /// A job has changed; its `state` says whether it was delivered, has failed, is in conflict or blocked.
    Job(Box<JobView>),
    /// Jobs were removed by hand; empty when more than one was.
    Removed(Vec<JobId>),
    /// Of the jobs that the running drains took on, so many are done.
    Progress {
        /// Done.
        done: u64,
        /// Of so many.
        total: u64,
    },
}

/// A stream of what changes. It ends with its client; dropping it unsubscribes.
#[must_use = "dropping a stream unsubscribes"]
pub struct Updates<T> {
    waiting: Rc<Waiting<T>>,
    events: Weak<Events>,
    listener: u32,
}

impl<T> Stream for Updates<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let waiting = &self.waiting;
        if let Some(item) = waiting.items.borrow_mut().pop_front() {
            return Poll::Ready(Some(item));
        }
        if waiting.ended.get() {
            return Poll::Ready(None);
        }
        waiting.waker.replace(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl<T> Drop for Updates<T> {
    fn drop(&mut self) {
        if let Some(events) = self.events.upgrade() {
            events.unlisten(self.listener);
        }
    }
}

/// Items that were not taken yet.
struct Waiting<T> {
    items: RefCell<VecDeque<T>>,
    most: usize,
    /// Items so far.
    count: Cell<u32>,
    waker: RefCell<Option<Waker>>,
    ended: Cell<bool>,
}

impl<T> Waiting<T> {
    fn push(&self, item: T) {
        let mut items = self.items.borrow_mut();
        let lost = if items.len() == self.most { items.pop_front() } else { None };
        items.push_back(item);
        // The app's code may be called by either of these.
        drop(items);
        drop(lost);
        self.count.set(self.count.get().wrapping_add(1));
        self.wake();
    }

    /// Forgets what was not taken yet.
    fn clear(&self) {
        let items = std::mem::take(&mut *self.items.borrow_mut());
        drop(items);
    }

    fn wake(&self) {
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Where items come from. With the listener that holds it, the stream ends.
struct Source<T>(Rc<Waiting<T>>);

impl<T> Drop for Source<T> {
    fn drop(&mut self) {
        self.0.ended.set(true);
        self.0.wake();
    }
}

/// A stream of what `listener` makes of this topic's events.
fn subscribe<T: 'static>(
    events: &Rc<Events>,
    topic: Topic,
    most: usize,
    listener: impl Fn(&Rc<Waiting<T>>, &JsValue) + 'static,
) -> Updates<T> {
    let waiting = Rc::new(Waiting {
        items: RefCell::default(),
        most,
        count: Cell::new(0),
        waker: RefCell::default(),
        ended: Cell::new(false),
    });
    let source = Source(Rc::clone(&waiting));
    let listener = events.listen(topic, Rc::new(move |detail| listener(&source.0, detail)));
    Updates { waiting, events: Rc::downgrade(events), listener }
}

pub(crate) fn snapshots(events: &Rc<Events>) -> Updates<Snapshot> {
    let current = Rc::downgrade(events);
    let updates = subscribe(events, Topic::Snapshot, 1, move |waiting, _| {
        if let Some(events) = current.upgrade() {
            waiting.push(events.snapshot());
        }
    });
    updates.waiting.push(events.snapshot());
    updates
}

pub(crate) fn watch(events: &Rc<Events>, link: &Rc<Link>, id: JobId) -> Updates<Option<JobView>> {
    let (asked, wanted) = (Rc::downgrade(link), id.clone());
    let updates = subscribe(events, Topic::Broadcast, 1, move |waiting, data| {
        if data.is_undefined() {
            waiting.clear();
            // It may be of the new owner.
            return look(waiting, &asked, wanted.clone());
        }
        for job in jobs(data).filter(|job| job.id == wanted) {
            waiting.push(Some(job));
        }
        match event(data) {
            Some(protocol::Event::Removed(ids)) if ids.contains(&wanted) => waiting.push(None),
            // Many; whether this is one of them must be asked.
            Some(protocol::Event::Removed(ids)) if ids.is_empty() => look(waiting, &asked, wanted.clone()),
            _ => {}
        }
    });
    look(&updates.waiting, &Rc::downgrade(link), id);
    updates
}

/// Asks for a job, unless there is news of it meanwhile.
fn look(waiting: &Rc<Waiting<Option<JobView>>>, link: &Weak<Link>, id: JobId) {
    let (waiting, link) = (Rc::downgrade(waiting), link.upgrade());
    let count = waiting.upgrade().map(|waiting| waiting.count.get());
    spawn_local(async move {
        let Some(link) = link else { return };
        let Ok(job) = get(&link, id).await else { return };
        if let Some(waiting) = waiting.upgrade().filter(|waiting| Some(waiting.count.get()) == count && !waiting.ended.get()) {
            waiting.push(job);
        }
    });
}

pub(crate) fn events(events: &Rc<Events>) -> Updates<Event> {
    let before = Cell::new(events.progress());
    subscribe(events, Topic::Broadcast, MOST_EVENTS, move |waiting, data| {
        if data.is_undefined() {
            return waiting.clear();
        }
        let status = js::get(data, "status");
        let (done, total) = (member(&status, "done").unwrap_or(0), member(&status, "total").unwrap_or(0));
        if before.replace((done, total)) != (done, total) && total > 0 {
            waiting.push(Event::Progress { done, total });
        }
        jobs(data).for_each(|job| waiting.push(Event::Job(Box::new(job))));
        match event(data) {
            Some(protocol::Event::SyncStart(queue)) => waiting.push(Event::SyncStart { queue }),
            Some(protocol::Event::SyncComplete(done)) => {
                waiting.push(Event::SyncComplete { queue: done.queue, result: done.result });
            }
            Some(protocol::Event::Removed(ids)) => waiting.push(Event::Removed(ids)),
            None => {}
        }
    })
}

/// The jobs of a broadcast; none where it is of another shape.
fn jobs(data: &JsValue) -> impl Iterator<Item = JobView> {
    member::<Vec<JobView>>(data, "jobs").unwrap_or_default().into_iter()
}

fn event(data: &JsValue) -> Option<protocol::Event> {
    member(data, "event")
}

fn member<T: Wire>(data: &JsValue, name: &'static str) -> Option<T> {
    decode(&js::get(data, name)).ok()
}
