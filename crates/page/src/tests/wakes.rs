use std::rc::Rc;

use shearwater_core::schedule::auto_sync::{Profile, Schedule};
use wasm_bindgen_test::wasm_bindgen_test;

use super::{Worker, advance, install_timers, script, settle, status, status_of, timers_pending};
use crate::{events::Events, link::Link, options::ClientOptions, wakes::Wakes};

/// A page that wakes its worker by the plan alone.
fn quiet() -> ClientOptions {
    ClientOptions {
        sync_on_mount: false,
        sync_on_online: false,
        sync_on_visibility: false,
        auto_sync_interval: 0,
        ..ClientOptions::default()
    }
}

/// What a client holds of these.
struct Page {
    _link: Rc<Link>,
    events: Rc<Events>,
    wakes: Wakes,
}

/// A worker and a page that watches over it, in fake time.
fn watched(options: &ClientOptions) -> (Worker, Page) {
    install_timers();
    let worker = Worker::new();
    let (link, events) = worker.link(60_000);
    let wakes = Wakes::new(&link, &events, options).unwrap();
    (worker, Page { _link: link, events, wakes })
}

/// A status of one job that waits until so many milliseconds from now.
fn due_in(version: u32, ms: i32) -> shearwater_core::protocol::view::Status {
    status_of(&status(&format!("{{ version: {version}, pending: 1, nextSyncAt: Date.now() + {ms} }}")))
}

/// Reasons for which the worker was woken; a wake that is not answered is posted again, which is the link's.
async fn reasons(worker: &Worker) -> Vec<String> {
    settle().await;
    let mut seen = Vec::new();
    for message in worker.messages().await {
        let re = crate::js::get(&message, "re").as_string().unwrap();
        let reason = crate::js::get(&crate::js::get(&message, "op"), "wake").as_string().unwrap();
        if !seen.iter().any(|(other, _)| *other == re) {
            seen.push((re, reason));
        }
    }
    seen.into_iter().map(|(_, reason)| reason).collect()
}

#[wasm_bindgen_test]
async fn an_idle_page_sets_no_timer() {
    let (worker, _page) = watched(&quiet());
    assert_eq!(timers_pending(), 0);
    advance(600_000).await;
    assert!(reasons(&worker).await.is_empty());
}

#[wasm_bindgen_test]
async fn the_worker_is_woken_when_the_next_job_is_due() {
    let (worker, page) = watched(&quiet());
    page.events.take_status(due_in(1, 3_000));
    advance(3_049).await;
    assert!(reasons(&worker).await.is_empty());
    advance(1).await;
    assert_eq!(reasons(&worker).await, ["due"]);
}

#[wasm_bindgen_test]
async fn an_earlier_time_takes_the_place_of_a_later_one() {
    let (worker, page) = watched(&quiet());
    page.events.take_status(due_in(1, 30_000));
    page.events.take_status(due_in(2, 1_000));
    assert_eq!(timers_pending(), 1);
    advance(1_050).await;
    assert_eq!(reasons(&worker).await, ["due"]);
}

#[wasm_bindgen_test]
async fn what_is_no_longer_due_wakes_nobody() {
    let (worker, page) = watched(&quiet());
    page.events.take_status(due_in(1, 3_000));
    page.events.take_status(status_of(&status("{ version: 2 }")));
    assert_eq!(timers_pending(), 0);
    advance(600_000).await;
    assert!(reasons(&worker).await.is_empty());
}

#[wasm_bindgen_test]
async fn what_was_due_and_not_begun_is_brought_up_again_after_two_seconds() {
    let (worker, page) = watched(&quiet());
    page.events.take_status(due_in(1, -1));
    advance(1_000).await;
    // News in which nothing has moved put it off no further.
    page.events.refresh();
    advance(999).await;
    assert!(reasons(&worker).await.is_empty());
    advance(1).await;
    assert_eq!(reasons(&worker).await, ["watchdog"]);
    worker.answer(0, "{ ok: null }").await;
    advance(2_000).await;
    assert_eq!(reasons(&worker).await, ["watchdog", "watchdog"]);
}

#[wasm_bindgen_test]
async fn a_worker_that_is_silent_about_a_send_is_looked_after() {
    let (worker, page) = watched(&quiet());
    page.events.take_status(status_of(&status("{ version: 1, syncing: 1, isRunning: true }")));
    advance(4_999).await;
    assert!(reasons(&worker).await.is_empty());
    advance(5_001).await;
    assert_eq!(reasons(&worker).await, ["silence"]);
}

#[wasm_bindgen_test]
async fn while_jobs_wait_a_visible_page_wakes_the_worker_every_interval() {
    let (worker, page) = watched(&ClientOptions { auto_sync_interval: 60_000, ..quiet() });
    page.events.take_status(due_in(1, 3_600_000));
    for count in 1..=3 {
        advance(60_000).await;
        assert_eq!(reasons(&worker).await, vec!["interval"; count]);
        let last = worker.messages().await.len() - 1;
        worker.answer(u32::try_from(last).unwrap(), "{ ok: null }").await;
    }
}

#[wasm_bindgen_test]
async fn without_a_network_no_wake_is_planned() {
    script("Object.defineProperty(navigator, 'onLine', { value: false, configurable: true })");
    let (worker, page) = watched(&quiet());
    page.events.take_status(due_in(1, 1_000));
    let planned = timers_pending();
    advance(10_000).await;
    script("delete navigator.onLine");
    assert_eq!((planned, reasons(&worker).await.len()), (0, 0));
}

#[wasm_bindgen_test]
async fn the_page_wakes_the_worker_for_what_happens_to_it() {
    let (worker, page) = watched(&ClientOptions { auto_sync_interval: 0, ..ClientOptions::default() });
    assert_eq!(reasons(&worker).await, ["load"]);
    script("dispatchEvent(new Event('focus'))");
    assert_eq!(reasons(&worker).await, ["load"], "nothing waits, and it was just synced");
    page.events.take_status(due_in(1, 3_600_000));
    for event in [
        "dispatchEvent(new Event('online'))",
        "dispatchEvent(new Event('focus'))",
        "document.dispatchEvent(new Event('visibilitychange'))",
    ] {
        script(event);
    }
    assert_eq!(reasons(&worker).await, ["load", "online", "focus", "visible"]);
    script("Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true })");
    script("document.dispatchEvent(new Event('visibilitychange'))");
    script("delete document.visibilityState");
    assert_eq!(reasons(&worker).await.len(), 4, "a page that is hidden is no reason");
    drop(page.wakes);
    script("dispatchEvent(new Event('online'))");
    assert_eq!(reasons(&worker).await.len(), 4, "a client that is gone listens to nothing");
}

#[wasm_bindgen_test]
async fn an_app_that_wants_none_of_these_wakes_gets_none() {
    let (worker, _page) = watched(&quiet());
    for event in [
        "dispatchEvent(new Event('online'))",
        "dispatchEvent(new Event('focus'))",
        "document.dispatchEvent(new Event('visibilitychange'))",
    ] {
        script(event);
    }
    assert!(reasons(&worker).await.is_empty());
}

#[wasm_bindgen_test]
async fn a_client_that_is_gone_has_no_timer() {
    let (worker, page) = watched(&quiet());
    page.events.take_status(due_in(1, 1_000));
    assert_eq!(timers_pending(), 1);
    drop(page.wakes);
    assert_eq!(timers_pending(), 0);
    advance(10_000).await;
    assert!(reasons(&worker).await.is_empty());
}

#[wasm_bindgen_test]
async fn a_page_that_is_prerendered_does_nothing_until_it_is_shown() {
    script("Object.defineProperty(document, 'prerendering', { value: true, configurable: true })");
    let (worker, page) = watched(&ClientOptions::default());
    page.events.take_status(due_in(1, 1_000));
    script("dispatchEvent(new Event('online'))");
    advance(120_000).await;
    let before = reasons(&worker).await.len();
    script("delete document.prerendering");
    script("document.dispatchEvent(new Event('prerenderingchange'))");
    assert_eq!((before, reasons(&worker).await), (0, vec!["load".to_owned()]));
    advance(2_000).await;
    assert_eq!(reasons(&worker).await, ["load", "watchdog"]);
}

#[wasm_bindgen_test]
async fn an_adaptive_page_goes_by_use_and_battery() {
    script(
        "navigator.getBattery = async () => (globalThis.battery = Object.assign(new EventTarget(), { level: 1, charging: false }))",
    );
    let schedule = Schedule { profile: Profile::Adaptive, ..Schedule::default() };
    let (worker, page) = watched(&ClientOptions { schedule, ..quiet() });
    settle().await;
    page.events.take_status(due_in(1, 36_000_000));
    // Nobody uses it: 15 min.
    advance(14 * 60_000).await;
    assert!(reasons(&worker).await.is_empty());
    advance(2 * 60_000).await;
    assert_eq!(reasons(&worker).await, ["interval"]);
    // In use, 5 min.
    for _ in 0..11 {
        script("dispatchEvent(new Event('keydown'))");
        advance(30_000).await;
    }
    let used = reasons(&worker).await.len();
    script("(battery.level = 0.1, battery.dispatchEvent(new Event('levelchange')))");
    for _ in 0..80 {
        script("dispatchEvent(new Event('keydown'))");
        advance(30_000).await;
    }
    let drained = reasons(&worker).await.len();
    script("delete navigator.getBattery");
    assert_eq!((used, drained), (2, 2));
}

#[wasm_bindgen_test]
async fn a_page_that_is_stopped_wakes_nobody_by_itself() {
    let (worker, page) = watched(&ClientOptions { auto_start: false, ..ClientOptions::default() });
    page.events.take_status(due_in(1, 36_000_000));
    script("dispatchEvent(new Event('focus'))");
    advance(600_000).await;
    assert!(reasons(&worker).await.is_empty());
    page.wakes.set_running(true);
    assert_eq!(reasons(&worker).await, ["interval"]);
    page.wakes.set_running(false);
    advance(600_000).await;
    assert_eq!(reasons(&worker).await.len(), 1);
}
