//! Web Locks: one drain at a time per queue across all contexts (Q7).

use js_sys::Promise;
use wasm_bindgen::prelude::*;

use crate::{host::Host, js, latch::Latch};

/// A held lock; dropped, it is released. The browser releases it when the worker dies, the host when
/// the module does.
pub struct Held {
    release: Option<js_sys::Function>,
    /// Whether the browser has locks at all.
    pub exclusive: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(release) = &self.release {
            let _ = release.call0(&JsValue::NULL);
        }
    }
}

/// A lock that was asked for; dropped, it is not wanted any more.
pub struct Asked {
    held: Held,
    granted: Latch<bool>,
}

impl Asked {
    /// Waits for it.
    pub async fn granted(mut self) -> Held {
        self.held.exclusive = self.granted.wait().await;
        self.held
    }
}

/// Asks for the lock of this name. Where the browser has none, leases alone keep drains apart.
pub fn ask(host: &Host, name: &str) -> Asked {
    let granted: Latch<bool> = Latch::new();
    let Some(manager) = js::scope::locks() else {
        granted.open(false);
        return Asked { held: Held { release: None, exclusive: false }, granted };
    };
    let mut release = None;
    let hold = Promise::new(&mut |resolve, _| release = Some(resolve));
    let hold = host.until_death(&hold);
    let callback = Closure::once_into_js({
        let granted = granted.clone();
        move |_lock: JsValue| -> Promise {
            granted.open(true);
            hold
        }
    });
    match manager.request(name, callback.unchecked_ref()) {
        Ok(request) => {
            // Rejects with the death notice, or when the request is refused (a sandboxed context).
            let refused = Closure::once_into_js({
                let granted = granted.clone();
                move |_reason: JsValue| granted.open(false)
            });
            let _ = js_sys::Reflect::get(&request, &JsValue::from_str("catch"))
                .and_then(|catch| catch.unchecked_into::<js_sys::Function>().call1(&request, &refused));
        }
        Err(_) => granted.open(false),
    }
    Asked { held: Held { release, exclusive: false }, granted }
}
