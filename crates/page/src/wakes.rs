//! Pokes the worker when the page knows of a reason: opened, back online, visible again, work due.

use std::{cell::RefCell, rc::Rc};

use js_sys::Array;
use shearwater_core::{Millis, protocol::Op, schedule::wakes::WakeReason};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::{
    events::{Events, now},
    js::{self, EventTarget},
    link::Link,
    options::ClientOptions,
};

/// Timers and listeners of one client; dropped, they are gone.
pub struct Wakes {
    listeners: Vec<(EventTarget, &'static str, Closure<dyn FnMut()>)>,
    _due: Rc<RefCell<Due>>,
}

#[derive(Default)]
struct Due {
    next: Option<(Millis, WakeReason)>,
    timer: Option<JsValue>,
    fire: Option<Closure<dyn FnMut()>>,
}

impl Drop for Due {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            js::clear_timeout(timer);
        }
    }
}

impl Wakes {
    /// Begins to watch, and wakes the worker for this page's opening.
    pub fn new(link: &Rc<Link>, events: &Rc<Events>, options: &ClientOptions) -> Self {
        let mut wakes = Self { listeners: Vec::new(), _due: Rc::default() };
        let window: EventTarget = js_sys::global().unchecked_into();
        let (online, offline) = (Rc::clone(events), Rc::clone(events));
        if options.sync_on_online {
            let link = Rc::clone(link);
            wakes.listen(window.clone().unchecked_into(), "online", move || {
                online.refresh();
                poke(&link, WakeReason::Online);
            });
        } else {
            wakes.listen(window.clone().unchecked_into(), "online", move || online.refresh());
        }
        wakes.listen(window.clone().unchecked_into(), "offline", move || offline.refresh());
        if options.sync_on_visibility {
            let link = Rc::clone(link);
            wakes.listen(window.unchecked_into(), "focus", move || poke(&link, WakeReason::Focus));
        }
        let document = js::global("document");
        if options.sync_on_visibility && document.is_object() {
            let (link, seen, events) = (Rc::clone(link), document.clone(), Rc::clone(events));
            wakes.listen(document.unchecked_into(), "visibilitychange", move || {
                if js::get(&seen, "visibilityState").as_string().as_deref() == Some("visible") {
                    poke(&link, WakeReason::Visible);
                }
                events.refresh();
            });
        }
        wakes.plan(link, events);
        if options.sync_on_mount {
            poke(link, WakeReason::Load);
        }
        wakes
    }

    fn listen(&mut self, target: EventTarget, event: &'static str, then: impl FnMut() + 'static) {
        let closure = Closure::<dyn FnMut()>::new(then);
        target.listen(event, closure.as_ref().unchecked_ref());
        self.listeners.push((target, event, closure));
    }

    /// Sets a timer for the next wake that [`shearwater_core::schedule::wakes`] plans.
    fn plan(&self, link: &Rc<Link>, events: &Rc<Events>) {
        let due = Rc::downgrade(&self._due);
        let (link, replan) = (Rc::downgrade(link), Rc::downgrade(events));
        events.on_plan(move |next| {
            let Some(due) = due.upgrade() else { return };
            let mut state = due.borrow_mut();
            // A worker that is looked after in vain is looked after again no sooner than was planned.
            let stays = match (state.next, next) {
                (Some((_, WakeReason::Watchdog)), Some((_, WakeReason::Watchdog))) => true,
                (old, new) => old == new,
            };
            if stays && state.timer.is_some() {
                return;
            }
            if let Some(timer) = state.timer.take() {
                js::clear_timeout(&timer);
            }
            state.next = next;
            let Some((at, reason)) = next else { return };
            let (link, again, replan) = (link.clone(), Rc::downgrade(&due), replan.clone());
            let fire = Closure::<dyn FnMut()>::new(move || {
                if let Some(due) = again.upgrade() {
                    due.borrow_mut().timer = None;
                }
                if let (Some(link), Some(events)) = (link.upgrade(), replan.upgrade()) {
                    spawn_local(async move {
                        let _ = link.ask(Op::Wake(reason), Array::new()).await;
                        events.refresh();
                    });
                }
            });
            let delay = i32::try_from(at.since(now())).unwrap_or(i32::MAX);
            state.timer = Some(js::set_timeout(fire.as_ref().unchecked_ref(), delay));
            state.fire = Some(fire);
        });
        // The status was there before the planner: should no worker say another word, this is the plan.
        events.refresh();
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        for (target, event, closure) in &self.listeners {
            target.unlisten(event, closure.as_ref().unchecked_ref());
        }
    }
}

/// Wakes the worker. That it cannot be reached now is no news: the next reason comes.
fn poke(link: &Rc<Link>, reason: WakeReason) {
    let link = Rc::clone(link);
    spawn_local(async move {
        let _ = link.ask(Op::Wake(reason), Array::new()).await;
    });
}
