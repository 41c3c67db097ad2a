//! What `sw/worker.js` provides: the app's hooks and the death notice.

use js_sys::Promise;
use shearwater_core::{Error, wire::text::Text};
use wasm_bindgen::prelude::*;

use crate::js;

/// The host object; see `createHost` in `sw/worker.js`.
#[derive(Clone)]
pub struct Host(JsValue);

impl Host {
    /// Takes the object that `boot` was given.
    pub fn new(host: JsValue) -> Self {
        Self(host)
    }

    /// The database, if the script is opening it already: a promise of `{database, loss}`; see `sw/worker/database.js`.
    pub fn opened(&self) -> Option<Promise> {
        js::get(&self.0, "opened").dyn_into().ok()
    }

    /// When the database, opened now, may be written to.
    pub fn renewed(&self) -> Promise {
        Promise::resolve(&self.call("renewed", &[]).unwrap_or_default())
    }

    /// This instance is dead.
    pub fn panicked(&self, text: &str) {
        let _ = self.call("panicked", &[JsValue::from_str(text)]);
    }

    /// A promise that rejects when this instance dies: what must not wait for ever races against it.
    pub fn until_death(&self, promise: &Promise) -> Promise {
        let death = js::get(&self.0, "death");
        Promise::race(&js::array([promise.clone().into(), death]))
    }

    /// Registers something with an `abort()` to be called when this instance dies.
    pub fn abort_on_death(&self, controller: &JsValue) {
        let _ = self.call("adopt", std::slice::from_ref(controller));
    }

    /// The other end of [`Host::abort_on_death`].
    pub fn release(&self, controller: &JsValue) {
        let _ = self.call("release", std::slice::from_ref(controller));
    }

    /// Whether the app has a hook of this name.
    pub fn has_hook(&self, name: &str) -> bool {
        self.call("hasHook", &[JsValue::from_str(name)]).is_ok_and(|has| has.is_truthy())
    }

    /// The origins that the app's hook of this name is for; `None` where it does not say.
    pub fn hook_origins(&self, name: &str) -> Option<Vec<String>> {
        let origins = self.call("hookOrigins", &[JsValue::from_str(name)]).ok()?;
        let origins = origins.dyn_ref::<js_sys::Array>()?;
        Some(origins.iter().filter_map(|origin| origin.as_string()).collect())
    }

    /// Calls the app's hook of this name; `None` when it has none.
    ///
    /// # Errors
    /// What the hook threw, of whatever type, as text.
    pub async fn hook(&self, name: &str, detail: &JsValue) -> Result<Option<JsValue>, Error> {
        let answer = self.call("hook", &[JsValue::from_str(name), detail.clone()]).map_err(|thrown| hook_error(name, &thrown))?;
        if answer.is_undefined() {
            return Ok(None);
        }
        js::settled(Ok(answer)).await.map(Some).map_err(|thrown| hook_error(name, &thrown))
    }

    /// The response of the app's adapter of this name, or what it threw. It ends with the request's signal.
    #[cfg(feature = "full")]
    pub fn adapt(&self, name: &str, request: &web_sys::Request, detail: &JsValue) -> Result<Promise, JsValue> {
        let answer = self.call("adapt", &[JsValue::from_str(name), request.into(), detail.clone()])?;
        Ok(Promise::resolve(&answer))
    }

    fn call(&self, method: &'static str, arguments: &[JsValue]) -> Result<JsValue, JsValue> {
        js::call(&self.0, method, arguments)
    }
}

fn hook_error(name: &str, thrown: &JsValue) -> Error {
    Error::internal(["the app's \"", name, "\" hook failed: ", &js::message_of(thrown)].text())
}
