//! Replies whose bodies do not end as a client hopes.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

async fn until(world: &World, what: &str, done: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..1_000 {
        let stats = world.seen("/stats").await;
        if done(&stats) {
            return stats;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never {what}: {}", world.seen("/stats").await);
}

#[tokio::test]
async fn a_stalled_reply_has_its_head_and_the_beginning_of_its_body_and_stays_open() {
    let world = World::new().await;
    let action = json!({ "status": 200, "headers": { "content-length": "20" }, "body": "hello", "stall": true, "handle": true });
    world.rule(json!({ "action": action })).await;
    let mut reply = world.post_note("kept").send().await.unwrap();
    assert_eq!((reply.status(), reply.content_length()), (StatusCode::OK, Some(20)));
    assert_eq!(reply.chunk().await.unwrap().unwrap(), "hello");
    assert!(tokio::time::timeout(Duration::from_millis(200), reply.chunk()).await.is_err(), "it went on");
    assert_eq!(world.texts().await, ["kept"]);
    assert_eq!(world.seen("/arrivals").await[0]["fault"], "rule 0: handle, answer 200, stall");
    let stats = world.seen("/stats").await;
    assert_eq!((&stats["openBodies"], &stats["bodyBytes"], &stats["inFlight"]), (&json!(1), &json!(5), &json!(0)));
    drop(reply);
    until(&world, "cancelled", |stats| stats["cancelledBodies"] == 1 && stats["openBodies"] == 0).await;
}

#[tokio::test]
async fn a_stalled_reply_without_a_length_is_chunked_and_does_not_end() {
    let world = World::new().await;
    world.rule(json!({ "action": { "status": 503, "stall": true } })).await;
    let mut reply = world.post_note("x").send().await.unwrap();
    assert_eq!((reply.status(), reply.content_length()), (StatusCode::SERVICE_UNAVAILABLE, None));
    assert!(tokio::time::timeout(Duration::from_millis(200), reply.chunk()).await.is_err(), "it ended");
}

#[tokio::test]
async fn a_flood_ends_with_its_client_and_what_was_taken_of_it_is_counted() {
    let world = World::new().await;
    world.rule(json!({ "action": { "status": 500, "flood": 1_u64 << 40 } })).await;
    let mut reply = world.post_note("x").send().await.unwrap();
    let mut read = 0;
    while read < 1_000_000 {
        read += reply.chunk().await.unwrap().unwrap().len();
    }
    drop(reply);
    let stats = until(&world, "cancelled", |stats| stats["cancelledBodies"] == 1).await;
    let sent = stats["bodyBytes"].as_u64().unwrap();
    assert!((1_000_000..200_000_000).contains(&sent), "{sent}");
    world.control("POST", "/reset", None).await;
    let stats = world.seen("/stats").await;
    assert_eq!((&stats["bodyBytes"], &stats["cancelledBodies"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn a_large_body_is_sent_to_its_end() {
    let world = World::new().await;
    let action = json!({ "status": 422, "headers": { "content-length": "10000005" }, "body": "head ", "flood": 10_000_000 });
    world.rule(json!({ "action": action })).await;
    let reply = world.post_note("x").send().await.unwrap();
    assert_eq!(reply.content_length(), Some(10_000_005));
    let body = reply.bytes().await.unwrap();
    assert_eq!((body.len(), &body[..7]), (10_000_005, &b"head .."[..]));
    let stats = until(&world, "at its end", |stats| stats["openBodies"] == 0).await;
    assert_eq!((&stats["bodyBytes"], &stats["cancelledBodies"]), (&json!(10_000_005), &json!(0)));
}

#[tokio::test]
async fn a_body_of_bytes_is_given_in_base64() {
    let world = World::new().await;
    let action = json!({ "status": 200, "headers": { "content-encoding": "br" }, "bodyBase64": "CwKAaGkD" });
    world.rule(json!({ "action": action })).await;
    let reply = world.post_note("x").send().await.unwrap();
    assert_eq!(reply.headers()["content-encoding"], "br");
    assert_eq!(*reply.bytes().await.unwrap(), [0x0b, 0x02, 0x80, 0x68, 0x69, 0x03]);
}

#[tokio::test]
async fn a_reply_may_be_hidden_from_other_origins_while_its_effect_is_there() {
    let world = World::new().await;
    world.rule(json!({ "action": { "cors": false } })).await;
    let reply = world.post_note("kept").header("origin", "http://localhost:3000").send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::CREATED);
    assert!(!reply.headers().keys().any(|name| name.as_str().starts_with("access-control-")));
    assert_eq!(world.texts().await, ["kept"]);
    assert_eq!(world.seen("/arrivals").await[0]["fault"], "rule 0: no CORS");
}

#[tokio::test]
async fn a_redirect_is_a_status_and_its_headers() {
    let world = World::new().await;
    let target = format!("{}/api/sink/there", world.server.listen_url());
    world.rule(json!({ "path": "/api/notes", "action": { "status": 307, "headers": { "location": target } } })).await;
    let reply = world.post_note("moved").send().await.unwrap();
    assert_eq!((reply.status(), reply.url().path()), (StatusCode::OK, "/api/sink/there"));
    assert_eq!(world.seen("/sink").await[0]["body"], r#"{"text":"moved"}"#);
    assert_eq!(world.texts().await, [""; 0]);
}
