//! What the worker broadcasts, as a snapshot and as events.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use js_sys::{Array, Function, Object};
use shearwater_bridge::{decode, encode};
use shearwater_core::{
    Millis,
    protocol::view::{Snapshot, Status},
    schedule::wakes::{Facts, WakeReason, plan},
    wire::text::Text,
};
use wasm_bindgen::prelude::*;

use crate::js::{self, BroadcastChannel};

/// Listeners by what they listen to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Any change of the snapshot.
    Snapshot,
    /// An event by name.
    Event(String),
    /// One job.
    Job(String),
}

/// Told when the worker is to be woken next, and why.
type Planner = Box<dyn Fn(Option<(Millis, WakeReason)>)>;

/// See the module.
pub struct Events {
    /// Milliseconds of `autoSyncInterval`.
    interval: u64,
    listeners: RefCell<Vec<(u32, Topic, Function)>>,
    next: Cell<u32>,
    status: RefCell<Status>,
    snapshot: RefCell<JsValue>,
    channel: BroadcastChannel,
    listener: RefCell<Option<Closure<dyn FnMut(JsValue)>>>,
    /// Signs of life of the worker, counted.
    heard: Cell<u32>,
    /// Called with the time of the next wake whenever it may have changed.
    planned: RefCell<Option<Planner>>,
}

impl Events {
    /// Listens to the worker whose configuration has this name.
    pub fn new(name: &str, interval: u64) -> Rc<Self> {
        let events = Rc::new(Self {
            interval,
            listeners: RefCell::default(),
            next: Cell::new(0),
            status: RefCell::default(),
            snapshot: RefCell::new(JsValue::UNDEFINED),
            channel: BroadcastChannel::new(&["shearwater:", name].text()),
            listener: RefCell::default(),
            heard: Cell::new(0),
            planned: RefCell::default(),
        });
        let listener = Closure::<dyn FnMut(JsValue)>::new({
            let events = Rc::downgrade(&events);
            move |event: JsValue| {
                if let Some(events) = events.upgrade() {
                    events.heard(&js::get(&event, "data"));
                }
            }
        });
        js::set(&events.channel, "onmessage", listener.as_ref());
        *events.listener.borrow_mut() = Some(listener);
        events.refresh();
        events
    }

    /// The current snapshot: the same object until something changes.
    pub fn snapshot(&self) -> JsValue {
        self.snapshot.borrow().clone()
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

    /// Adds a listener; the answered function takes it off again.
    pub fn listen(self: &Rc<Self>, topic: Topic, listener: Function) -> Function {
        let id = self.next.replace(self.next.get().wrapping_add(1));
        self.listeners.borrow_mut().push((id, topic, listener));
        let events = Rc::downgrade(self);
        Closure::once_into_js(move || {
            if let Some(events) = events.upgrade() {
                events.listeners.borrow_mut().retain(|(other, ..)| *other != id);
            }
        })
        .unchecked_into()
    }

    /// Sets who is told when the worker wants to be woken.
    pub fn on_plan(&self, planned: impl Fn(Option<(Millis, WakeReason)>) + 'static) {
        *self.planned.borrow_mut() = Some(Box::new(planned));
    }

    /// Takes a status that was asked for; an older one than was broadcast meanwhile is passed over.
    pub fn take_status(&self, status: Status) {
        if status.version >= self.status.borrow().version {
            self.status.replace(status);
            self.refresh();
        }
    }

    /// Computes the snapshot anew, and tells listeners when it differs.
    pub fn refresh(&self) {
        let online = js::get(&js::global("navigator"), "onLine").as_bool() != Some(false);
        let snapshot = Snapshot::of(self.status.borrow().clone(), online);
        let next = plan(now(), self.facts(&snapshot));
        let object = encode(&snapshot);
        // Options are null to JavaScript, not absent.
        for name in ["progress", "lastSyncAt", "nextSyncAt", "error"] {
            if js::get(&object, name).is_undefined() {
                js::set(&object, name, &JsValue::NULL);
            }
        }
        let text = |value: &JsValue| js_sys::JSON::stringify(value).ok().and_then(|text| text.as_string());
        let differs = text(&object) != text(&self.snapshot.borrow());
        if let Some(planned) = self.planned.borrow().as_ref() {
            planned(next);
        }
        if differs {
            self.snapshot.replace(Object::freeze(object.unchecked_ref::<Object>()).into());
            self.emit(&Topic::Snapshot, &JsValue::UNDEFINED);
        }
    }

    /// What the plan of the next wake follows from.
    fn facts(&self, snapshot: &Snapshot) -> Facts {
        Facts {
            is_online: snapshot.is_online,
            is_visible: js::get(&js::global("document"), "visibilityState").as_string().as_deref() != Some("hidden"),
            is_sending: snapshot.is_running || snapshot.syncing > 0,
            is_waiting: snapshot.pending > 0,
            next_due: snapshot.next_sync_at,
            interval: self.interval,
        }
    }

    /// Ends it.
    pub fn close(&self) {
        self.channel.close();
        self.listener.take();
        self.listeners.borrow_mut().clear();
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
        self.status.replace(status);
        self.refresh();
        if (done, total) != before && total > 0 {
            let detail = Object::new();
            js::set(&detail, "done", &js::number(done));
            js::set(&detail, "total", &js::number(total));
            self.emit_event("progress", &detail);
        }
        if let Ok(jobs) = js::get(data, "jobs").dyn_into::<Array>() {
            for job in jobs.iter() {
                self.job(&parse_metadata(job));
            }
        }
        self.event(&js::get(data, "event"));
    }

    fn job(&self, job: &JsValue) {
        self.emit_event("job", job);
        let state = js::get(job, "state").as_string().unwrap_or_default();
        if matches!(state.as_str(), "delivered" | "failed" | "conflict" | "blocked") {
            self.emit_event(&state, job);
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

    fn emit_event(&self, name: &str, detail: &JsValue) {
        self.emit(&Topic::Event(name.to_owned()), detail);
    }

    fn emit(&self, topic: &Topic, detail: &JsValue) {
        let listeners: Vec<Function> = self
            .listeners
            .borrow()
            .iter()
            .filter(|(_, other, _)| other == topic)
            .map(|(.., listener)| listener.clone())
            .collect();
        for listener in listeners {
            js::call(&listener, detail);
        }
    }
}

/// The wall clock.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates; dates are positive and below 2^53")]
pub fn now() -> Millis {
    Millis(js_sys::Date::now() as u64)
}

/// A job as the app sees it: its metadata is what the app gave, not its JSON text, and headers are an object.
pub fn parse_metadata(job: JsValue) -> JsValue {
    let response = js::get(&job, "response");
    if let Ok(headers) = Object::from_entries(&js::get(&response, "headers")) {
        js::set(&response, "headers", &headers);
    }
    if let Some(text) = js::get(&job, "metadata").as_string()
        && let Ok(metadata) = js_sys::JSON::parse(&text)
    {
        js::set(&job, "metadata", &metadata);
    }
    job
}
