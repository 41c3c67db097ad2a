use shearwater_core::drain::Dispatch;
use shearwater_core::http::reply::AttemptResult;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{
    advance, fake_fetch, fetched, fetches, install_timers, script,
    sending::{NO_HOOKS, begin_send, engine, job, known, plain_engine, response, send, send_job},
    settle,
};
use crate::js;

#[wasm_bindgen_test]
async fn a_job_is_settled_by_status_and_headers() {
    fake_fetch(&script(
        "() => new Response(null, { status: 429, headers: { 'retry-after': '3', date: 'Wed, 25 Nov 2026 12:00:00 GMT', ratelimit: 'r=0', 'content-type': 'text/html' } })",
    ));
    let response = response(send(&plain_engine()).await);
    assert_eq!(response.status, 429);
    assert_eq!(response.retry_after.as_deref(), Some("3"));
    assert_eq!(response.date.as_deref(), Some("Wed, 25 Nov 2026 12:00:00 GMT"));
    assert_eq!(response.rate_limit.as_deref(), Some("r=0"));
    assert_eq!(response.content_type.as_deref(), Some("text/html"));
    assert_eq!((response.excerpt, response.capture), (None, None));
}

#[wasm_bindgen_test]
async fn of_an_error_the_beginning_is_kept_for_people() {
    for (body, kind, excerpt) in [
        ("'  too many  '", "text/plain;charset=utf-8", Some("too many".to_owned())),
        (
            "JSON.stringify({ detail: 'the title is too long' })",
            "application/problem+json",
            Some("the title is too long".to_owned()),
        ),
        ("'<html>'", "text/html", None),
        ("''", "text/plain", None),
        ("'é'.repeat(400)", "text/plain", Some("é".repeat(300))),
    ] {
        fake_fetch(&script(&format!("() => new Response({body}, {{ status: 422, headers: {{ 'content-type': '{kind}' }} }})")));
        assert_eq!(response(send(&plain_engine()).await).excerpt, excerpt, "{body}");
    }
}

#[wasm_bindgen_test]
async fn an_error_body_that_never_ends_costs_two_seconds_and_is_then_aborted() {
    fake_fetch(&script(
        "(request) => new Response(endless(request, 'why'), { status: 500, headers: { 'content-type': 'text/plain' } })",
    ));
    let engine = plain_engine();
    let job = job(&engine).await;
    install_timers();
    let reply = begin_send(&engine, &job);
    let request = fetched(1).await.unwrap();
    advance(1_999).await;
    assert_eq!(*reply.borrow(), None, "it is still being read");
    advance(1).await;
    assert_eq!(response(known(&reply).await).excerpt.as_deref(), Some("why"));
    assert_eq!(js::get(&js::get(&request, "signal"), "aborted"), true);
}

#[wasm_bindgen_test]
async fn of_a_body_that_pours_bytes_a_few_are_read_and_the_rest_is_dropped() {
    fake_fetch(&script("(request) => new Response(flood(request), { status: 500, headers: { 'content-type': 'text/plain' } })"));
    assert_eq!(response(send(&plain_engine()).await).excerpt, Some("x".repeat(300)));
    let signal = js::get(&fetches().get(0), "signal");
    while js::get(&signal, "aborted") == false {
        settle().await;
    }
    let bytes = js::get(&js::global("flood"), "bytes").as_f64().unwrap();
    assert!(bytes <= 128.0 * 1024.0, "{bytes} bytes were read");
}

#[wasm_bindgen_test]
async fn of_a_delivery_the_queue_keeps_what_it_asks_for_up_to_64_kib() {
    let config = "{ queues: { default: { response: { headers: ['ETag', 'X-None'], body: true } } } }";
    fake_fetch(&script("(request) => new Response(flood(request), { status: 201, headers: { etag: '\"7\"', other: 'x' } })"));
    let kept = response(send(&engine(config, NO_HOOKS)).await).capture.unwrap();
    assert_eq!((kept.status, kept.headers), (201, vec![("etag".to_owned(), "\"7\"".to_owned())]));
    assert_eq!(kept.body, Some("x".repeat(64 * 1024)));
    fake_fetch(&script("() => new Response('no', { status: 422 })"));
    assert_eq!(response(send(&engine(config, NO_HOOKS)).await).capture, None, "of a delivery alone");
}

#[wasm_bindgen_test]
async fn a_response_of_no_body_is_a_response() {
    fake_fetch(&script("() => new Response(null, { status: 204 })"));
    assert_eq!(response(send(&plain_engine()).await).status, 204);
}

#[wasm_bindgen_test]
async fn a_response_without_a_status_is_opaque() {
    fake_fetch(&script("() => Response.error()"));
    assert_eq!(send(&plain_engine()).await, AttemptResult::Opaque);
}

#[wasm_bindgen_test]
async fn a_redirect_that_is_not_followed_delivers_nothing() {
    // As the platform shows it; no script can make one.
    fake_fetch(&script("() => ({ type: 'opaqueredirect', status: 0 })"));
    assert!(matches!(send(&plain_engine()).await, AttemptResult::Redirected(_)));
}

#[wasm_bindgen_test]
async fn a_send_that_takes_longer_than_its_queue_allows_is_aborted() {
    fake_fetch(&script("() => new Promise(() => {})"));
    let engine = engine("{ queues: { default: { timeout: 30000 } } }", NO_HOOKS);
    let job = job(&engine).await;
    install_timers();
    let reply = begin_send(&engine, &job);
    let request = fetched(1).await.unwrap();
    advance(29_999).await;
    assert_eq!((reply.borrow().is_none(), js::get(&js::get(&request, "signal"), "aborted")), (true, false.into()));
    advance(1).await;
    assert_eq!(known(&reply).await, AttemptResult::TimedOut);
}

#[wasm_bindgen_test]
async fn a_cancelled_send_is_aborted_and_says_nothing_about_the_server() {
    fake_fetch(&script("() => new Promise(() => {})"));
    let engine = plain_engine();
    let job = job(&engine).await;
    let reply = begin_send(&engine, &job);
    fetched(1).await.unwrap();
    engine.sends.cancel(&job.id);
    assert!(matches!(known(&reply).await, AttemptResult::Withheld(_)));
}

#[wasm_bindgen_test]
async fn no_response_from_a_server_that_cannot_be_reached_is_no_network() {
    fake_fetch(&script("() => Promise.reject(new TypeError('Failed to fetch'))"));
    assert_eq!(send(&plain_engine()).await, AttemptResult::Unreachable);
    assert_eq!(js::get(&fetches().get(1), "method"), "HEAD", "found out by a probe that changes nothing");
}

#[wasm_bindgen_test]
async fn a_response_that_is_hidden_from_the_page_counts_as_one() {
    fake_fetch(&script(
        "(request) => request.method === 'HEAD' ? new Response(null) : Promise.reject(new TypeError('Failed to fetch'))",
    ));
    let reply = send(&plain_engine()).await;
    assert!(matches!(&reply, AttemptResult::Hidden(why) if why.contains("https://api.example")), "{reply:?}");
}

#[wasm_bindgen_test]
async fn sends_that_fail_together_share_a_probe() {
    fake_fetch(&script(
        "(request) => request.method === 'HEAD' ? new Response(null) : Promise.reject(new TypeError('Failed to fetch'))",
    ));
    let engine = plain_engine();
    let (one, other) = (job(&engine).await, job(&engine).await);
    let (first, second) = (begin_send(&engine, &one), begin_send(&engine, &other));
    known(&first).await;
    known(&second).await;
    let probes = fetches().iter().filter(|request| js::get(request, "method") == "HEAD").count();
    assert_eq!(probes, 1);
}

#[wasm_bindgen_test]
async fn after_a_failure_of_the_apps_own_server_that_can_be_reached_a_redirect_is_looked_for() {
    fake_fetch(&script(
        "(request) => request.method === 'HEAD' ? new Response(null) : Promise.reject(new TypeError('Failed to fetch'))",
    ));
    let engine = plain_engine();
    let mut job = job(&engine).await;
    job.work.request_mut().origin.clone_from(&engine.origin);
    job.work.request_mut().head.url = format!("{}/note", engine.origin);
    assert_eq!(send_job(&engine, &job).await, AttemptResult::Unreachable);
    fake_fetch(&script("() => ({ type: 'opaqueredirect', status: 0 })"));
    let reply = send_job(&engine, &job).await;
    assert_eq!(js::get(&fetches().get(0), "redirect"), "manual");
    assert!(matches!(&reply, AttemptResult::Redirected(why) if why.contains("in circles")), "{reply:?}");
}

#[wasm_bindgen_test]
async fn what_the_platform_refuses_to_send_is_not_taken_for_no_network() {
    fake_fetch(&script("() => new Response()"));
    let engine = plain_engine();
    let mut job = job(&engine).await;
    job.work.request_mut().head.method = "TRACE".to_owned();
    assert!(matches!(send_job(&engine, &job).await, AttemptResult::Unsendable(_)));
    assert_eq!(fetches().length(), 0);
}

#[wasm_bindgen_test]
async fn a_job_whose_body_is_gone_is_not_sent_without_it() {
    fake_fetch(&script("() => new Response()"));
    let engine = plain_engine();
    let mut job = job(&engine).await;
    job.work.request_mut().size = Some(4);
    assert!(matches!(send_job(&engine, &job).await, AttemptResult::Unsendable(_)));
    let forged = crate::drain::fetch::send(&engine, &Dispatch::of(job.clone()), &[Some("text".into())]).await;
    assert!(matches!(forged, AttemptResult::Unsendable(_)), "{forged:?}");
    assert_eq!(fetches().length(), 0);
}
