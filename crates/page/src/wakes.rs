//! Pokes the worker when the page knows of a reason: work is due, or what [`AutoSync`] says of what happens to the page.
//!
//! Two plans run side by side. What is due, and what is overdue, follows from the status each time anew
//! ([`shearwater_core::schedule::wakes`]). When the page syncs by itself besides (opened, back online, looked at again, every so
//! often) is a state machine of the core ([`shearwater_core::schedule::auto_sync`]), which is fed here. A page that is
//! prerendered does neither until it is shown.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};

use js_sys::{Array, Function, Promise};
use shearwater_core::{
    Error, Millis,
    protocol::Op,
    schedule::{
        auto_sync::{AutoSync, Battery, Input, Triggers},
        wakes::WakeReason,
    },
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::EventTarget;

use crate::{
    events::Events,
    js::{
        self, Listener,
        scope::{document, is_hidden, is_online, is_visible, navigator, window},
        time::{Timer, now},
    },
    link::Link,
    options::ClientOptions,
};

/// Milliseconds within which a person's moves are one.
const SETTLED: u64 = 1_000;

/// What a person does to a page that they use.
const USES: [&str; 4] = ["pointerdown", "pointermove", "keydown", "scroll"];

/// Timers and listeners of one client; dropped, they are gone.
pub struct Wakes {
    _listeners: Vec<Listener>,
    due: Rc<RefCell<Due>>,
    auto: Rc<Auto>,
}

#[derive(Default)]
struct Due {
    next: Option<(Millis, WakeReason)>,
    timer: Option<Timer>,
}

/// The page's [`AutoSync`], with its timer.
struct Auto {
    machine: RefCell<AutoSync>,
    timer: RefCell<Option<(Millis, Timer)>>,
    link: Weak<Link>,
    used: Cell<Millis>,
    /// Of the battery, which comes late.
    late: RefCell<Vec<Listener>>,
    this: Weak<Self>,
}

impl Auto {
    /// Takes what happened, and wakes the worker where that is a reason.
    fn feed(&self, input: Input) {
        let reason = self.machine.borrow_mut().handle(now(), input);
        if let (Some(reason), Some(link)) = (reason, self.link.upgrade()) {
            poke(&link, reason);
        }
        self.arm();
    }

    /// Sets the timer for the next wake by time.
    fn arm(&self) {
        let next = self.machine.borrow().next(now());
        let mut timer = self.timer.borrow_mut();
        if timer.as_ref().map(|(at, _)| *at) == next {
            return;
        }
        *timer = next.map(|at| {
            let this = self.this.clone();
            let timer = Timer::start(at.since(now()), move || {
                if let Some(this) = this.upgrade() {
                    this.timer.take();
                    this.feed(Input::Tick);
                }
            });
            (at, timer)
        });
    }

    fn is_mounted(&self) -> bool {
        self.machine.borrow().is_mounted()
    }
}

impl Wakes {
    /// Begins to watch, and wakes the worker for this page's opening.
    ///
    /// # Errors
    /// `invalid-config` for a schedule that is out of range.
    pub fn new(link: &Rc<Link>, events: &Rc<Events>, options: &ClientOptions) -> Result<Self, Error> {
        let triggers =
            Triggers { mount: options.sync_on_mount, online: options.sync_on_online, visibility: options.sync_on_visibility };
        let fixed = u64::from(options.auto_sync_interval);
        let machine = AutoSync::new(now(), options.schedule.clone(), fixed, triggers, options.auto_start)?;
        let (looks_at_use, looks_at_battery) = machine.looks_at();
        let auto = Rc::new_cyclic(|this| Auto {
            machine: RefCell::new(machine),
            timer: RefCell::default(),
            link: Rc::downgrade(link),
            used: Cell::new(Millis(0)),
            late: RefCell::default(),
            this: this.clone(),
        });
        auto.feed(Input::Visible(!is_hidden()));
        auto.feed(Input::Online(is_online()));
        let wakes = Self { _listeners: listeners(&auto, events, looks_at_use), due: Rc::default(), auto };
        if !is_prerendering() {
            wakes.auto.feed(Input::Mounted);
        }
        wakes.plan(link, events);
        if looks_at_battery {
            watch_battery(&wakes.auto);
        }
        Ok(wakes)
    }

    /// Begins to sync by itself, or ceases to.
    pub fn set_running(&self, running: bool) {
        self.auto.feed(if running { Input::Start } else { Input::Stop });
    }

    /// Sets a timer for the next wake that [`shearwater_core::schedule::wakes`] plans.
    fn plan(&self, link: &Rc<Link>, events: &Rc<Events>) {
        let due = Rc::downgrade(&self.due);
        let (link, replan) = (Rc::downgrade(link), Rc::downgrade(events));
        let auto = Rc::downgrade(&self.auto);
        events.on_plan(move |next, snapshot| {
            let (Some(due), Some(auto)) = (due.upgrade(), auto.upgrade()) else { return };
            auto.feed(Input::Waiting(snapshot.pending > 0));
            auto.feed(Input::Synced(snapshot.last_sync_at.unwrap_or_default()));
            let next = next.filter(|_| auto.is_mounted());
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

/// Listens to what happens to the page.
fn listeners(auto: &Rc<Auto>, events: &Rc<Events>, looks_at_use: bool) -> Vec<Listener> {
    let on = |target: &EventTarget, event, then: Box<dyn Fn(&Auto)>| {
        let auto = Rc::downgrade(auto);
        Listener::new(target, event, move || {
            if let Some(auto) = auto.upgrade() {
                then(&auto);
            }
        })
    };
    let refresh = |events: &Rc<Events>| {
        let events = Rc::clone(events);
        move || events.refresh()
    };
    let back = refresh(events);
    let gone = refresh(events);
    let mut listeners = vec![
        on(
            &window(),
            "online",
            Box::new(move |auto| {
                back();
                // Some devices wake up with a network and say so, and had not said that it was gone.
                auto.feed(Input::Online(false));
                auto.feed(Input::Online(true));
            }),
        ),
        on(
            &window(),
            "offline",
            Box::new(move |auto| {
                gone();
                auto.feed(Input::Online(false));
            }),
        ),
        on(&window(), "focus", Box::new(|auto| auto.feed(Input::Focused))),
    ];
    if let Some(document) = document() {
        let seen = refresh(events);
        listeners.push(on(
            &document,
            "visibilitychange",
            Box::new(move |auto| {
                auto.feed(Input::Visible(false));
                if is_visible() {
                    auto.feed(Input::Visible(true));
                }
                seen();
            }),
        ));
        let shown = refresh(events);
        listeners.push(on(
            &document,
            "prerenderingchange",
            Box::new(move |auto| {
                auto.feed(Input::Mounted);
                shown();
            }),
        ));
    }
    // Browsers tell of each new estimate of its speed as well.
    if let Ok(connection) = js::get(&navigator(), "connection").dyn_into::<EventTarget>() {
        let known = Cell::new(js::scope::connection());
        listeners.push(on(
            &connection,
            "change",
            Box::new(move |auto| {
                let now = js::scope::connection();
                if known.replace(now) != now {
                    auto.feed(Input::Connection);
                }
            }),
        ));
    }
    if looks_at_use {
        for event in USES {
            listeners.push(on(
                &window(),
                event,
                Box::new(|auto| {
                    if now().0.abs_diff(auto.used.get().0) >= SETTLED {
                        auto.used.set(now());
                        auto.feed(Input::Activity);
                    }
                }),
            ));
        }
    }
    listeners
}

/// Whether the page was loaded before anybody asked for it (Prerendering Revamped); false where a browser has no such thing.
fn is_prerendering() -> bool {
    document().is_some_and(|document| js::get(&document, "prerendering").is_truthy())
}

/// Follows the battery (Battery Status API), where the browser tells of it.
fn watch_battery(auto: &Rc<Auto>) {
    let Ok(ask) = js::get(&navigator(), "getBattery").dyn_into::<Function>() else { return };
    let Some(asked) = ask.call0(&navigator()).ok().and_then(|asked| asked.dyn_into::<Promise>().ok()) else { return };
    let auto = Rc::downgrade(auto);
    spawn_local(async move {
        let Ok(battery) = JsFuture::from(asked).await else { return };
        let look = move |battery: &JsValue| {
            let level = js::get(battery, "level").as_f64().unwrap_or(1.0);
            Battery { level, charging: !js::get(battery, "charging").is_falsy() }
        };
        let Some(held) = auto.upgrade() else { return };
        held.feed(Input::Battery(look(&battery)));
        if let Ok(target) = battery.dyn_into::<EventTarget>() {
            for event in ["levelchange", "chargingchange"] {
                let (auto, battery) = (auto.clone(), target.clone());
                held.late.borrow_mut().push(Listener::new(&target, event, move || {
                    if let Some(auto) = auto.upgrade() {
                        auto.feed(Input::Battery(look(&battery)));
                    }
                }));
            }
        }
    });
}

/// Wakes the worker. That it cannot be reached now is no news: the next reason comes.
fn poke(link: &Rc<Link>, reason: WakeReason) {
    let link = Rc::clone(link);
    spawn_local(async move {
        let _ = link.ask(Op::Wake(reason), Array::new()).await;
    });
}
