//! Registers the service worker and waits until it is active.

use shearwater_core::text::Text;
use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Function, Object, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{
    error::{unavailable, with_code},
    js::{self, BroadcastChannel, Container, EventTarget, ServiceWorker},
    options::ConnectOptions,
};

/// `navigator.serviceWorker`.
///
/// # Errors
/// `worker-unavailable` where the browser has none.
pub fn container() -> Result<Container, JsValue> {
    let container = js::get(&js::global("navigator"), "serviceWorker");
    if container.is_object() {
        Ok(container.unchecked_into())
    } else {
        Err(unavailable("this browser, or this window, has no service workers: use https or localhost, and no private window"))
    }
}

/// Registers the app's worker; answers the registration once a worker of it is active.
///
/// # Errors
/// `worker-unavailable` when it cannot be registered; the worker's own error when it refuses to install.
pub async fn register(options: &ConnectOptions) -> Result<JsValue, JsValue> {
    let container = container()?;
    let init = Object::new();
    if let Some(scope) = &options.scope {
        js::set(&init, "scope", &JsValue::from_str(scope));
    }
    if let Some(kind) = &options.r#type {
        js::set(&init, "type", &JsValue::from_str(kind));
    }
    let refusal = Refusal::listen();
    let registered = container.register(&options.worker, &init)?;
    let registration = JsFuture::from(registered)
        .await
        .map_err(|error| unavailable([&options.worker, " cannot be registered: ", &js::message_of(&error)].text()))?;
    if active(&registration).is_none() {
        let newcomer = js::get(&registration, "installing");
        let newcomer = if newcomer.is_object() { newcomer } else { js::get(&registration, "waiting") };
        let outcome = if newcomer.is_object() { settled(newcomer.unchecked_into()).await } else { Ok(()) };
        if outcome.is_err() && active(&registration).is_none() {
            // The worker says why before it gives up; its words may come a moment after its death.
            return Err(refusal.reason().await.unwrap_or_else(|| {
                unavailable([&options.worker, " did not install; see the console for the script's error"].text())
            }));
        }
    }
    Ok(registration)
}

/// The worker that takes messages.
pub fn active(registration: &JsValue) -> Option<ServiceWorker> {
    let worker = js::get(registration, "active");
    worker.is_object().then(|| worker.unchecked_into())
}

/// Waits until a worker is activated, or redundant.
async fn settled(worker: ServiceWorker) -> Result<(), ()> {
    let listener: Rc<RefCell<Option<Closure<dyn FnMut()>>>> = Rc::default();
    let target: EventTarget = worker.clone().unchecked_into();
    let promise = Promise::new(&mut |resolve, reject| {
        let look = {
            let worker = worker.clone();
            move || match worker.state().as_str() {
                "activating" | "activated" => drop(resolve.call0(&JsValue::NULL)),
                "redundant" => drop(reject.call0(&JsValue::NULL)),
                _ => {}
            }
        };
        look();
        let closure = Closure::<dyn FnMut()>::new(look);
        target.listen("statechange", closure.as_ref().unchecked_ref());
        *listener.borrow_mut() = Some(closure);
    });
    let outcome = JsFuture::from(promise).await;
    if let Some(closure) = listener.take() {
        target.unlisten("statechange", closure.as_ref().unchecked_ref());
    }
    outcome.map(drop).map_err(drop)
}

/// Hears why a worker refuses to install.
struct Refusal {
    channel: BroadcastChannel,
    reason: Rc<RefCell<Option<JsValue>>>,
    _listener: Closure<dyn FnMut(JsValue)>,
}

impl Refusal {
    fn listen() -> Self {
        let channel = BroadcastChannel::new("shearwater:install");
        let reason: Rc<RefCell<Option<JsValue>>> = Rc::default();
        let listener = Closure::<dyn FnMut(JsValue)>::new({
            let reason = Rc::clone(&reason);
            move |event: JsValue| *reason.borrow_mut() = Some(js::get(&js::get(&event, "data"), "error"))
        });
        js::set(&channel, "onmessage", listener.as_ref());
        Self { channel, reason, _listener: listener }
    }

    async fn reason(&self) -> Option<JsValue> {
        for _ in 0..20 {
            if let Some(error) = self.reason.borrow().as_ref() {
                let part = |name: &'static str| js::get(error, name).as_string().unwrap_or_default();
                return Some(with_code(&part("code"), &part("message")));
            }
            let pause = Promise::new(&mut |resolve: Function, _| drop(js::set_timeout(&resolve, 25)));
            let _ = JsFuture::from(pause).await;
        }
        None
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        self.channel.close();
    }
}

/// Registers a periodic tag: `registered`, `denied` or `unsupported`.
pub async fn register_periodic(registration: &JsValue, tag: &str, min_interval: f64) -> &'static str {
    let manager = js::get(registration, "periodicSync");
    if !manager.is_object() {
        return "unsupported";
    }
    let options = js_sys::Object::new();
    js::set(&options, "minInterval", &JsValue::from_f64(min_interval));
    // It asks for the permission itself, which the browser grants to installed apps that are used.
    match js::call_method(&manager, "register", &[JsValue::from_str(tag), options.into()]).await {
        Ok(_) => "registered",
        Err(_) => "denied",
    }
}
