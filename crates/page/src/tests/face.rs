use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{Worker, begin, known, new_name, script, settle, status};
use crate::{
    face::{JsClient, connect},
    js,
};

/// A client of a worker in which nothing waits, and that is woken for nothing.
async fn client(worker: &Worker) -> JsClient {
    let options = script("{ syncOnMount: false, syncOnOnline: false, syncOnVisibility: false, autoSyncInterval: 0 }");
    let connecting = begin(connect(options, worker.registration.clone(), new_name()));
    settle().await;
    js::set(&js_sys::global(), "answered", &status("{ version: 1 }"));
    worker.answer(0, "{ ok: self.answered }").await;
    known(&connecting).await.unwrap_or_else(|error| panic!("{}", js::message_of(&error)))
}

#[wasm_bindgen_test]
async fn the_snapshot_is_the_same_object_until_something_changes() {
    let worker = Worker::new();
    let client = client(&worker).await;
    let first = client.snapshot();
    assert!(js_sys::Object::is(&first, &client.snapshot()));
    let paused = wasm_bindgen_futures::JsFuture::from(client.pause(JsValue::UNDEFINED));
    js::set(&js_sys::global(), "answered", &status("{ version: 2, paused: true }"));
    worker.answer(1, "{ ok: null, status: self.answered }").await;
    paused.await.unwrap();
    assert!(!js_sys::Object::is(&first, &client.snapshot()));
    assert_eq!(js::get(&client.snapshot(), "state"), "paused");
    client.close();
}

#[wasm_bindgen_test]
async fn a_snapshot_is_frozen_and_says_null_for_what_is_not_known() {
    let client = client(&Worker::new()).await;
    let snapshot = client.snapshot();
    assert!(js_sys::Object::is_frozen(snapshot.unchecked_ref::<js_sys::Object>()));
    for name in ["progress", "lastSyncAt", "nextSyncAt", "error"] {
        assert!(js_sys::Reflect::get(&snapshot, &name.into()).unwrap().is_null(), "{name}");
    }
    client.close();
}
