//! Questions to the worker and its answers; see "A question's life" in the crate's documentation.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::{Rc, Weak},
};

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use js_sys::Array;
use shearwater_core::{
    Error, ErrorCode,
    protocol::{Envelope, Op, VERSION, view::Status},
    store::{Caller, receipts::REPEATED_FOR},
    wire::text::{Text, listed},
};
use shearwater_web::{decode, encode};
use wasm_bindgen::prelude::*;
use web_sys::{MessageChannel, MessageEvent, MessagePort, ServiceWorkerRegistration};

use crate::{
    error::unavailable,
    events::Events,
    js::{
        self,
        time::{now, sleep},
    },
    worker,
};

/// What is not answered after this long is posted again.
const PATIENCE: u64 = 5_000;

/// While the worker answers others, so many times [`PATIENCE`] pass before a question is posted again: it has its turn.
const PATIENCE_WITH_THE_LIVING: u32 = 3;

/// The way to the worker.
pub struct Link {
    registration: ServiceWorkerRegistration,
    timeout: u32,
    waiting: RefCell<Vec<Waiting>>,
    /// Hears the answers.
    listener: Closure<dyn FnMut(MessageEvent)>,
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
    pub fn new(registration: ServiceWorkerRegistration, timeout: u32, events: Rc<Events>) -> Rc<Self> {
        Rc::new_cyclic(|link: &Weak<Self>| {
            let link = Weak::clone(link);
            let listener = Closure::new(move |event: MessageEvent| {
                if let Some(link) = link.upgrade() {
                    link.answered(&event.data());
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
    pub fn registration(&self) -> &ServiceWorkerRegistration {
        &self.registration
    }

    /// As whom this page asks: the owner whom it signed in last, or whom it was told of. A message that reaches the worker
    /// late, or again, is carried out for that owner and nobody else.
    pub fn owner(&self) -> String {
        self.signing_in.borrow().last().map_or_else(|| self.events.owner(), |(_, owner)| owner.clone())
    }

    /// A question that is put at this moment, by whoever is signed in at this moment, however long its body takes.
    pub fn begin(self: &Rc<Self>, op: Option<&Op>) -> Question {
        let caller = Caller { re: js::random::uuid(), at: Some(now()), owner: Some(self.owner()) };
        if let Some(Op::SetOwner(next)) = op {
            self.signing_in.borrow_mut().push((caller.re.clone(), next.owner.clone().unwrap_or_default()));
        }
        Question { link: Rc::clone(self), caller }
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
        let channel = js::sure(MessageChannel::new());
        let ours = channel.port1();
        ours.set_onmessage(Some(self.listener.as_ref().unchecked_ref()));
        if let Some(waiting) = self.waiting.borrow_mut().iter_mut().find(|waiting| waiting.re == envelope.re) {
            waiting.ports.push(ours);
        }
        worker
            .post_message_with_transferable(&message, &Array::of1(&channel.port2()))
            .map_err(|error| Error::invalid_request(["this cannot be handed to the worker: ", &js::message_of(&error)].text()))
    }

    /// Posts again, every few seconds, and returns only when the time is up: the worker has given no sign of life for as
    /// long as the app wants to wait, or no longer remembers what it may have answered.
    async fn repeat(&self, envelope: Envelope, bodies: Array, endless: bool) -> Error {
        let mut left = u64::from(self.timeout);
        let (mut signs, mut waited, mut patience) = (self.events.signs_of_life(), 0, left.min(PATIENCE));
        loop {
            sleep(patience).await;
            patience = PATIENCE;
            let lives = signs != self.events.signs_of_life();
            signs = self.events.signs_of_life();
            left = if lives { u64::from(self.timeout) } else { left.saturating_sub(PATIENCE) };
            waited += 1;
            let age = envelope.at.map_or(0, |at| now().0.abs_diff(at.0));
            if (left == 0 && !endless) || age > REPEATED_FOR {
                return Error::new(
                    ErrorCode::Timeout,
                    "the worker did not answer; the request may have been stored all the same: look with list()",
                );
            }
            if !lives || waited >= PATIENCE_WITH_THE_LIVING {
                waited = 0;
                // Whether it could be posted is told by whether it is answered.
                let _ = self.post(&envelope, &bodies);
            }
        }
    }

    /// The question of this name, which is answered now.
    fn take(&self, re: &str) -> Option<Waiting> {
        let mut waiting = self.waiting.borrow_mut();
        let at = waiting.iter().position(|waiting| waiting.re == re)?;
        Some(waiting.swap_remove(at))
    }

    /// Tells the app once of each header that was taken off its requests.
    fn warn_of_dropped(&self, dropped: &JsValue) {
        let Ok(mut dropped) = decode::<Vec<String>>(dropped) else { return };
        let mut warned = self.warned.borrow_mut();
        dropped.retain(|name| !warned.contains(name));
        if !dropped.is_empty() {
            js::console::warn(
                &[
                    "credentials are never stored: ",
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
}

impl Question {
    /// Asks and waits for the answer: as long as the worker gives signs of life, and without a limit where the work has
    /// none.
    ///
    /// # Errors
    /// What the worker answers; `timeout` and `worker-unavailable`.
    pub async fn ask(self, op: Op, bodies: Array) -> Result<JsValue, Error> {
        let link = &self.link;
        if link.closed.get() {
            return Err(unavailable("the client was closed; connect() again"));
        }
        let Caller { re, at, owner } = self.caller.clone();
        let endless = matches!(op, Op::Sync(_));
        let envelope = Envelope { shearwater: VERSION, re: re.clone(), at, owner, op };
        let (tell, answer) = oneshot::channel();
        link.waiting.borrow_mut().push(Waiting { re, answer: Some(tell), ports: Vec::new() });
        link.post(&envelope, &bodies)?;
        let repeating = pin!(link.repeat(envelope, bodies, endless));
        match select(answer, repeating).await {
            Either::Left((answer, _)) => answer.unwrap_or_else(|_| Err(Error::internal("a question was dropped"))),
            Either::Right((timeout, _)) => Err(timeout),
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let re = &self.caller.re;
        self.link.take(re);
        self.link.signing_in.borrow_mut().retain(|(other, _)| other != re);
    }
}
