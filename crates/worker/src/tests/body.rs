use std::{cell::RefCell, rc::Rc};

use shearwater_core::{ErrorCode, queue::enqueue::NewJob};
use shearwater_web::spawn_local;
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::{Blob, Response};

use super::{awaited, new_job, script, settle};
use crate::{
    body::{all, beside, is_whole, own},
    js,
};

/// The text of a stored body.
async fn text(body: &JsValue) -> String {
    let response = Response::new_with_opt_blob(Some(body.unchecked_ref())).unwrap();
    let reading = js::get(&response, "text").unchecked_into::<js_sys::Function>().call0(&response).unwrap();
    awaited(&reading).await.unwrap().as_string().unwrap()
}

#[wasm_bindgen_test]
async fn up_to_64_kib_a_body_is_stored_as_bytes_and_above_as_a_blob() {
    for (body, is_blob) in [
        ("new Blob(['x'.repeat(65536)])", false),
        ("new Blob(['x'.repeat(65537)])", true),
        ("new ArrayBuffer(65536)", false),
        ("new ArrayBuffer(65537)", true),
        ("[new Blob(['x'.repeat(65536)]), 'y']", true),
        ("['x'.repeat(65536)]", false),
        ("new Blob([])", false),
    ] {
        let stored = own(script(body)).await.unwrap().unwrap();
        assert_eq!(stored.is_instance_of::<Blob>(), is_blob, "{body}");
        assert_eq!(stored.is_instance_of::<js_sys::ArrayBuffer>(), !is_blob, "{body}");
    }
}

#[wasm_bindgen_test]
async fn a_form_is_stored_as_its_parts_one_after_the_other() {
    let stored = own(script("['--a\\r\\n', new Blob(['file']), '\\r\\n--a--']")).await.unwrap().unwrap();
    assert_eq!(text(&stored).await, "--a\r\nfile\r\n--a--");
}

#[wasm_bindgen_test]
async fn no_body_is_none() {
    assert_eq!(own(JsValue::UNDEFINED).await.unwrap(), None);
    assert_eq!(own(JsValue::NULL).await.unwrap(), None);
}

#[wasm_bindgen_test]
async fn what_no_page_of_ours_sends_is_refused() {
    for forged in ["1", "'text'", "{}", "['part', 1]", "[['part']]", "new Uint8Array(1)"] {
        assert_eq!(own(script(forged)).await.unwrap_err().code, ErrorCode::InvalidMessage, "{forged}");
    }
}

#[wasm_bindgen_test]
async fn a_blob_that_cannot_be_read_is_the_requests_fault() {
    // As one whose file was changed since: its size is not what comes of reading it.
    let body = script(
        "(() => { const blob = new Blob(['three']); Object.defineProperty(blob, 'size', { value: 10 }); return blob; })()",
    );
    let error = own(body).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    assert!(error.message.contains("must be chosen again"), "{}", error.message);
}

#[wasm_bindgen_test]
async fn a_stored_body_that_ends_early_is_not_whole() {
    assert!(is_whole(&script("new Blob(['whole'])")).await);
    assert!(is_whole(&script("new Blob([])")).await);
    assert!(is_whole(&script("new ArrayBuffer(3)")).await);
    let short =
        "(() => { const blob = new Blob(['short']); Object.defineProperty(blob, 'size', { value: 10 }); return blob; })()";
    assert!(!is_whole(&script(short)).await);
}

#[wasm_bindgen_test]
fn a_message_has_an_array_of_bodies_or_none() {
    assert!(beside(&script("{}")).unwrap().is_empty());
    assert!(beside(&script("{ bodies: 'text' }")).unwrap().is_empty());
    assert_eq!(beside(&script("{ bodies: [1, 2] }")).unwrap().len(), 2);
    let sparse = beside(&script("{ bodies: Object.assign([], { length: 100001 }) }"));
    assert_eq!(sparse.unwrap_err().code, ErrorCode::InvalidMessage);
}

#[wasm_bindgen_test]
async fn each_job_has_its_body_and_there_are_no_more_bodies_than_jobs() {
    let mut jobs = [new_job("{}"), new_job("{}"), new_job("{}")];
    let read = all(&mut jobs, vec![script("new Blob(['one'])"), JsValue::NULL]).await.unwrap();
    assert_eq!(read.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(text(read[0].as_ref().unwrap()).await, "one");
    let error = all(&mut jobs[..1], vec![JsValue::NULL, JsValue::NULL]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidMessage);
}

#[wasm_bindgen_test]
async fn a_blobs_type_is_the_content_type_unless_the_request_has_one() {
    let mut jobs = [new_job("{}"), new_job("{}")];
    jobs[1].request.headers.push(("Content-Type".to_owned(), "text/csv".to_owned()));
    let blob = || script("new Blob(['x'], { type: 'image/png' })");
    all(&mut jobs, vec![blob(), blob()]).await.unwrap();
    let types = jobs.map(|job| job.request.headers.into_iter().map(|(_, value)| value).collect::<Vec<_>>());
    assert_eq!(types, [["image/png"], ["text/csv"]]);
}

/// Reads the body of a job with these options beside everything else, and notes `who` when that is done.
fn begin(who: &'static str, options: &str, body: JsValue, log: &Rc<RefCell<Vec<&'static str>>>) {
    let (mut jobs, log): ([NewJob; 1], _) = ([new_job(options)], Rc::clone(log));
    spawn_local(async move {
        let _ = all(&mut jobs, vec![body]).await;
        log.borrow_mut().push(who);
    });
}

#[wasm_bindgen_test]
async fn jobs_of_one_key_go_on_in_the_order_of_their_messages_and_others_do_not_wait() {
    let log = Rc::default();
    begin("slow", "{ key: 'k' }", script("new Blob(['x'.repeat(1e6)])"), &log);
    begin("same key", "{ key: 'k' }", JsValue::NULL, &log);
    begin("other key", "{ key: 'l' }", JsValue::NULL, &log);
    begin("other queue", "{ key: 'k', queue: 'q' }", JsValue::NULL, &log);
    begin("no key", "{}", JsValue::NULL, &log);
    while log.borrow().len() < 5 {
        settle().await;
    }
    assert_eq!(*log.borrow(), ["other key", "other queue", "no key", "slow", "same key"]);
}

#[wasm_bindgen_test]
async fn a_body_that_cannot_be_read_holds_up_nobody_for_good() {
    let log = Rc::default();
    let broken =
        "(() => { const blob = new Blob(['three']); Object.defineProperty(blob, 'size', { value: 10 }); return blob; })()";
    begin("broken", "{ key: 'k' }", script(broken), &log);
    begin("next", "{ key: 'k' }", JsValue::NULL, &log);
    while log.borrow().len() < 2 {
        settle().await;
    }
    assert_eq!(*log.borrow(), ["broken", "next"]);
}
