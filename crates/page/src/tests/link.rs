use js_sys::Array;
use shearwater_core::{
    Error, JobId,
    protocol::{Op, SetOwner},
    store::receipts::REPEATED_FOR,
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{Worker, advance, begin, install_timers, known, script, settle, status, status_of, timers_pending};
use crate::js;

const MINUTE: u32 = 60_000;

/// The stable code of an error.
fn code(error: &Error) -> &'static str {
    error.code.as_str()
}

fn get(id: u8) -> Op {
    Op::Get(JobId::from_random([id; 16]))
}

#[wasm_bindgen_test]
async fn a_question_is_answered_by_what_its_port_says() {
    let worker = Worker::new();
    let (link, _) = worker.link(MINUTE);
    let (one, other) = (begin(link.clone().asked(get(1))), begin(link.clone().asked(get(2))));
    assert_eq!(worker.messages().await.len(), 2);
    worker.answer(1, "{ ok: 'second' }").await;
    assert!(one.borrow().is_none());
    assert_eq!(known(&other).await.unwrap(), "second");
    worker.answer(0, "{ ok: 'first' }").await;
    assert_eq!(known(&one).await.unwrap(), "first");
}

#[wasm_bindgen_test]
async fn an_error_that_the_worker_answers_keeps_its_code() {
    let worker = Worker::new();
    let (link, _) = worker.link(MINUTE);
    let asked = begin(link.asked(get(1)));
    worker.answer(0, "{ error: { code: 'quota-exceeded', message: 'full' } }").await;
    let error = known(&asked).await.unwrap_err();
    assert_eq!((code(&error), error.message.as_str()), ("quota-exceeded", "full"));
}

#[wasm_bindgen_test]
async fn what_is_not_answered_is_posted_again_every_five_seconds_as_it_was() {
    install_timers();
    let worker = Worker::new();
    let (link, _) = worker.link(MINUTE);
    let asked = begin(link.asked(get(1)));
    advance(4_999).await;
    assert_eq!(worker.messages().await.len(), 1);
    advance(1).await;
    assert_eq!(worker.messages().await.len(), 2);
    advance(5_000).await;
    let messages: Vec<_> = worker.messages().await.iter().map(|message| js_sys::JSON::stringify(message).unwrap()).collect();
    assert_eq!(messages, vec![messages[0].clone(); 3]);
    worker.answer(1, "{ ok: 1 }").await;
    assert_eq!(known(&asked).await.unwrap(), 1, "whichever of its posts is answered");
    advance(60_000).await;
    assert_eq!((worker.messages().await.len(), timers_pending()), (3, 0), "then it is over");
}

#[wasm_bindgen_test]
async fn bodies_are_posted_again_with_their_message() {
    install_timers();
    let worker = Worker::new();
    let (link, _) = worker.link(MINUTE);
    let asked = begin(async move { link.ask(get(1), Array::of1(&"body".into())).await });
    advance(5_000).await;
    for message in worker.messages().await {
        assert_eq!(Array::from(&js::get(&message, "bodies")).get(0), "body");
    }
    assert_eq!((worker.messages().await.len(), asked.borrow().is_some()), (2, false));
}

#[wasm_bindgen_test]
async fn a_worker_that_gives_no_sign_of_life_for_the_timeout_is_given_up() {
    install_timers();
    let worker = Worker::new();
    let (link, _) = worker.link(20_000);
    let asked = begin(link.asked(get(1)));
    advance(19_999).await;
    assert!(asked.borrow().is_none());
    advance(1).await;
    assert_eq!(code(&known(&asked).await.unwrap_err()), "timeout");
    advance(60_000).await;
    assert_eq!(worker.messages().await.len(), 4);
}

#[wasm_bindgen_test]
async fn while_the_worker_answers_others_a_question_waits_and_is_posted_seldom() {
    install_timers();
    let worker = Worker::new();
    let (link, events) = worker.link(20_000);
    let asked = begin(link.asked(get(1)));
    for _ in 0..12 {
        events.note_life();
        advance(5_000).await;
    }
    assert!(asked.borrow().is_none(), "a minute has passed, three times its timeout");
    assert_eq!(worker.messages().await.len(), 1 + 4, "every 15 s");
}

#[wasm_bindgen_test]
async fn a_sync_waits_without_a_limit_and_nothing_is_repeated_that_no_worker_remembers() {
    install_timers();
    let worker = Worker::new();
    let (link, _) = worker.link(20_000);
    let asked = begin(link.asked(Op::Sync(None)));
    advance(100_000).await;
    assert!(asked.borrow().is_none());
    // The device slept.
    script(&format!("(() => {{ const {{ now }} = Date; Date.now = () => now() + {REPEATED_FOR}; }})()"));
    let before = worker.messages().await.len();
    advance(5_000).await;
    assert_eq!(code(&known(&asked).await.unwrap_err()), "timeout");
    assert_eq!(worker.messages().await.len(), before);
}

#[wasm_bindgen_test]
async fn a_late_answer_to_a_question_that_was_given_up_is_not_heard() {
    install_timers();
    let worker = Worker::new();
    let (link, _) = worker.link(5_000);
    let asked = begin(link.asked(get(1)));
    advance(5_000).await;
    let outcome = known(&asked).await;
    worker.answer(0, "{ ok: 1 }").await;
    assert_eq!(code(&outcome.unwrap_err()), "timeout");
}

#[wasm_bindgen_test]
async fn the_status_of_an_answer_is_known_before_the_caller_goes_on() {
    let worker = Worker::new();
    let (link, events) = worker.link(MINUTE);
    let seen = begin({
        let events = std::rc::Rc::clone(&events);
        async move {
            link.ask(get(1), Array::new()).await.unwrap();
            events.snapshot().pending
        }
    });
    js::set(&js_sys::global(), "answered", &status("{ version: 1, pending: 3 }"));
    worker.answer(0, "{ ok: null, status: self.answered }").await;
    assert_eq!(known(&seen).await, 3);
}

#[wasm_bindgen_test]
async fn whatever_is_asked_after_a_sign_in_is_asked_as_the_new_owner() {
    let worker = Worker::new();
    let (link, events) = worker.link(MINUTE);
    events.take_status(status_of(&status("{ version: 1, owner: 'ann' }")));
    let before = begin(link.clone().asked(get(1)));
    let sign_in = begin(link.clone().asked(Op::SetOwner(SetOwner { owner: Some("bob".to_owned()), purge: None })));
    let after = begin(link.clone().asked(get(1)));
    let owners: Vec<_> = worker.messages().await.iter().filter_map(|message| js::get(message, "owner").as_string()).collect();
    assert_eq!(owners, ["ann", "ann", "bob"]);
    worker.answer(1, "{ error: { code: 'storage-unavailable', message: '' } }").await;
    assert_eq!(link.owner(), "ann", "nobody was signed in");
    drop((before, sign_in, after));
}

#[wasm_bindgen_test]
async fn a_closed_link_answers_nothing_and_asks_nothing() {
    let worker = Worker::new();
    let (link, _) = worker.link(MINUTE);
    let asked = begin(link.clone().asked(get(1)));
    settle().await;
    link.close();
    settle().await;
    assert_eq!(code(&known(&asked).await.unwrap_err()), "worker-unavailable");
    assert_eq!(code(&link.ask(get(2), Array::new()).await.unwrap_err()), "worker-unavailable");
    assert_eq!(worker.messages().await.len(), 1);
}

#[wasm_bindgen_test]
async fn a_registration_without_a_worker_and_a_message_that_cannot_be_cloned_are_refused_at_once() {
    let worker = Worker::new();
    let (link, _) = worker.link(MINUTE);
    let body = Array::of1(&script("() => {}"));
    assert_eq!(code(&link.ask(get(1), body).await.unwrap_err()), "invalid-request");
    js::set(&worker.registration, "active", &JsValue::NULL);
    assert_eq!(code(&link.ask(get(1), Array::new()).await.unwrap_err()), "worker-unavailable");
}

#[wasm_bindgen_test]
async fn a_question_that_is_dropped_is_not_repeated_and_signs_nobody_in() {
    install_timers();
    let worker = Worker::new();
    let (link, _) = worker.link(MINUTE);
    let op = Op::SetOwner(SetOwner { owner: Some("bob".to_owned()), purge: None });
    let mut asked = Box::pin(link.begin(Some(&op)).ask(op, Array::new()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(asked.as_mut().poll(&mut context).is_pending());
    assert_eq!((link.owner(), timers_pending()), ("bob".to_owned(), 1));
    drop(asked);
    assert_eq!((link.owner(), timers_pending()), (String::new(), 0));
    advance(60_000).await;
    assert_eq!(worker.messages().await.len(), 1);
}

#[wasm_bindgen_test]
async fn the_app_is_told_once_of_each_header_that_is_not_stored() {
    let worker = Worker::new();
    let (link, _) = worker.link(MINUTE);
    script("(() => { self.warnings = []; console.warn = (...parts) => void self.warnings.push(parts.join(' ')); })()");
    for (at, dropped) in ["['authorization']", "['authorization', 'x-api-key']"].into_iter().enumerate() {
        drop(begin(link.clone().asked(get(1))));
        worker.answer(u32::try_from(at).unwrap(), &format!("{{ ok: null, dropped: {dropped} }}")).await;
    }
    let warnings: Vec<_> = Array::from(&js::global("warnings")).iter().filter_map(|text| text.as_string()).collect();
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].contains("authorization") && !warnings[1].contains("authorization") && warnings[1].contains("x-api-key"));
}

/// A question that holds its link.
trait Asked {
    async fn asked(self, op: Op) -> Result<JsValue, Error>;
}

impl Asked for std::rc::Rc<crate::link::Link> {
    async fn asked(self, op: Op) -> Result<JsValue, Error> {
        self.ask(op, Array::new()).await
    }
}
