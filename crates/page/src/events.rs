//! What the worker broadcasts, as a snapshot and as events.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use js_sys::{Array, Object};
use shearwater_core::{
    Millis,
    protocol::view::{Snapshot, Status},
    schedule::wakes::{Facts, WakeReason, plan},
    wire::{json::Json, text::Text},
};
use shearwater_web::{decode, spell};
use wasm_bindgen::prelude::*;
use web_sys::{BroadcastChannel, MessageEvent};

use crate::js;

/// Listeners by what they listen to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Any change of the snapshot.
    Snapshot,
    /// An event by its name in JavaScript, with what JavaScript gets to see.
    Event(&'static str),
    /// One job, as JavaScript gets to see it.
    Job(String),
    /// Whatever the worker broadcasts, as it came; undefined when another owner is signed in than before.
    Broadcast,
}

/// Called with what its [`Topic`] says. It must not panic, nor take long.
pub type Listener = Rc<dyn Fn(&JsValue)>;

/// Told when the worker is to be woken next, and why; and what the page knows.
type Planner = Box<dyn Fn(Option<(Millis, WakeReason)>, &Snapshot)>;

/// See the module.
pub struct Events {
    listeners: RefCell<Vec<(u32, Topic, Listener)>>,
    next: Cell<u32>,
    status: RefCell<Status>,
    online: Cell<bool>,
    /// The snapshot as JSON, by which a change is told from none.
    snapshot: RefCell<String>,
    /// Changes of the snapshot, counted.
    changes: Cell<u32>,
    channel: BroadcastChannel,
    /// Until it is closed.
    listener: RefCell<Option<Closure<dyn FnMut(MessageEvent)>>>,
    /// Signs of life of the worker, counted.
    heard: Cell<u32>,
    /// Called with the time of the next wake whenever it may have changed.
    planned: RefCell<Option<Planner>>,
}

impl Events {
    /// Listens to the worker whose configuration has this name.
    pub fn new(name: &str) -> Rc<Self> {
        let events = Rc::new(Self {
            listeners: RefCell::default(),
            next: Cell::new(0),
            status: RefCell::default(),
            online: Cell::new(true),
            snapshot: RefCell::default(),
            changes: Cell::new(0),
            channel: js::sure(BroadcastChannel::new(&["shearwater:", name].text())),
            listener: RefCell::default(),
            heard: Cell::new(0),
            planned: RefCell::default(),
        });
        let listener = Closure::<dyn FnMut(MessageEvent)>::new({
            let events = Rc::downgrade(&events);
            move |event: MessageEvent| {
                if let Some(events) = events.upgrade() {
                    events.heard(&event.data());
                }
            }
        });
        events.channel.set_onmessage(Some(listener.as_ref().unchecked_ref()));
        *events.listener.borrow_mut() = Some(listener);
        events.refresh();
        events
    }

    /// The current snapshot.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.status.borrow().clone(), self.online.get())
    }

    /// What `show` makes of the current snapshot as JSON.
    #[cfg(feature = "javascript")]
    pub fn show<T>(&self, show: impl FnOnce(&str) -> T) -> T {
        show(&self.snapshot.borrow())
    }

    /// How often the snapshot has changed.
    #[cfg(feature = "javascript")]
    pub fn changes(&self) -> u32 {
        self.changes.get()
    }

    /// Jobs done, and of how many, by the drains that run.
    pub fn progress(&self) -> (u64, u64) {
        let status = self.status.borrow();
        (status.done, status.total)
    }

    /// Who is signed in, as far as this page knows; empty for nobody.
    pub fn owner(&self) -> String {
        self.status.borrow().owner.clone()
    }

    /// Signs of life of the worker so far.
    pub fn signs_of_life(&self) -> u32 {
        self.heard.get()
    }

    /// The worker has answered something.
    pub fn note_life(&self) {
        self.heard.set(self.heard.get().wrapping_add(1));
    }

    /// Adds a listener; [`Events::unlisten`] takes it off again by the number that is returned.
    pub fn listen(&self, topic: Topic, listener: Listener) -> u32 {
        let id = self.next.replace(self.next.get().wrapping_add(1));
        // Of a client that is closed there is nothing to hear: the listener is dropped, and its stream ends.
        if self.listener.borrow().is_some() {
            self.listeners.borrow_mut().push((id, topic, listener));
        }
        id
    }

    /// Takes a listener off.
    pub fn unlisten(&self, id: u32) {
        let gone = self.listeners.borrow().iter().find(|(other, ..)| *other == id).map(|(.., listener)| Rc::clone(listener));
        self.listeners.borrow_mut().retain(|(other, ..)| *other != id);
        // It may hold what calls back when it is dropped: not while the list is borrowed.
        drop(gone);
    }

    /// Sets who is told when the worker wants to be woken.
    pub fn on_plan(&self, planned: impl Fn(Option<(Millis, WakeReason)>, &Snapshot) + 'static) {
        *self.planned.borrow_mut() = Some(Box::new(planned));
    }

    /// Takes a status that was asked for; an older one than was broadcast meanwhile is passed over.
    pub fn take_status(&self, status: Status) {
        if status.version >= self.status.borrow().version {
            self.replace(status);
            self.refresh();
        }
    }

    /// Takes a status; what streams hold of the owner before is nothing to the next.
    fn replace(&self, status: Status) {
        let before = self.status.replace(status);
        if before.owner != self.status.borrow().owner {
            self.emit(&Topic::Broadcast, &JsValue::UNDEFINED);
        }
    }

    /// Computes the snapshot anew, and tells listeners when it differs.
    pub fn refresh(&self) {
        self.online.set(js::scope::is_online());
        let snapshot = self.snapshot();
        let next = plan(js::time::now(), Self::facts(&snapshot));
        if let Some(planned) = self.planned.borrow().as_ref() {
            planned(next, &snapshot);
        }
        let json = Json::of(&snapshot, spell);
        if json != *self.snapshot.borrow() {
            self.snapshot.replace(json);
            self.changes.set(self.changes.get().wrapping_add(1));
            self.emit(&Topic::Snapshot, &JsValue::UNDEFINED);
        }
    }

    /// What the plan of the next wake follows from.
    fn facts(snapshot: &Snapshot) -> Facts {
        Facts {
            is_online: snapshot.is_online,
            is_sending: snapshot.is_running || snapshot.syncing > 0,
            next_due: snapshot.next_sync_at,
        }
    }

    /// Ends it.
    pub fn close(&self) {
        self.channel.close();
        self.listener.take();
        drop(self.listeners.take());
        self.planned.take();
    }

    fn heard(&self, data: &JsValue) {
        let version = js::get(data, "shearwater").as_f64();
        if version != Some(f64::from(shearwater_core::protocol::VERSION)) {
            return;
        }
        let Ok(status) = decode::<Status>(&js::get(data, "status")) else { return };
        self.note_life();
        let before = {
            let known = self.status.borrow();
            if status.owner != known.owner && status.version < known.version {
                // Of the owner before; it was on its way when the other signed in.
                return;
            }
            (known.done, known.total)
        };
        let (done, total) = (status.done, status.total);
        self.replace(status);
        self.refresh();
        self.emit(&Topic::Broadcast, data);
        if (done, total) != before && total > 0 {
            let detail = Object::new();
            js::set(&detail, "done", &js::number(done));
            js::set(&detail, "total", &js::number(total));
            self.emit_event("progress", &detail);
        }
        if let Ok(jobs) = js::get(data, "jobs").dyn_into::<Array>() {
            for job in jobs.iter() {
                self.job(&js::as_shown(job));
            }
        }
        self.event(&js::get(data, "event"));
    }

    fn job(&self, job: &JsValue) {
        self.emit_event("job", job);
        let state = js::get(job, "state").as_string().unwrap_or_default();
        if let Some(name) = ["delivered", "failed", "conflict", "blocked"].into_iter().find(|name| *name == state) {
            self.emit_event(name, job);
        }
        if let Some(id) = js::get(job, "id").as_string() {
            self.emit(&Topic::Job(id), job);
        }
    }

    fn event(&self, event: &JsValue) {
        if !event.is_object() {
            return;
        }
        let started = js::get(event, "sync-start");
        if !started.is_undefined() {
            let detail = Object::new();
            js::set(&detail, "queue", &started);
            self.emit_event("sync-start", &detail);
        }
        let completed = js::get(event, "sync-complete");
        if completed.is_object() {
            let detail = Object::assign(&Object::new(), js::get(&completed, "result").unchecked_ref());
            js::set(&detail, "queue", &js::get(&completed, "queue"));
            self.emit_event("sync-complete", &detail);
        }
        if let Ok(ids) = js::get(event, "removed").dyn_into::<Array>() {
            for id in ids.iter().filter_map(|id| id.as_string()) {
                self.emit(&Topic::Job(id), &JsValue::NULL);
            }
            let detail = Object::new();
            js::set(&detail, "ids", &ids);
            self.emit_event("removed", &detail);
        }
    }

    fn emit_event(&self, name: &'static str, detail: &JsValue) {
        self.emit(&Topic::Event(name), detail);
    }

    fn emit(&self, topic: &Topic, detail: &JsValue) {
        let listeners: Vec<Listener> = self
            .listeners
            .borrow()
            .iter()
            .filter(|(_, other, _)| other == topic)
            .map(|(.., listener)| listener.clone())
            .collect();
        for listener in listeners {
            listener(detail);
        }
    }
}

impl Drop for Events {
    /// An open channel would go on calling a listener that is gone.
    fn drop(&mut self) {
        self.channel.close();
    }
}
