//! The globals that a service worker and a page both have.
//!
//! `web-sys` declares the members that all scopes share (HTML's `WindowOrWorkerGlobalScope`) once for `Window` and once for
//! `WorkerGlobalScope`, and calls them by name on whatever object it is given. So the global object is taken for a `Window`,
//! unchecked, and no scope is told from another. What only a page has is absent in a worker: [`document`] returns `None`.

use js_sys::Promise;
use shearwater_core::schedule::network::Connection;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Document, IdbFactory, Navigator, Request, RequestInit, VisibilityState, Window};

use crate::{
    externs::{self, LockManager},
    object::get,
};

/// The global object.
#[must_use]
pub fn window() -> Window {
    js_sys::global().unchecked_into()
}

/// The page's document; none in a worker.
#[must_use]
pub fn document() -> Option<Document> {
    window().document()
}

/// Whether the page can be seen; a worker never is.
#[must_use]
pub fn is_visible() -> bool {
    document().is_some_and(|document| document.visibility_state() == VisibilityState::Visible)
}

/// Whether the page is in the background; a worker is not.
#[must_use]
pub fn is_hidden() -> bool {
    document().is_some_and(|document| document.visibility_state() == VisibilityState::Hidden)
}

/// `navigator`, whose members may be absent: see each.
#[must_use]
pub fn navigator() -> Navigator {
    window().navigator()
}

/// Whether the browser believes that there is a network.
#[must_use]
pub fn is_online() -> bool {
    navigator().on_line()
}

/// What the browser tells of the connection (Network Information API); nothing where it has none.
#[must_use]
pub fn connection() -> Connection {
    let connection = get(&navigator(), "connection");
    let cellular = get(&connection, "type").as_string().map(|kind| kind == "cellular");
    Connection { cellular, metered: get(&connection, "metered").as_bool(), save_data: get(&connection, "saveData").as_bool() }
}

/// The address of the page or of the worker's script.
#[must_use]
pub fn href() -> String {
    window().location().href().unwrap_or_default()
}

/// The app's own origin.
#[must_use]
pub fn origin() -> String {
    window().location().origin().unwrap_or_default()
}

/// The Web Locks; none where the browser has none, or outside of a secure context.
#[must_use]
pub fn locks() -> Option<LockManager> {
    let locks = get(&navigator(), "locks");
    locks.is_object().then(|| locks.unchecked_into())
}

/// `IndexedDB`; none where the browser keeps it from this context.
#[must_use]
pub fn indexed_db() -> Option<IdbFactory> {
    window().indexed_db().ok().flatten()
}

/// Fetches an address.
///
/// # Errors
/// What was thrown at once.
pub fn fetch(url: &str, init: &RequestInit) -> Result<Promise, JsValue> {
    externs::fetch(url, init)
}

/// Fetches what a request says that was made before.
///
/// # Errors
/// What was thrown at once.
pub fn fetch_request(request: &Request) -> Result<Promise, JsValue> {
    externs::fetch_request(request)
}
