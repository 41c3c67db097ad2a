//! Questions to the worker and its answers; see "A question's life" in the crate's documentation.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};

use futures_channel::oneshot;
use js_sys::Array;
use shearwater_bridge::{decode, encode};
use shearwater_core::{
    Error, ErrorCode,
    protocol::{Envelope, Op, VERSION, view::Status},
    store::{Caller, receipts::REPEATED_FOR},
    wire::text::{Text, listed},
};
use wasm_bindgen::prelude::*;

use crate::{
    error::unavailable,
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
    /// The operation in the words of the protocol, in place of the envelope's.
    raw: Option<JsValue>,
    answer: Option<oneshot::Sender<Result<JsValue, Error>>>,
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
    pub fn begin(self: &Rc<Self>, op: Option<&Op>) -> Question {
        let caller = Caller { re: js::random_uuid(), at: Some(now()), owner: Some(self.owner()) };
        if let Some(Op::SetOwner(next)) = op {
            self.signing_in.borrow_mut().push((caller.re.clone(), next.owner.clone().unwrap_or_default()));
        }
        Question { link: Rc::clone(self), caller, raw: None, repeater: None }
    }

    /// Asks, in the words of the protocol, on behalf of `owner`: for the package's own scripts, whose operations no Rust code
    /// asks for.
    #[cfg(feature = "javascript")]
    pub fn begin_raw(self: &Rc<Self>, op: JsValue, owner: Option<String>) -> Question {
        let mut question = self.begin(None);
        question.raw = Some(op);
        question.caller.owner = owner.or(question.caller.owner.take());
        question
    }

    /// As [`Question::ask`], at this moment.
    ///
    /// # Errors
    /// As [`Question::ask`].
    pub async fn ask(self: &Rc<Self>, op: Op, bodies: Array) -> Result<JsValue, Error> {
        self.begin(Some(&op)).ask(op, bodies).await
    }

    /// Ends all questions.
    pub fn close(&self) {
        self.closed.set(true);
        for waiting in self.waiting.take() {
            waiting.tell(Err(unavailable("the client was closed; what was stored is still delivered")));
        }
    }

    /// Posts a question with a port for its answer: through the worker's client it would go by way of the browser's
    /// main process, which takes twice as long.
    fn post(&self, envelope: &Envelope, bodies: &Array) -> Result<(), Error> {
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
            if let Some(raw) = &waiting.raw {
                js::set(&message, "op", raw);
            }
        }
        worker
            .post(&message, &Array::of1(&js::get(&channel, "port2")))
            .map_err(|error| Error::invalid_request(["this cannot be handed to the worker: ", &js::message_of(&error)].text()))
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
            waiting.tell(Err(error));
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
        waiting.tell(if error.is_object() {
            Err(decode(&error).unwrap_or_else(|_| Error::internal(js::message_of(&error))))
        } else {
            Ok(js::get(data, "ok"))
        });
    }
}

impl Waiting {
    /// Gives the answer to whoever still waits for it.
    fn tell(mut self, answer: Result<JsValue, Error>) {
        if let Some(waiting) = self.answer.take() {
            let _ = waiting.send(answer);
        }
    }
}

/// A question from the moment it is put until it is answered. Dropped before, it is not repeated any more, and nobody
/// hears whether it was carried out.
pub struct Question {
    link: Rc<Link>,
    caller: Caller,
    raw: Option<JsValue>,
    repeater: Option<Repeater>,
}

impl Question {
    /// Asks and waits for the answer: as long as the worker gives signs of life, and without a limit where the work has
    /// none.
    ///
    /// # Errors
    /// What the worker answers; `timeout` and `worker-unavailable`.
    pub async fn ask(mut self, op: Op, bodies: Array) -> Result<JsValue, Error> {
        let link = &self.link;
        if link.closed.get() {
            return Err(unavailable("the client was closed; connect() again"));
        }
        let Caller { re, at, owner } = self.caller.clone();
        let endless = matches!(op, Op::Sync(_));
        let envelope = Envelope { shearwater: VERSION, re: re.clone(), at, owner, op };
        let (tell, answer) = oneshot::channel();
        link.waiting.borrow_mut().push(Waiting { re, raw: self.raw.take(), answer: Some(tell), ports: Vec::new() });
        link.post(&envelope, &bodies)?;
        self.repeater = Some(link.repeat(envelope, bodies, endless));
        answer.await.unwrap_or_else(|_| Err(Error::internal("a question was dropped")))
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if let Some(repeater) = self.repeater.take() {
            repeater.stop();
        }
        let re = &self.caller.re;
        self.link.take(re);
        self.link.signing_in.borrow_mut().retain(|(other, _)| other != re);
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
