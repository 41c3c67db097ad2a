//! Questions to the worker and its answers; see "A question's life" in the crate's documentation.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};

use js_sys::{Array, Function, Promise};
use shearwater_bridge::{decode, encode};
use shearwater_core::{
    Error, ErrorCode,
    protocol::{Envelope, Op, VERSION, view::Status},
    store::{Caller, receipts::REPEATED_FOR},
    wire::text::{Text, listed},
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{
    error::{to_js, unavailable, with_code},
    events::{Events, now},
    js::{self, MessageChannel, MessagePort},
    worker,
};

/// What is not answered after this long is posted again.
const PATIENCE: i32 = 5_000;

/// While the worker answers others, so many times [`PATIENCE`] pass before a question is posted again: it has its turn.
const PATIENCE_WITH_THE_LIVING: u32 = 3;

/// The way to the worker.
pub struct Link {
    registration: JsValue,
    timeout: u32,
    waiting: RefCell<Vec<Waiting>>,
    /// Hears the answers.
    listener: Closure<dyn FnMut(JsValue)>,
    closed: Cell<bool>,
    /// Sign-ins that are not answered yet, by their questions: whoever calls after them calls as the last.
    signing_in: RefCell<Vec<(String, String)>>,
    /// Headers that the app was told are not stored.
    warned: RefCell<Vec<String>>,
    /// Told of the status that comes with an answer.
    events: Rc<Events>,
}

struct Waiting {
    re: String,
    resolve: Function,
    reject: Function,
    /// One for each time that it was posted.
    ports: Vec<MessagePort>,
}

impl Drop for Waiting {
    /// Nothing that comes now is heard any more.
    fn drop(&mut self) {
        self.ports.iter().for_each(MessagePort::close);
    }
}

impl Link {
    /// The way to the worker of this registration.
    pub fn new(registration: JsValue, timeout: u32, events: Rc<Events>) -> Rc<Self> {
        Rc::new_cyclic(|link: &Weak<Self>| {
            let link = Weak::clone(link);
            let listener = Closure::new(move |event: JsValue| {
                if let Some(link) = link.upgrade() {
                    link.answered(&js::get(&event, "data"));
                }
            });
            Self {
                registration,
                timeout,
                waiting: RefCell::default(),
                listener,
                closed: Cell::new(false),
                signing_in: RefCell::default(),
                warned: RefCell::default(),
                events,
            }
        })
    }

    /// The registration.
    pub fn registration(&self) -> &JsValue {
        &self.registration
    }

    /// As whom this page asks: the owner whom it signed in last, or whom it was told of. A message that reaches the worker
    /// late, or again, is carried out for that owner and nobody else.
    pub fn owner(&self) -> String {
        self.signing_in.borrow().last().map_or_else(|| self.events.owner(), |(_, owner)| owner.clone())
    }

    /// A question that is put at this moment, by whoever is signed in at this moment, however long its body takes.
    pub fn begin(&self, op: Option<&Op>) -> Caller {
        let caller = Caller { re: js::random_uuid(), at: Some(now()), owner: Some(self.owner()) };
        if let Some(Op::SetOwner(next)) = op {
            self.signing_in.borrow_mut().push((caller.re.clone(), next.owner.clone().unwrap_or_default()));
        }
        caller
    }

    /// As [`Link::ask_as`], at this moment.
    ///
    /// # Errors
    /// As [`Link::ask_as`].
    pub async fn ask(self: &Rc<Self>, op: Op, bodies: Array) -> Result<JsValue, JsValue> {
        let caller = self.begin(Some(&op));
        self.ask_as(caller, op, bodies).await
    }

    /// Asks and waits for the answer: as long as the worker gives signs of life, and without a limit where the work has
    /// none.
    ///
    /// # Errors
    /// What the worker answers; `timeout` and `worker-unavailable`.
    pub async fn ask_as(self: &Rc<Self>, caller: Caller, op: Op, bodies: Array) -> Result<JsValue, JsValue> {
        if self.closed.get() {
            return Err(unavailable("the client was closed; connect() again"));
        }
        let Caller { re, at, owner } = caller;
        let endless = matches!(op, Op::Sync(_));
        let envelope = Envelope { shearwater: VERSION, re: re.clone(), at, owner, op };
        let promise = Promise::new(&mut |resolve, reject| {
            self.waiting.borrow_mut().push(Waiting { re: re.clone(), resolve, reject, ports: Vec::new() });
        });
        let outcome = match self.post(&envelope, &bodies) {
            Ok(()) => {
                let repeater = self.repeat(envelope, bodies, endless);
                let outcome = JsFuture::from(promise).await;
                repeater.stop();
                outcome
            }
            Err(error) => Err(error),
        };
        self.take(&re);
        self.signing_in.borrow_mut().retain(|(other, _)| *other != re);
        outcome
    }

    /// Ends all questions.
    pub fn close(&self) {
        self.closed.set(true);
        for waiting in std::mem::take(&mut *self.waiting.borrow_mut()) {
            js::call(&waiting.reject, &unavailable("the client was closed; what was stored is still delivered"));
        }
    }

    /// Posts a question with a port for its answer: through the worker's client it would go by way of the browser's
    /// main process, which takes twice as long.
    fn post(&self, envelope: &Envelope, bodies: &Array) -> Result<(), JsValue> {
        let message = encode(envelope);
        if bodies.length() > 0 {
            js::set(&message, "bodies", bodies);
        }
        let Some(worker) = worker::active(&self.registration) else {
            return Err(unavailable("the service worker was unregistered; connect() again"));
        };
        let channel = MessageChannel::new();
        let ours = js::get(&channel, "port1");
        js::set(&ours, "onmessage", self.listener.as_ref());
        if let Some(waiting) = self.waiting.borrow_mut().iter_mut().find(|waiting| waiting.re == envelope.re) {
            waiting.ports.push(ours.unchecked_into());
        }
        worker.post(&message, &Array::of1(&js::get(&channel, "port2"))).map_err(|error| {
            to_js(&Error::invalid_request(["this cannot be handed to the worker: ", &js::message_of(&error)].text()))
        })
    }

    /// Posts again, every few seconds, until stopped. The time is up when the worker has given no sign of life for as
    /// long as the app wants to wait, or when it no longer remembers what it may have answered.
    fn repeat(self: &Rc<Self>, envelope: Envelope, bodies: Array, endless: bool) -> Repeater {
        let timer: Rc<RefCell<JsValue>> = Rc::default();
        let tick: Rc<RefCell<Option<Closure<dyn FnMut()>>>> = Rc::default();
        let closure = Closure::<dyn FnMut()>::new({
            let (link, timer, tick) = (Rc::clone(self), Rc::clone(&timer), Rc::clone(&tick));
            let mut left = i64::from(self.timeout);
            let (mut signs, mut waited) = (self.events.signs_of_life(), 0);
            move || {
                let lives = signs != link.events.signs_of_life();
                signs = link.events.signs_of_life();
                left = if lives { i64::from(link.timeout) } else { left - i64::from(PATIENCE) };
                waited += 1;
                let age = envelope.at.map_or(0, |at| now().0.abs_diff(at.0));
                if (left <= 0 && !endless) || age > REPEATED_FOR {
                    link.give_up(&envelope.re);
                    return;
                }
                if !lives || waited >= PATIENCE_WITH_THE_LIVING {
                    waited = 0;
                    // Whether it could be posted is told by whether it is answered.
                    let _ = link.post(&envelope, &bodies);
                }
                if let Some(tick) = tick.borrow().as_ref() {
                    *timer.borrow_mut() = js::set_timeout(tick.as_ref().unchecked_ref(), PATIENCE);
                }
            }
        });
        let first = i32::try_from(self.timeout).unwrap_or(PATIENCE).min(PATIENCE);
        *timer.borrow_mut() = js::set_timeout(closure.as_ref().unchecked_ref(), first);
        *tick.borrow_mut() = Some(closure);
        Repeater { timer, tick }
    }

    /// The question of this name, which is answered now.
    fn take(&self, re: &str) -> Option<Waiting> {
        let mut waiting = self.waiting.borrow_mut();
        let at = waiting.iter().position(|waiting| waiting.re == re)?;
        Some(waiting.swap_remove(at))
    }

    fn give_up(&self, re: &str) {
        if let Some(waiting) = self.take(re) {
            let error = Error::new(
                ErrorCode::Timeout,
                "the worker did not answer; the request may have been stored all the same: look with list()",
            );
            js::call(&waiting.reject, &to_js(&error));
        }
    }

    /// Tells the app once of each header that was taken off its requests.
    fn warn_of_dropped(&self, dropped: &JsValue) {
        let Ok(mut dropped) = decode::<Vec<String>>(dropped) else { return };
        let mut warned = self.warned.borrow_mut();
        dropped.retain(|name| !warned.contains(name));
        if !dropped.is_empty() {
            js::console_warn(
                &[
                    "[shearwater] credentials are never stored: ",
                    &listed(&dropped),
                    ". Supply them when a job is sent, in the \"auth\" hook of the service worker: shearwater.on(\"auth\", …)",
                ]
                .text(),
            );
            warned.extend(dropped);
        }
    }

    fn answered(&self, data: &JsValue) {
        if js::get(data, "shearwater").as_f64().is_none() {
            return;
        }
        self.events.note_life();
        let Some(waiting) = js::get(data, "re").as_string().and_then(|re| self.take(&re)) else { return };
        self.warn_of_dropped(&js::get(data, "dropped"));
        // Before the caller goes on, so that it reads its own write.
        if let Ok(status) = decode::<Status>(&js::get(data, "status")) {
            self.events.take_status(status);
        }
        let error = js::get(data, "error");
        if error.is_object() {
            let part = |name: &'static str| js::get(&error, name).as_string().unwrap_or_default();
            js::call(&waiting.reject, &with_code(&part("code"), &part("message")));
        } else {
            js::call(&waiting.resolve, &js::get(data, "ok"));
        }
    }
}

/// A running repetition. It holds itself by its own closure; [`Repeater::stop`] lets both go.
struct Repeater {
    timer: Rc<RefCell<JsValue>>,
    tick: Rc<RefCell<Option<Closure<dyn FnMut()>>>>,
}

impl Repeater {
    fn stop(self) {
        js::clear_timeout(&self.timer.borrow());
        self.tick.take();
    }
}
