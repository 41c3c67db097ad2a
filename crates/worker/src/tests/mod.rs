//! Tests of this crate's modules, which run in a real service worker: `make test-shells`.
//!
//! Each test has an instance of the wasm of its own, and a database of its own ([`new_name`]). What the globals of
//! the worker become in a test, they are no more in the next: timers, `fetch`, `indexedDB`, `navigator.locks`.

mod auth;
mod body;
mod clock;
mod conformance;
mod events;
mod fault;
mod idb;
mod intake;
mod latch;
mod locks;
mod migrations;
mod reply;
mod sending;
mod store;

use js_sys::{Array, Promise};
use shearwater_core::{
    JobId,
    queue::{
        config::WorkerConfig,
        enqueue::{Admitted, NewJob, admit, enqueue},
    },
    store::Caller,
};
use shearwater_web::{
    decode,
    testing::{advance, awaited, install_timers, script, settle, timers_pending},
};
use wasm_bindgen::prelude::*;

use crate::{
    clock as our_clock,
    host::Host,
    store::{Mode, Store},
};

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_service_worker);

// What `tests/shells/site` provides; each is described there.
#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = fakeFetch)]
    fn fake_fetch(reply: &JsValue);
    fn fetches() -> Array;
    #[wasm_bindgen(catch)]
    async fn fetched(count: u32) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = writesBegun)]
    fn writes_begun(name: &str) -> u32;

    #[wasm_bindgen(js_namespace = onDisk, js_name = get, catch)]
    async fn on_disk(name: &str, store: &str, key: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = onDisk, js_name = all, catch)]
    async fn all_on_disk(name: &str, store: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = onDisk, js_name = indexed, catch)]
    async fn indexed_on_disk(name: &str, store: &str, index: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = onDisk, js_name = put, catch)]
    async fn put_on_disk(name: &str, store: &str, value: &JsValue, key: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = onDisk, js_name = remove, catch)]
    async fn remove_on_disk(name: &str, store: &str, key: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = onDisk, js_name = stores, catch)]
    async fn stores_on_disk(name: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = onDisk, js_name = version, catch)]
    async fn version_on_disk(name: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = onDisk, js_name = exists, catch)]
    async fn exists_on_disk(name: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = onDisk, js_name = hold, catch)]
    async fn hold_on_disk(name: &str, version: u32) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = onDisk, js_name = restore, catch)]
    async fn restore_on_disk(name: &str, golden: &str) -> Result<JsValue, JsValue>;
}

/// A promise of this value.
fn resolved(value: &JsValue) -> Promise {
    Promise::resolve(value)
}

/// A script side without hooks, whose instance lives for ever.
fn host() -> Host {
    Host::new(script("{ death: new Promise(() => {}) }"))
}

/// A name for a database, lock or channel that no other test has.
fn new_name() -> String {
    format!("test {}", our_clock::unique_name())
}

/// A store of its own.
fn new_store() -> (Store, String) {
    let name = new_name();
    (Store::new(&name, false, host()), name)
}

/// A job as a page sends it: a request with these options.
fn new_job(options: &str) -> NewJob {
    let id = our_clock::unique_name();
    let request = "{ url: 'https://api.example/note', method: 'POST', headers: [] }";
    decode(&script(&format!("{{ id: '{id}', request: {request}, options: {options} }}"))).unwrap()
}

/// A job that may be stored, with its id and a body of so many bytes.
fn admitted(options: &str, bytes: u32) -> (JobId, (Admitted, Option<JsValue>)) {
    let job = new_job(options);
    let id = job.id.clone();
    let job = admit(job, "https://api.example".to_owned(), Some(bytes.into()), &WorkerConfig::default()).unwrap();
    (id, (job, Some(js_sys::ArrayBuffer::new(bytes).into())))
}

/// Stores so many jobs in one call; returns their ids.
async fn stored(store: &Store, count: usize) -> Vec<JobId> {
    let (ids, jobs): (Vec<_>, Vec<_>) = (0..count).map(|_| admitted("{}", 4)).unzip();
    let work = async |db: &_| enqueue(db, our_clock::now(), jobs.clone(), false, &Caller::default()).await;
    store.run(Mode::Intake, work).await.unwrap();
    ids
}
