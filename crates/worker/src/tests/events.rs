//! Events of the browser, from a real `SyncEvent` by way of `sw/worker` to the engine of this instance.

use js_sys::Array;
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{all_on_disk, awaited, fake_fetch, fetches, new_name, script, settle};
use crate::js;

#[wasm_bindgen]
extern "C" {
    /// What `start_app` returns: the public surface of the worker.
    type App;
    #[wasm_bindgen(method, catch)]
    async fn enqueue(this: &App, request: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = startApp)]
    fn start_app(config: &JsValue, hooks: &JsValue) -> App;
    #[wasm_bindgen(js_name = dispatchSync, catch)]
    async fn dispatch_sync(tag: &str, last_chance: bool) -> Result<JsValue, JsValue>;
}

const NO_NETWORK: &str = "() => Promise.reject(new TypeError('Failed to fetch'))";
const NETWORK: &str = "() => new Response(null, { status: 200 })";

/// An app with these hooks, and a job that was stored and could not be sent yet.
async fn app_with_a_job(hooks: &str) -> String {
    let name = new_name();
    let config = js_sys::Object::new();
    js::set(&config, "name", &JsValue::from_str(&name));
    // So long that no drain waits for it: it is the event that has the job tried again.
    js::set(&config, "queues", &script("{ default: { backoff: { base: 3600000, max: 3600000, jitter: 'equal' } } }"));
    js::set(&config, "logLevel", &"off".into());
    script("self.tags = [], SyncManager.prototype.register = async (tag) => void self.tags.push(tag)");
    fake_fetch(&script(NO_NETWORK));
    let app = start_app(&config, &script(hooks));
    app.enqueue(&script("{ url: 'https://api.example/note', method: 'POST', body: 'x' }")).await.unwrap();
    // The drain that the enqueue sets off has tried, and has put the job back.
    loop {
        let jobs: Array = all_on_disk(&name, "jobs").await.unwrap().unchecked_into();
        if js::get(&jobs.get(0), "unreachable").as_f64() >= Some(1.0)
            && js::get(&jobs.get(0), "state") == "pending"
            && !tags().is_empty()
        {
            return name;
        }
        settle().await;
    }
}

/// Tags that the browser was asked for.
fn tags() -> Vec<String> {
    Array::from(&js::global("tags")).iter().filter_map(|tag| tag.as_string()).collect()
}

async fn states(name: &str) -> Vec<String> {
    let jobs: Array = all_on_disk(name, "jobs").await.unwrap().unchecked_into();
    jobs.iter().filter_map(|job| js::get(&job, "state").as_string()).collect()
}

#[wasm_bindgen_test]
async fn a_sync_event_sends_what_found_no_network_and_settles_when_it_is_delivered() {
    let name = app_with_a_job("{}").await;
    fake_fetch(&script(NETWORK));
    dispatch_sync("default", false).await.unwrap();
    assert_eq!(fetches().iter().filter(|request| js::get(request, "method") == "POST").count(), 1);
    assert!(states(&name).await.is_empty());
    let history: Array = all_on_disk(&name, "history").await.unwrap().unchecked_into();
    assert_eq!(history.length(), 1);
}

#[wasm_bindgen_test]
async fn a_sync_event_that_leaves_work_is_rejected_so_that_the_browser_comes_again() {
    let name = app_with_a_job("{}").await;
    let before = tags();
    let error = dispatch_sync("default", false).await.unwrap_err();
    assert_eq!(js::get(&error, "code"), "work-left");
    assert_eq!(states(&name).await, ["pending"]);
    assert_eq!(tags(), before, "the browser holds the tag: to register it now would have it fired again at once");
}

#[wasm_bindgen_test]
async fn at_its_last_chance_a_sync_event_that_leaves_work_registers_its_tag_anew() {
    app_with_a_job("{}").await;
    let before = tags().len();
    assert!(dispatch_sync("default", true).await.is_err());
    assert_eq!(tags().get(before..), Some(&["default".to_owned()][..]));
}

#[wasm_bindgen_test]
async fn a_job_that_fails_for_good_is_no_reason_to_come_again() {
    let name = app_with_a_job("{}").await;
    fake_fetch(&script("() => new Response(null, { status: 422 })"));
    dispatch_sync("default", false).await.unwrap();
    assert_eq!(states(&name).await, ["failed"]);
}

#[wasm_bindgen_test]
async fn a_tag_of_another_queue_sends_nothing() {
    let name = app_with_a_job("{}").await;
    fake_fetch(&script(NETWORK));
    dispatch_sync("photos", false).await.unwrap();
    assert_eq!((fetches().length(), states(&name).await), (0, vec!["pending".to_owned()]));
}

#[wasm_bindgen_test]
async fn the_apps_own_handlers_of_a_sync_event_run_beside_the_queue() {
    let hooks = "{ sync: ({ tag, lastChance }) => void self.seen.push(tag, lastChance), 'sync:default': () => void self.seen.push('own') }";
    script("self.seen = []");
    app_with_a_job(hooks).await;
    fake_fetch(&script(NETWORK));
    dispatch_sync("default", true).await.unwrap();
    assert_eq!(js_sys::JSON::stringify(&js::global("seen")).unwrap(), r#"["default",true,"own"]"#);
}

#[wasm_bindgen_test]
async fn a_handler_that_fails_rejects_the_event_and_holds_up_no_job() {
    let name = app_with_a_job("{ sync: () => { throw new Error('on purpose') } }").await;
    fake_fetch(&script(NETWORK));
    let error = dispatch_sync("default", false).await.unwrap_err();
    assert_eq!(js::get(&error, "message"), "on purpose");
    assert!(states(&name).await.is_empty());
}

#[wasm_bindgen_test]
async fn a_store_that_fails_rejects_the_event() {
    app_with_a_job("{}").await;
    script("(() => { const { transaction } = IDBDatabase.prototype; self.mend = () => { IDBDatabase.prototype.transaction = transaction; };
        IDBDatabase.prototype.transaction = () => { throw new DOMException('on purpose', 'UnknownError') }; })()");
    let outcome = dispatch_sync("default", false).await;
    script("self.mend()");
    assert_eq!(js::get(&outcome.unwrap_err(), "code"), "storage-unavailable");
}

#[wasm_bindgen_test]
async fn a_call_before_boot_is_refused() {
    let error = awaited(&crate::sync("default".to_owned(), false).into()).await.unwrap_err();
    assert_eq!(js::get(&error, "code"), "internal");
}

#[wasm_bindgen_test]
fn boot_refuses_a_configuration_by_the_options_name() {
    let error = crate::boot(script("{ queues: { default: { concurency: 1 } } }"), script("{}")).unwrap_err();
    assert_eq!(js::get(&error, "code"), "invalid-config");
    assert!(js::get(&error, "message").as_string().unwrap().contains("concurency"));
}
