//! Keeps the jobs of one key in the order of the calls, awaited or not.
//!
//! Of two messages at once, the first may be lost with a dying worker, and be repeated after the second. So a job
//! waits in the page until the one before it is answered. A page that is going has no time for that: what waits is
//! posted then, in order, and what is queued by a listener of `pagehide` or `visibilitychange` does not wait at all.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use js_sys::{Array, Function, Object, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::js::{self, EventTarget};

/// The unanswered enqueues of one client, by queue and key.
pub struct Lines {
    /// The last of each line.
    last: RefCell<Vec<(String, Promise)>>,
    /// What all that wait are let go by, and the way to do that.
    leave: RefCell<(Promise, Option<Function>)>,
    /// Nobody waits.
    leaving: Cell<bool>,
    /// From `pagehide` until the page comes back out of the cache.
    gone: Cell<bool>,
    listeners: RefCell<Vec<(EventTarget, &'static str, Closure<dyn FnMut()>)>>,
}

impl Lines {
    /// No lines, in a page that is there to stay.
    pub fn new() -> Rc<Self> {
        let lines = Rc::new(Self {
            last: RefCell::default(),
            leave: RefCell::new(latch()),
            leaving: Cell::new(false),
            gone: Cell::new(false),
            listeners: RefCell::default(),
        });
        let window: EventTarget = js_sys::global().unchecked_into();
        let document = js::global("document");
        lines.listen(window.clone().unchecked_into(), "pagehide", |lines| {
            lines.gone.set(true);
            lines.let_go();
        });
        lines.listen(window.unchecked_into(), "pageshow", |lines| {
            lines.gone.set(false);
            lines.stay();
        });
        if document.is_object() {
            lines.listen(document.unchecked_into(), "visibilitychange", |lines| {
                if js::get(&js::global("document"), "visibilityState").as_string().as_deref() == Some("hidden") {
                    lines.let_go();
                    // A hidden page mostly lives on. Other listeners of this event are called before this.
                    let weak = Rc::downgrade(lines);
                    let stay = Closure::once_into_js(move || {
                        if let Some(lines) = weak.upgrade() {
                            lines.stay();
                        }
                    });
                    js::set_timeout(stay.unchecked_ref(), 0);
                }
            });
        }
        lines
    }

    /// Puts an enqueue at the end of its line, where it stays until its [`Place`] is dropped.
    pub fn join(self: &Rc<Self>, line: String) -> Place {
        let (gone, leave) = latch();
        let mut last = self.last.borrow_mut();
        let at = last.iter().position(|(other, _)| *other == line);
        let before = at.map(|at| last.swap_remove(at).1).filter(|_| !self.leaving.get());
        let turn = before.map(|before| Promise::race(&Array::of2(&before, &self.leave.borrow().0)));
        last.push((line, gone.clone()));
        drop(last);
        Place { lines: Rc::clone(self), turn, gone, leave }
    }

    /// Listens to nothing any more.
    pub fn close(&self) {
        for (target, event, closure) in self.listeners.take() {
            target.unlisten(event, closure.as_ref().unchecked_ref());
        }
    }

    fn let_go(&self) {
        self.leaving.set(true);
        if let Some(resolve) = self.leave.borrow_mut().1.take() {
            let _ = resolve.call0(&JsValue::NULL);
        }
    }

    fn stay(&self) {
        if self.leaving.get() && !self.gone.get() {
            self.leaving.set(false);
            *self.leave.borrow_mut() = latch();
        }
    }

    fn listen(self: &Rc<Self>, target: EventTarget, event: &'static str, then: fn(&Rc<Self>)) {
        let lines = Rc::downgrade(self);
        let closure = Closure::<dyn FnMut()>::new(move || lines.upgrade().iter().for_each(then));
        target.listen(event, closure.as_ref().unchecked_ref());
        self.listeners.borrow_mut().push((target, event, closure));
    }
}

/// An enqueue's place in the line of its key.
pub struct Place {
    lines: Rc<Lines>,
    /// Settles when it may be posted; none when that is at once.
    turn: Option<Promise>,
    /// Settles when the place is given up.
    gone: Promise,
    leave: Option<Function>,
}

impl Place {
    /// Waits until it may be posted: when those before are answered, whatever came of them, or the page is going.
    pub async fn turn(&mut self) {
        if let Some(turn) = &self.turn {
            let _ = JsFuture::from(turn.clone()).await;
            self.turn = None;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let before = match self.turn.take() {
            // Given up before its turn: whoever is next has those before to wait for, as this one had.
            Some(turn) => turn.into(),
            None => {
                self.lines.last.borrow_mut().retain(|(_, last)| !Object::is(last, &self.gone));
                JsValue::UNDEFINED
            }
        };
        if let Some(leave) = self.leave.take() {
            let _ = leave.call1(&JsValue::NULL, &before);
        }
    }
}

/// A promise, and the function that resolves it.
fn latch() -> (Promise, Option<Function>) {
    let mut resolve = None;
    let promise = Promise::new(&mut |yes, _| resolve = Some(yes));
    (promise, resolve)
}
