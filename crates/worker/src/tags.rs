//! The tags of Background Sync: has the browser fire a `sync` event for a queue, once while it holds the tag.

use std::{cell::RefCell, rc::Rc};

use shearwater_web::spawn_local;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{engine::Engine, js};

/// Tags that the browser holds, as far as this worker knows.
#[derive(Default)]
pub struct Tags(RefCell<Vec<String>>);

impl Engine {
    /// Has the browser fire a `sync` event for this queue, where it can. The request is on its way when
    /// this returns.
    pub fn register(self: &Rc<Self>, queue: &str) {
        if self.tags.0.borrow().iter().any(|tag| tag == queue) {
            return;
        }
        let manager = js::get2(&js_sys::global(), "registration", "sync");
        let Ok(register) = js::get(&manager, "register").dyn_into::<js_sys::Function>() else { return };
        let Ok(promise) = register.call1(&manager, &JsValue::from_str(queue)) else { return };
        self.tags.0.borrow_mut().push(queue.to_owned());
        let promise: js_sys::Promise = promise.unchecked_into();
        let (engine, queue) = (Rc::clone(self), queue.to_owned());
        spawn_local(async move {
            if JsFuture::from(promise).await.is_err() {
                // Denied, or no window is open: pages poke instead, and the next job asks again.
                engine.tag_is_held(&queue, false);
            }
        });
    }

    /// Whether the browser holds this tag, and will fire it by itself.
    pub fn tag_is_held(&self, tag: &str, held: bool) {
        let mut tags = self.tags.0.borrow_mut();
        tags.retain(|known| known != tag);
        if held {
            tags.push(tag.to_owned());
        }
    }
}
