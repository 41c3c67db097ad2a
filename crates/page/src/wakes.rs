//! Pokes the worker when the page knows of a reason: opened, back online, visible again, work due.

use std::{cell::RefCell, rc::Rc};

use js_sys::Array;
use shearwater_core::{Millis, protocol::Op, schedule::wakes::WakeReason};
use wasm_bindgen_futures::spawn_local;

use crate::{
    events::Events,
    js::{
        Listener,
        scope::{document, is_visible, window},
        time::{Timer, now},
    },
    link::Link,
    options::ClientOptions,
};

/// Timers and listeners of one client; dropped, they are gone.
pub struct Wakes {
    _listeners: Vec<Listener>,
    due: Rc<RefCell<Due>>,
}

#[derive(Default)]
struct Due {
    next: Option<(Millis, WakeReason)>,
    timer: Option<Timer>,
}

impl Wakes {
    /// Begins to watch, and wakes the worker for this page's opening.
    pub fn new(link: &Rc<Link>, events: &Rc<Events>, options: &ClientOptions) -> Self {
        let mut listeners = Vec::new();
        let (online, offline) = (Rc::clone(events), Rc::clone(events));
        let asks = options.sync_on_online.then(|| Rc::clone(link));
        listeners.push(Listener::new(&window(), "online", move || {
            online.refresh();
            if let Some(link) = &asks {
                poke(link, WakeReason::Online);
            }
        }));
        listeners.push(Listener::new(&window(), "offline", move || offline.refresh()));
        if options.sync_on_visibility {
            let link = Rc::clone(link);
            listeners.push(Listener::new(&window(), "focus", move || poke(&link, WakeReason::Focus)));
        }
        if let Some(document) = document().filter(|_| options.sync_on_visibility) {
            let (link, events) = (Rc::clone(link), Rc::clone(events));
            listeners.push(Listener::new(&document, "visibilitychange", move || {
                if is_visible() {
                    poke(&link, WakeReason::Visible);
                }
                events.refresh();
            }));
        }
        let wakes = Self { _listeners: listeners, due: Rc::default() };
        wakes.plan(link, events);
        if options.sync_on_mount {
            poke(link, WakeReason::Load);
        }
        wakes
    }

    /// Sets a timer for the next wake that [`shearwater_core::schedule::wakes`] plans.
    fn plan(&self, link: &Rc<Link>, events: &Rc<Events>) {
        let due = Rc::downgrade(&self.due);
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
            state.timer = None;
            state.next = next;
            let Some((at, reason)) = next else { return };
            let (link, again, replan) = (link.clone(), Rc::downgrade(&due), replan.clone());
            let timer = Timer::start(at.since(now()), move || {
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
            state.timer = Some(timer);
        });
        // The status was there before the planner: should no worker say another word, this is the plan.
        events.refresh();
    }
}

/// Wakes the worker. That it cannot be reached now is no news: the next reason comes.
fn poke(link: &Rc<Link>, reason: WakeReason) {
    let link = Rc::clone(link);
    spawn_local(async move {
        let _ = link.ask(Op::Wake(reason), Array::new()).await;
    });
}
