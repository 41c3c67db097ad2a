//! Shearwater in the service worker: `IndexedDB`, `fetch`, Web Locks and events around the core.
//!
//! The script `sw/worker` adds the listeners, starts this module when the first event wants it,
//! and calls the functions below. Everything that decides anything is in `shearwater-core`;
//! everything here carries a decision out.
//!
//! # Builds
//!
//! `worker.wasm` is the queue. The feature `full` adds collections and uploads (nothing yet) and makes `worker-full.wasm`;
//! `sw/worker/build.js` picks one by the configuration. The feature `debug` is for `dist/debug/`. All builds share one
//! glue, so a feature only adds to what is imported and exported (`xtask`'s `names`). Migrations are behind no feature.
//!
//! # Death
//!
//! A module that has panicked is dead, and so is one that has trapped: its futures never settle. The panic
//! hook tells the host; of a trap (`unreachable`, an overflowing stack) the script hears by itself. It settles
//! every event that waits (they race against it), aborts what is being fetched, and has [`renew`] put a fresh
//! instance in place; that one finds the dead drain's leases and takes the jobs back.

mod body;
mod broadcast;
mod clock;
#[cfg(feature = "full")]
mod collections;
mod drain;
mod engine;
mod events;
mod failpoints;
mod fault;
mod host;
mod intake;
mod latch;
mod periodic;
mod reply;
mod serve;
mod session;
mod store;
mod tags;

use std::{cell::RefCell, rc::Rc};

use js_sys::{Function, Promise};
use shearwater_core::{Error, queue::config::WorkerConfig, routes, store::Scope, wire::text::Text};
use shearwater_web as js;
use shearwater_web::future_to_promise;
use wasm_bindgen::prelude::*;

use engine::Engine;
use host::Host;
use store::Mode;

/// Smaller than the standard allocator by 2 KB brotli, and as fit for a long life: it joins what is free, and
/// takes a piece that fits about best.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// Which of the builds this is, for the console.
const STARTED: &str = match (cfg!(feature = "full"), cfg!(feature = "debug")) {
    (false, false) => "started: worker.wasm",
    (true, false) => "started: worker-full.wasm",
    (false, true) => "started: debug/worker.wasm",
    (true, true) => "started: debug/worker-full.wasm",
};

thread_local! {
    static ENGINE: RefCell<Option<Rc<Engine>>> = const { RefCell::new(None) };
}

/// Starts the engine with the app's configuration; called once for each instance of the module.
///
/// # Errors
/// `invalid-config`, naming the option.
#[wasm_bindgen]
pub fn boot(config: JsValue, host: JsValue) -> Result<(), JsValue> {
    let host = Host::new(host);
    fault::install_panic_hook(&host);
    let config: WorkerConfig = if config.is_undefined() || config.is_null() {
        WorkerConfig::default()
    } else {
        WorkerConfig::read(&shearwater_web::Js(config))
            .map_err(|mismatch| Error::invalid_config(["start(): ", &mismatch.to_string()].text()))
            .map_err(fault::to_js)?
    };
    config.check().map_err(fault::to_js)?;
    let config = engine::with_addresses(config).map_err(fault::to_js)?;
    let started = Engine::new(config, host);
    started.log_info(STARTED);
    ENGINE.with_borrow_mut(|engine| *engine = Some(started));
    Ok(())
}

/// Handles a page's message: calls `reply` with the answer as soon as it stands, and settles when
/// the work that the message set off is over.
#[wasm_bindgen]
pub fn message(data: JsValue, reply: Function) -> Promise {
    #[cfg(feature = "faults")]
    fault::trap_at_once(&data);
    with_engine(async move |engine| {
        #[cfg(feature = "faults")]
        fault::trap_later(&data);
        #[cfg(feature = "full")]
        collections::declare(&engine).await;
        serve::receive(&engine, data, reply).await;
        catch_up(&engine).await;
        Ok(JsValue::UNDEFINED)
    })
}

/// Handles a `sync` event; returns whether retryable work is left.
#[wasm_bindgen]
pub fn sync(tag: String, last_chance: bool) -> Promise {
    with_engine(async move |engine| {
        let again = events::sync(&engine, &tag, last_chance).await;
        catch_up(&engine).await;
        again.map(JsValue::from).map_err(fault::to_js)
    })
}

/// Handles a `periodicsync` event.
#[wasm_bindgen]
pub fn periodic(tag: String) -> Promise {
    with_engine(async move |engine| {
        events::periodic_sync(&engine, &tag).await.map_err(fault::to_js)?;
        #[cfg(feature = "full")]
        collections::catch_up(&engine).await;
        Ok(JsValue::UNDEFINED)
    })
}

/// Drains whatever is there, at the start of a worker or after a panic.
#[wasm_bindgen]
pub fn resume() -> Promise {
    with_engine(async move |engine| {
        events::resume(&engine).await.map_err(fault::to_js)?;
        catch_up(&engine).await;
        Ok(JsValue::UNDEFINED)
    })
}

/// Returns whether stored jobs of `key` wait in `queue`, which a request that is sent now would overtake.
#[wasm_bindgen]
pub fn overtakes(queue: String, key: String) -> Promise {
    with_engine(async move |engine| {
        let overtakes = engine.store.run(Mode::Read.on(Scope::VIEW), async |db| routes::would_overtake(db, &queue, &key).await);
        Ok(JsValue::from(overtakes.await.map_err(fault::to_js)?))
    })
}

/// Returns when a job of `queue` may be sent whose first try was refused, or had no response in time; the headers
/// `Retry-After` and `Date` are those of the refusal.
#[wasm_bindgen(js_name = notBefore)]
#[expect(clippy::cast_precision_loss, reason = "instants are below 2^53 ms")]
pub fn not_before(queue: &str, retry_after: Option<String>, date: Option<String>) -> f64 {
    let config = ENGINE.with_borrow(|engine| engine.as_ref().map(|engine| engine.config.queue_or_default(queue)));
    routes::not_before(&config.unwrap_or_default(), retry_after, date, clock::now(), clock::roll()).0 as f64
}

/// With `dead`, has the next call begin with a fresh instance in the place of this one; without, is that call.
///
/// It touches no memory, which a trap may have left in any state.
#[wasm_bindgen]
pub fn renew(dead: bool) {
    if dead {
        wasm_bindgen::handler::schedule_reinit();
    }
}

/// What is due by itself, whatever the wake was for.
async fn catch_up(engine: &Rc<Engine>) {
    periodic::catch_up(engine).await;
    #[cfg(feature = "full")]
    collections::catch_up(engine).await;
}

fn with_engine<F: Future<Output = Result<JsValue, JsValue>> + 'static>(work: impl FnOnce(Rc<Engine>) -> F + 'static) -> Promise {
    let engine = ENGINE.with_borrow(Clone::clone);
    future_to_promise(async move {
        match engine {
            Some(engine) => work(engine).await,
            None => Err(fault::to_js(Error::internal("boot() was not called"))),
        }
    })
}

#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod tests;
