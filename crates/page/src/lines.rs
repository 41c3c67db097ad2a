//! Keeps the jobs of one key in the order of the calls, awaited or not.
//!
//! Of two messages at once, the first may be lost with a dying worker, and be repeated after the second. So a job
//! waits in the page until the one before it is answered. A page that is going has no time for that: what waits is
//! posted then, in order, and what is queued by a listener of `pagehide` or `visibilitychange` does not wait at all.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use futures_channel::oneshot;
use shearwater_web::{
    Listener,
    scope::{document, is_hidden, window},
    time::Timer,
};

/// The unanswered enqueues of one client.
pub struct Lines {
    /// In the order of the calls, whatever their line.
    places: RefCell<Vec<Waiting>>,
    /// The number of the next place.
    next: Cell<u32>,
    /// Nobody waits.
    leaving: Cell<bool>,
    /// From `pagehide` until the page comes back out of the cache.
    gone: Cell<bool>,
    /// Ends the leaving of a page that was only hidden.
    staying: RefCell<Option<Timer>>,
    listeners: RefCell<Vec<Listener>>,
}

/// An enqueue that is not answered yet.
struct Waiting {
    place: u32,
    /// Its queue and key.
    line: String,
    /// Tells it that it may be posted; none once it may.
    turn: Option<oneshot::Sender<()>>,
}

impl Lines {
    /// No lines, in a page that is there to stay.
    pub fn new() -> Rc<Self> {
        let lines = Rc::new(Self {
            places: RefCell::default(),
            next: Cell::new(0),
            leaving: Cell::new(false),
            gone: Cell::new(false),
            staying: RefCell::default(),
            listeners: RefCell::default(),
        });
        let on = |then: fn(&Rc<Self>)| {
            let lines = Rc::downgrade(&lines);
            move || lines.upgrade().iter().for_each(then)
        };
        let mut listeners = vec![
            Listener::new(
                &window(),
                "pagehide",
                on(|lines| {
                    lines.gone.set(true);
                    lines.let_go();
                }),
            ),
            Listener::new(
                &window(),
                "pageshow",
                on(|lines| {
                    lines.gone.set(false);
                    lines.stay();
                }),
            ),
        ];
        if let Some(document) = document() {
            listeners.push(Listener::new(
                &document,
                "visibilitychange",
                on(|lines| {
                    if is_hidden() {
                        lines.let_go();
                        // A hidden page mostly lives on. Other listeners of this event are called before this.
                        let weak = Rc::downgrade(lines);
                        let stay = Timer::start(0, move || weak.upgrade().iter().for_each(|lines| lines.stay()));
                        lines.staying.replace(Some(stay));
                    }
                }),
            ));
        }
        lines.listeners.replace(listeners);
        lines
    }

    /// Puts an enqueue at the end of its line, where it stays until its [`Place`] is dropped.
    pub fn join(self: &Rc<Self>, line: String) -> Place {
        let place = self.next.replace(self.next.get().wrapping_add(1));
        let mut places = self.places.borrow_mut();
        let waits = !self.leaving.get() && places.iter().any(|other| other.line == line);
        let (tell, turn) = waits.then(oneshot::channel).unzip();
        places.push(Waiting { place, line, turn: tell });
        Place { lines: Rc::clone(self), place, turn }
    }

    /// Listens to nothing any more.
    pub fn close(&self) {
        self.listeners.take();
    }

    fn let_go(&self) {
        self.leaving.set(true);
        loop {
            let next = self.places.borrow_mut().iter_mut().find_map(|waiting| waiting.turn.take());
            let Some(turn) = next else { break };
            tell(turn);
        }
    }

    fn stay(&self) {
        if !self.gone.get() {
            self.leaving.set(false);
        }
    }

    /// This place is given up: the first of its line, whichever that is now, has its turn.
    fn leave(&self, place: u32) {
        let turn = {
            let mut places = self.places.borrow_mut();
            let own = places.iter_mut().find(|waiting| waiting.place == place);
            let line = own.map(|own| std::mem::take(&mut own.line)).unwrap_or_default();
            // Not `Vec::remove`, whose panic would bring along the formatting of numbers, 1.2 KB of page.wasm.
            places.retain(|waiting| waiting.place != place);
            places.iter_mut().find(|waiting| waiting.line == line).and_then(|first| first.turn.take())
        };
        turn.into_iter().for_each(tell);
    }
}

/// An enqueue's place in the line of its key.
pub struct Place {
    lines: Rc<Lines>,
    place: u32,
    /// Told when it may be posted; none when that is at once.
    turn: Option<oneshot::Receiver<()>>,
}

impl Place {
    /// Waits until it may be posted: when those before are answered, whatever came of them, or the page is going.
    pub async fn turn(&mut self) {
        if let Some(turn) = &mut self.turn {
            let _ = turn.await;
            self.turn = None;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lines.leave(self.place);
    }
}

fn tell(turn: oneshot::Sender<()>) {
    // Whoever does not wait any more is about to give its place up.
    let _ = turn.send(());
}
