//! Questions to the worker and its answers; see "A question's life" in the crate's documentation.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};

use js_sys::{Array, Function, Promise};
use shearwater_bridge::{decode, encode};
use shearwater_core::{
    Error, ErrorCode,
    protocol::{Envelope, Op, VERSION},
    text::Text,
    view::Status,
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{
    error::{to_js, unavailable, with_code},
    events::Events,
    js::{self, MessageChannel, MessagePort},
    worker,
};

/// What is not answered after this long is posted again.
const PATIENCE: i32 = 5_000;

/// The way to the worker.
pub struct Link {
    registration: JsValue,
    timeout: u32,
    waiting: RefCell<Vec<Waiting>>,
    /// Hears the answers.
    listener: Closure<dyn FnMut(JsValue)>,
    closed: Cell<bool>,
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
            Self { registration, timeout, waiting: RefCell::default(), listener, closed: Cell::new(false), events }
        })
    }

    /// The registration.
    pub fn registration(&self) -> &JsValue {
        &self.registration
    }

    /// Asks and waits for the answer, without a limit of time where the work has none.
    ///
    /// # Errors
    /// What the worker answers; `timeout` and `worker-unavailable`.
    pub async fn ask(self: &Rc<Self>, op: Op, bodies: Array) -> Result<JsValue, JsValue> {
        if self.closed.get() {
            return Err(unavailable("the client was closed; connect() again"));
        }
        let re = js::random_uuid();
        let endless = matches!(op, Op::Sync(_));
        let mut envelope = Envelope { shearwater: VERSION, re: re.clone(), op };
        let promise = Promise::new(&mut |resolve, reject| {
            self.waiting.borrow_mut().push(Waiting { re: re.clone(), resolve, reject, ports: Vec::new() });
        });
        if let Err(error) = self.post(&envelope, &bodies) {
            self.take(&re);
            return Err(error);
        }
        if let Op::Enqueue(enqueue) = &mut envelope.op {
            enqueue.repeat = true;
        }
        let repeater = self.repeat(envelope, bodies, endless);
        let outcome = JsFuture::from(promise).await;
        repeater.stop();
        self.take(&re);
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

    /// Posts again, every few seconds, until stopped or the time is up.
    fn repeat(self: &Rc<Self>, envelope: Envelope, bodies: Array, endless: bool) -> Repeater {
        let timer: Rc<RefCell<JsValue>> = Rc::default();
        let tick: Rc<RefCell<Option<Closure<dyn FnMut()>>>> = Rc::default();
        let closure = Closure::<dyn FnMut()>::new({
            let (link, timer, tick) = (Rc::clone(self), Rc::clone(&timer), Rc::clone(&tick));
            let mut left = i64::from(self.timeout);
            move || {
                left -= i64::from(PATIENCE);
                if left <= 0 && !endless {
                    link.give_up(&envelope.re);
                    return;
                }
                // Whether it could be posted is told by whether it is answered.
                let _ = link.post(&envelope, &bodies);
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

    fn answered(&self, data: &JsValue) {
        if js::get(data, "shearwater").as_f64().is_none() {
            return;
        }
        let Some(waiting) = js::get(data, "re").as_string().and_then(|re| self.take(&re)) else { return };
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
