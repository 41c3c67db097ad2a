use std::rc::Rc;

use js_sys::{Array, Function};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{assigned, awaited, new_name, script, settle, status, status_of};
use crate::{
    events::{Events, Listener, Topic},
    face::notify,
    js,
};

/// Broadcasts as a worker does, and waits until it is heard.
async fn broadcast(name: &str, members: &str) {
    let data = assigned(&script("{ shearwater: 1, jobs: [] }"), members);
    // A channel that was made later hears of it later.
    let post = "return new Promise((resolve) => {
        const [channel, last] = [1, 2].map(() => new BroadcastChannel('shearwater:' + name));
        last.onmessage = () => { channel.close(); last.close(); resolve(); };
        channel.postMessage(data);
    })";
    let heard = Function::new_with_args("name, data", post).call2(&JsValue::NULL, &name.into(), &data).unwrap();
    awaited(&heard).await.unwrap();
    settle().await;
}

/// A status as JavaScript writes it.
fn spelt(members: &str) -> String {
    js_sys::JSON::stringify(&status(members)).unwrap().into()
}

fn events() -> (Rc<Events>, String) {
    let name = new_name();
    (Events::new(&name), name)
}

/// A listener that notes what it is called with.
fn listener() -> (Listener, Array) {
    let heard = Array::new();
    let list = heard.clone();
    let note = move |detail: &JsValue| {
        list.push(detail);
    };
    (Rc::new(note), heard)
}

fn text(value: &JsValue) -> String {
    js_sys::JSON::stringify(value).unwrap().into()
}

#[wasm_bindgen_test]
async fn the_snapshot_changes_when_something_changes() {
    let (events, name) = events();
    let (note, heard) = listener();
    let _ = events.listen(Topic::Snapshot, note);
    let first = events.changes();
    events.refresh();
    broadcast(&name, &format!("{{ status: {} }}", spelt("{ version: 1 }"))).await;
    assert_eq!((events.changes(), heard.length()), (first, 0), "a version that changes nothing is no news");
    broadcast(&name, &format!("{{ status: {} }}", spelt("{ version: 2, pending: 1 }"))).await;
    assert_eq!((events.changes(), heard.length(), events.snapshot().pending), (first + 1, 1, 1));
}

#[wasm_bindgen_test]
fn an_older_status_than_is_known_is_passed_over() {
    let (events, _) = events();
    events.take_status(status_of(&status("{ version: 5, pending: 5 }")));
    events.take_status(status_of(&status("{ version: 4, pending: 4 }")));
    assert_eq!(events.snapshot().pending, 5);
    events.take_status(status_of(&status("{ version: 5, pending: 6 }")));
    assert_eq!(events.snapshot().pending, 6);
}

#[wasm_bindgen_test]
async fn late_news_of_the_owner_before_are_not_shown() {
    let (events, name) = events();
    events.take_status(status_of(&status("{ version: 5, owner: 'bob' }")));
    broadcast(&name, &format!("{{ status: {} }}", spelt("{ version: 4, owner: 'ann', pending: 9 }"))).await;
    assert_eq!((events.owner(), events.snapshot().pending), ("bob".to_owned(), 0));
    broadcast(&name, &format!("{{ status: {} }}", spelt("{ version: 6, owner: 'ann', pending: 9 }"))).await;
    assert_eq!((events.owner(), events.snapshot().pending), ("ann".to_owned(), 9));
}

#[wasm_bindgen_test]
async fn a_job_is_told_to_those_who_listen_to_it_its_state_and_all_jobs() {
    let (events, name) = events();
    let listeners = [
        Topic::Event("job"),
        Topic::Event("failed"),
        Topic::Event("delivered"),
        Topic::Job("a".to_owned()),
        Topic::Job("b".to_owned()),
    ];
    let heard = listeners.map(|topic| {
        let (note, heard) = listener();
        let _ = events.listen(topic, note);
        heard
    });
    let jobs = "[{ id: 'a', state: 'failed', metadata: '{\"n\":1}', response: { headers: [['etag', '7']] } }, { id: 'c', state: 'pending' }]";
    broadcast(&name, &format!("{{ status: {}, jobs: {jobs} }}", spelt("{ version: 1 }"))).await;
    assert_eq!(heard.each_ref().map(Array::length), [2, 1, 0, 1, 0]);
    let job = r#"{"id":"a","state":"failed","metadata":{"n":1},"response":{"headers":{"etag":"7"}}}"#;
    assert_eq!(text(&heard[3].get(0)), job, "metadata and headers as the app knows them");
}

#[wasm_bindgen_test]
async fn what_happens_besides_is_an_event_by_its_name() {
    let (events, name) = events();
    let (note, heard) = listener();
    for topic in ["sync-start", "sync-complete", "removed", "progress"] {
        let _ = events.listen(Topic::Event(topic), Rc::clone(&note));
    }
    let (note, watched) = listener();
    let _ = events.listen(Topic::Job("a".to_owned()), note);
    let same = spelt("{ version: 1 }");
    broadcast(&name, &format!("{{ status: {same}, event: {{ 'sync-start': 'q' }} }}")).await;
    broadcast(
        &name,
        &format!("{{ status: {same}, event: {{ 'sync-complete': {{ queue: 'q', result: {{ delivered: 2 }} }} }} }}"),
    )
    .await;
    broadcast(&name, &format!("{{ status: {same}, event: {{ removed: ['a'] }} }}")).await;
    broadcast(&name, &format!("{{ status: {} }}", spelt("{ version: 2, done: 1, total: 3 }"))).await;
    assert_eq!(text(&heard), r#"[{"queue":"q"},{"delivered":2,"queue":"q"},{"ids":["a"]},{"done":1,"total":3}]"#);
    assert_eq!(text(&watched), "[null]", "whoever watches a job hears that it is gone");
}

#[wasm_bindgen_test]
async fn only_broadcasts_of_this_app_and_version_are_heard() {
    let (events, name) = events();
    let news = format!("status: {}", spelt("{ version: 1, pending: 1 }"));
    broadcast(&new_name(), &format!("{{ {news} }}")).await;
    broadcast(&name, &format!("{{ shearwater: 2, {news} }}")).await;
    broadcast(&name, "{ status: { version: 'x' } }").await;
    assert_eq!((events.snapshot().pending, events.signs_of_life()), (0, 0));
    broadcast(&name, &format!("{{ {news} }}")).await;
    assert_eq!((events.snapshot().pending, events.signs_of_life()), (1, 1));
}

#[wasm_bindgen_test]
fn a_listener_that_was_taken_off_or_throws_disturbs_no_other() {
    let (events, _) = events();
    let (note, heard) = listener();
    let off = events.listen(Topic::Snapshot, Rc::clone(&note));
    script("(() => { self.reported = []; console.error = (...parts) => void self.reported.push(parts); })()");
    let throws: Function = script("() => { throw new Error('on purpose') }").unchecked_into();
    let _ = events.listen(Topic::Snapshot, Rc::new(move |detail| notify(&throws, detail)));
    let _ = events.listen(Topic::Snapshot, note);
    events.take_status(status_of(&status("{ version: 1, pending: 1 }")));
    assert_eq!(heard.length(), 2);
    assert_eq!(Array::from(&js::global("reported")).length(), 1);
    events.unlisten(off);
    events.take_status(status_of(&status("{ version: 2, pending: 2 }")));
    assert_eq!(heard.length(), 3);
}

#[wasm_bindgen_test]
async fn a_closed_client_hears_nothing_more() {
    let (events, name) = events();
    let (note, heard) = listener();
    let _ = events.listen(Topic::Snapshot, note);
    events.close();
    broadcast(&name, &format!("{{ status: {} }}", spelt("{ version: 1, pending: 1 }"))).await;
    assert_eq!(heard.length(), 0);
}

#[wasm_bindgen_test]
fn the_network_is_part_of_the_snapshot() {
    let (events, _) = events();
    script("Object.defineProperty(navigator, 'onLine', { value: false, configurable: true })");
    events.refresh();
    assert!(!events.snapshot().is_online);
    script("delete navigator.onLine");
    events.refresh();
    assert!(events.snapshot().is_online);
}
