//! The registration's active worker, and its periodic tags.

use wasm_bindgen::prelude::*;
use web_sys::{ServiceWorker, ServiceWorkerRegistration};

use crate::{answers::PeriodicSync, js};

/// The worker that takes messages.
pub fn active(registration: &ServiceWorkerRegistration) -> Option<ServiceWorker> {
    registration.active()
}

/// Registers a periodic tag.
pub async fn register_periodic(registration: &ServiceWorkerRegistration, tag: &str, min_interval: f64) -> PeriodicSync {
    let manager = js::get(registration, "periodicSync");
    if !manager.is_object() {
        return PeriodicSync::Unsupported;
    }
    let options = js_sys::Object::new();
    js::set(&options, "minInterval", &JsValue::from_f64(min_interval));
    // It asks for the permission itself, which the browser grants to installed apps that are used.
    match js::settled(js::call(&manager, "register", &[JsValue::from_str(tag), options.into()])).await {
        Ok(_) => PeriodicSync::Registered,
        Err(_) => PeriodicSync::Denied,
    }
}
