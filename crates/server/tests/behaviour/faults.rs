use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::World;

/// Sends a request over a bare socket and reads until the server closes it.
async fn raw(world: &World, text: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(world.server.listen_url().trim_start_matches("http://")).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut reply)).await;
    // A reset is a close too; only an open connection is none.
    let _ = read.expect("the connection stayed open");
    reply
}

const POST: &str = "POST /api/sink/raw HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";

#[tokio::test]
async fn down_closes_the_connection_and_records_nothing() {
    let world = World::with(|options| options.demo = true).await;
    world.control("PUT", "/faults", Some(json!({ "down": true }))).await;
    assert!(world.post_note("lost").send().await.is_err());
    assert_eq!(raw(&world, POST).await, b"");
    assert_eq!(world.seen("/arrivals/count").await, json!({ "count": 0 }));
    assert_eq!(world.seen("/stats").await["refused"], 2);

    // The demo's switch works all the same.
    let up = world.request("POST", "/demo/control").json(&json!({ "down": false })).send().await.unwrap();
    assert_eq!(up.json::<Value>().await.unwrap(), json!({ "down": false }));
    assert_eq!(world.post_note("found").send().await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test]
async fn drop_before_records_the_arrival_and_has_no_effect() {
    let world = World::new().await;
    world.rule(json!({ "path": "/api", "times": 2, "action": { "drop": "before" } })).await;
    assert!(world.post_note("lost").header("idempotency-key", "\"k1\"").send().await.is_err());
    assert_eq!(raw(&world, POST).await, b"");
    assert_eq!(world.texts().await, [""; 0]);

    let arrival = &world.seen("/arrivals").await[0];
    assert_eq!(arrival["status"], Value::Null);
    assert_eq!(arrival["fault"], "rule 0: drop before");
    assert_eq!(arrival["bodyPreview"], r#"{"text":"lost"}"#);

    let again = world.post_note("lost").header("idempotency-key", "\"k1\"").send().await.unwrap();
    assert!(!again.headers().contains_key("idempotent-replayed"));
}

#[tokio::test]
async fn drop_after_has_the_effect_and_loses_the_reply() {
    let world = World::new().await;
    world.rule(json!({ "method": "POST", "times": 2, "action": { "drop": "after" } })).await;
    assert!(world.post_note("kept").header("idempotency-key", "\"k1\"").send().await.is_err());
    assert_eq!(raw(&world, POST).await, b"");
    assert_eq!(world.texts().await, ["kept"]);
    assert_eq!(world.seen("/sink").await.as_array().unwrap().len(), 1);
    assert_eq!(world.seen("/arrivals").await[0]["status"], Value::Null);

    let again = world.post_note("kept").header("idempotency-key", "\"k1\"").send().await.unwrap();
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(world.texts().await, ["kept"]);
}

#[tokio::test]
async fn a_cut_takes_the_whole_http2_connection() {
    let world = World::new().await;
    world.rule(json!({ "action": { "drop": "before" } })).await;
    let mut stream = TcpStream::connect(world.server.listen_url().trim_start_matches("http://")).await.unwrap();
    // Preface, empty SETTINGS, and a HEADERS frame: GET http / (indexed), path "/api/x" and authority "x".
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let block = b"\x82\x86\x04\x06/api/x\x01\x01x";
    let mut frame = vec![0, 0, u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, 1];
    frame.extend_from_slice(block);
    stream.write_all(&frame).await.unwrap();
    let mut reply = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut reply)).await;
    assert!(closed.is_ok(), "the connection stayed open");
    assert_eq!(world.seen("/arrivals").await[0]["path"], "/api/x");
}

#[tokio::test]
async fn a_status_is_answered_with_its_headers_and_without_handling() {
    let world = World::new().await;
    let action = json!({ "status": 429, "headers": { "Retry-After": "7" }, "body": "slow down" });
    world.rule(json!({ "method": "POST", "path": "/api/notes", "bodyContains": "bad", "action": action })).await;
    assert_eq!(world.post_note("good").send().await.unwrap().status(), StatusCode::CREATED);
    let refused = world.post_note("bad").header("origin", "http://localhost:3000").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "7");
    assert_eq!(refused.headers()["access-control-allow-origin"], "http://localhost:3000");
    assert!(refused.headers().contains_key("date"));
    assert_eq!(refused.text().await.unwrap(), "slow down");
    assert_eq!(world.texts().await, ["good"]);
    assert_eq!(world.seen("/arrivals").await[1]["status"], 429);
    let rule = &world.seen("/faults").await["rules"][0];
    assert_eq!([&rule["matched"], &rule["applied"]], [1, 1]);
}

#[tokio::test]
async fn handle_commits_and_then_answers_the_status() {
    let world = World::new().await;
    world.rule(json!({ "action": { "status": 503, "handle": true } })).await;
    assert_eq!(world.post_note("kept").send().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.texts().await, ["kept"]);
}

#[tokio::test]
async fn delay_waits_and_then_handles() {
    let world = World::new().await;
    world.rule(json!({ "skip": 1, "action": { "delayMs": 150 } })).await;
    // How long this one takes is for the machine to say.
    assert_eq!(world.post_note("not delayed").send().await.unwrap().status(), StatusCode::CREATED);
    let started = Instant::now();
    assert_eq!(world.post_note("slow").send().await.unwrap().status(), StatusCode::CREATED);
    assert!(started.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_held_request_is_handled_on_release_even_if_its_client_has_gone() {
    let world = World::new().await;
    world.rule(json!({ "action": { "hold": true } })).await;
    let gone = tokio::spawn(world.post_note("gone").send());
    world.until_held(1).await;
    gone.abort();
    let waiting = tokio::spawn(world.post_note("waiting").send());
    world.until_held(2).await;
    let stats = world.seen("/stats").await;
    for (name, count) in [("refused", 0), ("inFlight", 2), ("held", 2), ("maxInFlight", 2)] {
        assert_eq!(stats[name], count, "{name}");
    }
    world.control("POST", "/release", None).await;
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::CREATED);
    for _ in 0..500 {
        if world.seen("/stats").await["inFlight"] == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.texts().await.len(), 2);
}

#[tokio::test]
async fn reset_gives_up_what_is_held_and_starts_numbers_anew() {
    let world = World::new().await;
    world.post_note("old").send().await.unwrap();
    world.rule(json!({ "action": { "hold": true } })).await;
    let held = tokio::spawn(world.post_note("held").send());
    world.until_held(1).await;
    world.control("POST", "/reset", None).await;
    assert!(held.await.unwrap().is_err());
    assert_eq!(world.seen("/arrivals").await, json!([]));
    assert_eq!(world.texts().await, [""; 0]);
    let created: Value = world.post_note("new").send().await.unwrap().json().await.unwrap();
    assert_eq!(created["id"], 1);
    assert_eq!(world.seen("/arrivals").await[0]["n"], 1);
}

#[tokio::test]
async fn a_fault_set_that_cannot_be_carried_out_changes_nothing() {
    let world = World::new().await;
    let bad = json!({ "down": true, "rules": [{ "action": { "status": 42 } }] });
    assert_eq!(world.control("PUT", "/faults", Some(bad)).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(world.seen("/faults").await, json!({ "down": false, "rules": [] }));
}
