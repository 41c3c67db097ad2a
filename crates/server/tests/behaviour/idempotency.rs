use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn a_repeat_gets_the_first_reply_and_has_no_effect() {
    let world = World::new().await;
    let first = world.post_note("once").header("idempotency-key", "\"k1\"").send().await.unwrap();
    assert_eq!(first.status(), StatusCode::CREATED);
    assert!(!first.headers().contains_key("idempotent-replayed"));
    let location = first.headers()["location"].clone();
    let first: Value = first.json().await.unwrap();

    // The same key, bare this time.
    let second = world.post_note("once").header("idempotency-key", "k1").send().await.unwrap();
    assert_eq!(second.status(), StatusCode::CREATED);
    assert_eq!(second.headers()["idempotent-replayed"], "true");
    assert_eq!(second.headers()["location"], location);
    assert_eq!(second.json::<Value>().await.unwrap(), first);

    assert_eq!(world.texts().await, ["once"]);
    let arrivals = world.seen("/arrivals").await;
    assert_eq!([&arrivals[0]["replayed"], &arrivals[1]["replayed"]], [&json!(false), &json!(true)]);
}

#[tokio::test]
async fn a_key_used_for_something_else_is_refused() {
    let world = World::new().await;
    let keyed = |request: reqwest::RequestBuilder| request.header("idempotency-key", "\"k1\"").send();
    keyed(world.post_note("one")).await.unwrap();
    for other in [
        world.post_note("two"),
        world.request("POST", "/api/notes?x=1").json(&json!({ "text": "one" })),
        world.request("PUT", "/api/sink/x").body("one"),
    ] {
        let refused = keyed(other).await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["type"], "urn:shearwater:problem:idempotency-key-reused");
    }
    assert_eq!(world.texts().await, ["one"]);
}

#[tokio::test]
async fn a_repeat_while_the_first_is_running_gets_409_and_later_the_reply() {
    let world = World::new().await;
    world.rule(json!({ "times": 1, "action": { "hold": true } })).await;
    let keyed = || world.post_note("slow").header("idempotency-key", "\"k1\"");
    let first = tokio::spawn(keyed().send());
    world.until_held(1).await;

    let second = keyed().send().await.unwrap();
    assert_eq!(second.status(), StatusCode::CONFLICT);
    assert_eq!(second.headers()["retry-after"], "1");
    assert_eq!(second.json::<Value>().await.unwrap()["code"], "idempotency-key-in-use");

    assert_eq!(world.control("POST", "/release", None).await.json::<Value>().await.unwrap(), json!({ "released": 1 }));
    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::CREATED);
    let third = keyed().send().await.unwrap();
    assert_eq!(third.headers()["idempotent-replayed"], "true");
    assert_eq!(world.texts().await, ["slow"]);
}

#[tokio::test]
async fn a_refusal_keeps_no_key() {
    let world = World::new().await;
    let keyed = |text: &str| world.post_note(text).header("idempotency-key", "\"k1\"").send();
    assert_eq!(keyed("").await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(keyed("now").await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_malformed_key_is_a_bad_request() {
    let world = World::new().await;
    let refused = world.post_note("x").header("idempotency-key", "\"open").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(world.seen("/arrivals").await[0]["idempotencyKey"], "\"open");
}

#[tokio::test]
async fn many_at_once_with_one_key_have_one_effect() {
    let world = World::new().await;
    let sends: Vec<_> =
        (0..30).map(|_| tokio::spawn(world.post_note("one").header("idempotency-key", "\"k1\"").send())).collect();
    for send in sends {
        let status = send.await.unwrap().unwrap().status();
        assert!(status == StatusCode::CREATED || status == StatusCode::CONFLICT, "{status}");
    }
    assert_eq!(world.texts().await, ["one"]);
}
