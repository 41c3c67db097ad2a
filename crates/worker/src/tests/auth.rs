use std::{cell::RefCell, rc::Rc};

use shearwater_core::{
    health::auth::{Authorization, Step, Supplied},
    http::reply::AttemptResult,
    store::{Session, Tx},
};
use wasm_bindgen_test::wasm_bindgen_test;

use super::{
    advance, fake_fetch, fetches, install_timers, script,
    sending::{begin_send, engine_with_auth, header, job, known, plain_engine, response, send, send_job},
    settle,
};
use crate::{drain::auth::Auth, js};

/// A server that takes one token and refuses all others.
fn server_takes(token: &str) {
    fake_fetch(&script(&format!(
        "(request) => new Response(null, {{ status: request.headers.get('authorization') === '{token}' ? 200 : 401 }})"
    )));
}

/// What the hook was called with: `refresh`, call by call.
fn refreshes() -> Vec<bool> {
    js_sys::Array::from(&js::global("calls")).iter().filter_map(|detail| js::get(&detail, "refresh").as_bool()).collect()
}

/// A send that was refused with credentials, and is about to have them refreshed.
async fn refused(auth: &Auth) -> Authorization {
    let mut send = Authorization::new(true);
    assert_eq!(auth.step(&mut send).await, Step::Ask { refresh: false });
    auth.supplied(&mut send, Supplied::Credentials);
    assert_eq!(auth.step(&mut send).await, Step::Send);
    auth.replied(&mut send, true);
    send
}

#[wasm_bindgen_test]
async fn while_credentials_are_refreshed_all_other_sends_wait() {
    let auth = Rc::new(Auth::default());
    let mut refreshing = refused(&auth).await;
    assert_eq!(auth.step(&mut refreshing).await, Step::Ask { refresh: true });
    let steps = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..2 {
        let (auth, steps) = (Rc::clone(&auth), Rc::clone(&steps));
        shearwater_web::spawn_local(async move {
            let step = auth.step(&mut Authorization::new(true)).await;
            steps.borrow_mut().push(step);
        });
    }
    settle().await;
    assert!(steps.borrow().is_empty());
    auth.supplied(&mut refreshing, Supplied::Credentials);
    settle().await;
    assert_eq!(*steps.borrow(), [Step::Ask { refresh: false }; 2]);
}

#[wasm_bindgen_test]
async fn a_refresh_that_fails_lets_the_others_go_on_all_the_same() {
    let auth = Rc::new(Auth::default());
    let mut refreshing = refused(&auth).await;
    auth.step(&mut refreshing).await;
    let step = Rc::new(RefCell::new(None));
    shearwater_web::spawn_local({
        let (auth, step) = (Rc::clone(&auth), Rc::clone(&step));
        async move {
            let next = auth.step(&mut Authorization::new(true)).await;
            step.replace(Some(next));
        }
    });
    settle().await;
    auth.supplied(&mut refreshing, Supplied::Failed);
    settle().await;
    assert_eq!(step.take(), Some(Step::Ask { refresh: false }));
    assert_eq!(auth.step(&mut refreshing).await, Step::Done);
}

#[wasm_bindgen_test]
async fn what_the_hook_supplies_is_sent_and_nothing_else_is_asked_for() {
    server_takes("good");
    let engine = engine_with_auth("() => ({ Authorization: 'good', 'x-none': undefined, 'x-null': null })");
    assert_eq!(response(send(&engine).await).status, 200);
    let request = fetches().get(0);
    assert_eq!(header(&request, "authorization").as_deref(), Some("good"));
    assert_eq!((header(&request, "x-none"), header(&request, "x-null")), (None, None));
    assert_eq!(js::get(&request, "redirect"), "manual", "no redirect takes them along");
    assert_eq!(refreshes(), [false]);
}

#[wasm_bindgen_test]
async fn credentials_go_to_the_origins_of_the_hook_alone() {
    server_takes("good");
    let engine = engine_with_auth("() => ({ Authorization: 'good' })");
    let mut job = job(&engine).await;
    job.work.request_mut().origin = "https://elsewhere.example".to_owned();
    job.work.request_mut().head.url = "https://elsewhere.example/note".to_owned();
    assert_eq!(response(send_job(&engine, &job).await).status, 401);
    assert!(refreshes().is_empty());
}

#[wasm_bindgen_test]
async fn refused_credentials_are_refreshed_once_and_the_job_is_sent_again() {
    server_takes("fresh");
    let engine = engine_with_auth("({ refresh }) => ({ Authorization: refresh ? 'fresh' : 'stale' })");
    assert_eq!(response(send(&engine).await).status, 200);
    assert_eq!((refreshes(), fetches().length()), (vec![false, true], 2));
}

#[wasm_bindgen_test]
async fn credentials_that_are_refused_after_a_refresh_are_refused() {
    server_takes("none of these");
    let engine = engine_with_auth("() => ({ Authorization: 'stale' })");
    assert_eq!(response(send(&engine).await).status, 401);
    assert_eq!(refreshes(), [false, true]);
    assert!(fetches().length() <= shearwater_core::health::auth::MOST_SENDS);
}

#[wasm_bindgen_test]
async fn sends_that_are_refused_together_share_a_refresh() {
    server_takes("fresh");
    let engine = engine_with_auth(
        "async ({ refresh }) => { if (refresh) { await new Promise((resolve) => setTimeout(resolve, 20)); self.token = 'fresh'; } return { Authorization: self.token }; }",
    );
    script("delete self.token, self.token = 'stale'");
    let jobs = [job(&engine).await, job(&engine).await, job(&engine).await];
    let replies = jobs.each_ref().map(|job| begin_send(&engine, job));
    for reply in replies {
        assert_eq!(response(known(&reply).await).status, 200);
    }
    assert_eq!(refreshes().into_iter().filter(|refresh| *refresh).count(), 1);
}

#[wasm_bindgen_test]
async fn a_refusal_without_credentials_asks_for_no_refresh() {
    server_takes("good");
    assert_eq!(response(send(&engine_with_auth("() => undefined")).await).status, 401);
    assert_eq!(refreshes(), [false]);
    assert_eq!(response(send(&plain_engine()).await).status, 401);
}

#[wasm_bindgen_test]
async fn a_hook_that_fails_keeps_the_job_and_bothers_no_server() {
    server_takes("good");
    for hook in ["() => { throw new Error('no token') }", "async () => { throw 'no token' }"] {
        let reply = send(&engine_with_auth(hook)).await;
        assert!(matches!(&reply, AttemptResult::Withheld(why) if why.contains("no token")), "{reply:?}");
    }
    let reply = send(&engine_with_auth("() => ({ 'a b': 'no header has this name' })")).await;
    assert!(matches!(&reply, AttemptResult::Withheld(_)), "{reply:?}");
    assert_eq!(fetches().length(), 0);
}

#[wasm_bindgen_test]
async fn a_hook_that_never_ends_is_given_up_after_the_time_of_the_queue() {
    server_takes("good");
    let engine = engine_with_auth("() => new Promise(() => {})");
    let job = job(&engine).await;
    install_timers();
    let reply = begin_send(&engine, &job);
    advance(59_999).await;
    assert_eq!(*reply.borrow(), None);
    advance(1).await;
    let reply = known(&reply).await;
    assert!(matches!(&reply, AttemptResult::Withheld(why) if why.contains("in time")), "{reply:?}");
    assert_eq!(fetches().length(), 0);
}

#[wasm_bindgen_test]
async fn nothing_is_sent_in_another_session_than_it_was_claimed_in() {
    server_takes("good");
    let engine = plain_engine();
    let mut job = job(&engine).await;
    job.lease.as_mut().unwrap().session = 7;
    for (owner, number, is_sent) in [("", 7, true), ("ann", 8, false), ("", 9, false)] {
        let session = Session { owner: owner.to_owned(), number, ..Session::default() };
        engine.store.run(crate::store::Mode::Strict, async |db| db.put(&session)).await.unwrap();
        let result = send_job(&engine, &job).await;
        assert_eq!(matches!(result, AttemptResult::Status(_)), is_sent, "{result:?}");
        assert_eq!(matches!(result, AttemptResult::Withheld(_)), !is_sent, "{result:?}");
    }
    assert_eq!(fetches().length(), 1);
}
