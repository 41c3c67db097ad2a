use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{awaited, code, message, script};
use crate::{
    face::request::{Body, Taken, metadata, take, take_change},
    js,
};

fn taken(input: &str) -> Taken {
    take(&script(input)).unwrap_or_else(|error| panic!("{input}: {}", message(&error)))
}

/// Why a request is not taken.
fn refusal(input: &str) -> String {
    let Err(error) = take(&script(input)) else { panic!("{input} was taken") };
    assert_eq!(code(&error), "invalid-request", "{input}");
    message(&error)
}

/// The text of a taken body; nothing for none.
async fn text(body: Body) -> Option<String> {
    let body = body.arrive().await.unwrap();
    if body.is_null() {
        return None;
    }
    let make = js_sys::Function::new_with_args("body", "return new Response(Array.isArray(body) ? new Blob(body) : body).text()");
    awaited(&make.call1(&JsValue::NULL, &body).unwrap()).await.unwrap().as_string()
}

fn content_type(taken: &Taken) -> Option<&str> {
    taken.head.headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str())
}

#[wasm_bindgen_test]
async fn a_request_is_taken_with_its_headers_options_and_body() {
    let taken = taken(
        "new Request('/note?a=1', { method: 'put', body: 'text', headers: { 'X-A': '1' }, credentials: 'include', redirect: 'manual', cache: 'no-store' })",
    );
    assert_eq!(taken.head.url, format!("{}/note?a=1", js::get(&js::global("location"), "origin").as_string().unwrap()));
    assert_eq!(taken.head.method, "PUT");
    assert_eq!(content_type(&taken), Some("text/plain;charset=UTF-8"));
    assert!(taken.head.headers.contains(&("x-a".to_owned(), "1".to_owned())));
    assert_eq!((taken.head.credentials.as_deref(), taken.head.redirect.as_deref()), (Some("include"), Some("manual")));
    assert_eq!((taken.head.cache.as_deref(), taken.head.mode.as_deref(), taken.head.integrity), (Some("no-store"), None, None));
    assert_eq!(text(taken.body).await.as_deref(), Some("text"));
}

#[wasm_bindgen_test]
async fn a_request_that_was_taken_can_still_be_fetched() {
    let request = script("new Request('/note', { method: 'POST', body: 'text' })");
    let taken = take(&request).ok().unwrap();
    assert_eq!(text(taken.body).await.as_deref(), Some("text"));
    assert_eq!(js::get(&request, "bodyUsed"), false);
}

#[wasm_bindgen_test]
async fn a_request_without_a_body_has_none() {
    assert_eq!(text(taken("new Request('/note', { method: 'POST' })").body).await, None);
    assert_eq!(text(taken("new Request('/note')").body).await, None);
}

#[wasm_bindgen_test]
async fn a_request_whose_body_was_read_is_refused() {
    let request = script(
        "(() => { const request = new Request('/note', { method: 'POST', body: 'text' }); request.text(); return request; })()",
    );
    let error = take(&request).err().unwrap();
    assert!(message(&error).contains("already read"), "{}", message(&error));
}

#[wasm_bindgen_test]
fn an_object_is_taken_as_fetch_would_take_it() {
    let taken = taken("{ url: new URL('/note', location), headers: [['X-A', '1'], ['x-a', '2']], method: 'patch' }");
    assert!(taken.head.url.ends_with("/note") && taken.head.url.starts_with("http"));
    assert_eq!(taken.head.method, "patch", "only some methods are normalised");
    assert_eq!(taken.head.headers, [("x-a".to_owned(), "1, 2".to_owned())]);
    assert_eq!(self::taken("{ url: '/x' }").head.method, "GET");
    assert_eq!(self::taken("{ url: '/x', body: 'x' }").head.method, "POST");
    assert_eq!(self::taken("{ url: '/x', method: 'delete' }").head.method, "DELETE");
}

#[wasm_bindgen_test]
async fn each_kind_of_body_has_the_bytes_and_the_type_that_fetch_gives_it() {
    for body in [
        "'tëxt'",
        "new URLSearchParams({ a: 'b c', d: '&' })",
        "new Blob(['blob'], { type: 'image/png' })",
        "new Blob(['blob'])",
        "new File(['file'], 'name', { type: 'text/csv' })",
        "new TextEncoder().encode('bytes').buffer",
        "new TextEncoder().encode('bytes')",
        "new DataView(new TextEncoder().encode('0bytes9').buffer, 1, 5)",
        "new Uint16Array([26984])",
    ] {
        let theirs = script(&format!("new Request('/', {{ method: 'POST', body: {body} }})"));
        let their_type = js::get(&theirs, "headers").unchecked_into::<web_sys::Headers>();
        let their_type =
            js_sys::Function::new_with_args("headers", "return headers.get('content-type')").call1(&JsValue::NULL, &their_type);
        let reading = js::get(&theirs, "text").unchecked_into::<js_sys::Function>().call0(&theirs).unwrap();
        let their_text = awaited(&reading).await.unwrap().as_string();
        let ours = taken(&format!("{{ url: '/', body: {body} }}"));
        assert_eq!(content_type(&ours).map(str::to_owned), their_type.unwrap().as_string(), "{body}");
        assert_eq!(text(ours.body).await, their_text, "{body}");
    }
}

#[wasm_bindgen_test]
async fn plain_data_is_sent_as_json() {
    for (body, json) in [
        ("{ a: [1, null] }", r#"{"a":[1,null]}"#),
        ("[]", "[]"),
        ("Object.create(null)", "{}"),
        ("new (class { toJSON() { return 'own'; } })()", "\"own\""),
        ("new Date(0)", "\"1970-01-01T00:00:00.000Z\""),
    ] {
        let taken = taken(&format!("{{ url: '/', body: {body} }}"));
        assert_eq!(content_type(&taken), Some("application/json"), "{body}");
        assert_eq!(text(taken.body).await.as_deref(), Some(json), "{body}");
    }
    let own = taken("{ url: '/', body: {}, headers: { 'Content-Type': 'application/ld+json' } }");
    assert_eq!(content_type(&own), Some("application/ld+json"));
}

#[wasm_bindgen_test]
async fn a_stream_is_read_to_its_end() {
    let taken = taken("{ url: '/', body: new Response('streamed').body }");
    assert_eq!(text(taken.body).await.as_deref(), Some("streamed"));
}

#[wasm_bindgen_test]
async fn a_body_is_taken_as_it_is_at_the_call() {
    let input = script(
        "(() => { const bytes = new Uint8Array([97]); const form = new FormData(); form.append('a', '1'); return { bytes, form }; })()",
    );
    let take_body = |name: &str| {
        let request = js_sys::Object::new();
        js::set(&request, "url", &"/".into());
        js::set(&request, "body", &js_sys::Reflect::get(&input, &name.into()).unwrap());
        take(&request).ok().unwrap().body
    };
    let (bytes, form) = (take_body("bytes"), take_body("form"));
    js_sys::Function::new_with_args("input", "input.bytes[0] = 98; input.form.append('b', '2');")
        .call1(&JsValue::NULL, &input)
        .unwrap();
    assert_eq!(text(bytes).await.as_deref(), Some("a"));
    let form = text(form).await.unwrap();
    assert!(form.contains("name=\"a\"") && !form.contains("name=\"b\""), "{form}");
}

#[wasm_bindgen_test]
async fn what_is_of_a_frame_is_as_good_as_the_pages_own() {
    let frame =
        "(() => { const frame = document.body.appendChild(document.createElement('iframe')); return frame.contentWindow; })()";
    script(&format!("self.frame = {frame}"));
    let request = taken("new self.frame.Request('/note', { method: 'POST', body: 'text' })");
    assert_eq!(text(request.body).await.as_deref(), Some("text"));
    let params = taken("{ url: '/', body: new self.frame.URLSearchParams({ a: 1 }) }");
    assert_eq!(text(params.body).await.as_deref(), Some("a=1"));
    let data = taken("{ url: '/', body: new self.frame.Object() }");
    assert_eq!(content_type(&data), Some("application/json"));
    script("self.frame.frameElement.remove()");
}

#[wasm_bindgen_test]
fn large_bodies_travel_as_a_blob_and_small_ones_as_bytes() {
    for (length, class) in [(65_536, "ArrayBuffer"), (65_537, "Blob")] {
        let Body::Here(body) = taken(&format!("{{ url: '/', body: 'x'.repeat({length}) }}")).body else { panic!("it is here") };
        assert_eq!(js::class_of(&body), class);
    }
}

#[wasm_bindgen_test]
fn what_fetch_would_not_take_is_refused_by_name() {
    for (input, named) in [
        ("'text'", "a request is"),
        ("null", "a request is"),
        ("{}", "url is missing"),
        ("{ url: 'http://' }", "http://"),
        ("{ url: '/', headers: { 'a b': '1' } }", "headers"),
        ("{ url: '/', method: 1 }", "method"),
        ("{ url: '/', cache: {} }", "cache"),
        ("{ url: '/', signal: {} }", "signal"),
        ("{ url: '/', bdoy: '' }", "bdoy"),
        ("{ url: '/', queue: 'q' }", "second argument"),
        ("{ url: '/', body: new Map() }", "Map"),
        ("{ url: '/', body: Promise.resolve() }", "Promise"),
        ("{ url: '/', body: Symbol() }", "body"),
        ("{ url: '/', body: (() => { const a = {}; a.a = a; return a; })() }", "body"),
        (
            "{ url: '/', body: (() => { const buffer = new ArrayBuffer(1); structuredClone(buffer, { transfer: [buffer] }); return buffer; })() }",
            "body",
        ),
    ] {
        let refusal = refusal(input);
        assert!(refusal.contains(named), "{input}: {refusal}");
    }
}

#[wasm_bindgen_test]
fn what_means_nothing_to_a_queue_is_ignored() {
    taken("{ url: '/', keepalive: true, priority: 'high', duplex: 'half', window: null }");
}

#[wasm_bindgen_test]
fn a_signal_is_handed_on() {
    let request = taken("{ url: '/', signal: AbortSignal.abort('why') }");
    assert_eq!(js::get(&request.signal, "reason"), "why");
    assert_eq!(js::get(&taken("new Request('/', { signal: AbortSignal.abort() })").signal, "aborted"), true);
}

#[wasm_bindgen_test]
fn a_change_leaves_alone_what_it_does_not_name() {
    let (change, headers, body) = take_change(&script("{ method: 'put' }")).ok().unwrap();
    assert_eq!((change.head.method.as_str(), change.head.url.as_str(), headers, body), ("PUT", "", false, false));
    let (change, headers, body) = take_change(&script("{ headers: {}, body: null, cache: 'default' }")).ok().unwrap();
    assert_eq!((change.head.cache.as_deref(), headers, body), (Some("default"), true, true));
    let (change, headers, body) = take_change(&script("new Request('/other', { method: 'POST' })")).ok().unwrap();
    assert!(change.head.url.ends_with("/other") && headers && body);
    assert_eq!(change.head.credentials.as_deref(), Some("same-origin"), "all of them, as they are its own");
}

#[wasm_bindgen_test]
fn metadata_is_plain_data() {
    assert_eq!(metadata(&JsValue::UNDEFINED).unwrap(), None);
    assert_eq!(metadata(&script("{ a: 1 }")).unwrap().as_deref(), Some(r#"{"a":1}"#));
    assert!(message(&metadata(&script("new Set()")).unwrap_err()).contains("Set"));
}
