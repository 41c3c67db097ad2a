use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::world::World;

#[tokio::test]
async fn numbers_follow_the_order_of_the_heads_not_of_the_replies() {
    let world = World::new().await;
    world.rule(json!({ "times": 1, "action": { "hold": true } })).await;
    let first = tokio::spawn(world.post_note("first").send());
    world.until_held(1).await;
    let second: Value = world.post_note("second").send().await.unwrap().json().await.unwrap();
    world.control("POST", "/release", None).await;
    first.await.unwrap().unwrap();

    assert_eq!(second["id"], 1);
    let arrivals = world.seen("/arrivals?path=/api/notes&after=0").await;
    assert_eq!((&arrivals[0]["n"], &arrivals[0]["bodyPreview"]), (&json!(1), &json!(r#"{"text":"first"}"#)));
    assert_eq!((&arrivals[1]["n"], &arrivals[1]["bodyPreview"]), (&json!(2), &json!(r#"{"text":"second"}"#)));
    assert_eq!(world.seen("/arrivals?after=1").await.as_array().unwrap().len(), 1);
    assert_eq!(world.seen("/arrivals/count?path=/api/sink").await, json!({ "count": 0 }));
}

#[tokio::test]
async fn an_arrival_tells_all_of_its_request() {
    let world = World::new().await;
    let request = world.request("PATCH", "/api/notes?x=1").header("idempotency-key", "\"k\"").header("x-a", "b");
    assert_eq!(request.body("hi").send().await.unwrap().status(), 405);
    let arrival = &world.seen("/arrivals").await[0];
    assert_eq!(arrival["method"], "PATCH");
    assert_eq!(arrival["path"], "/api/notes?x=1");
    assert_eq!(arrival["idempotencyKey"], "k");
    assert_eq!(arrival["headers"]["x-a"], "b");
    assert_eq!(arrival["bodySha256"], Sha256::digest("hi").iter().map(|b| format!("{b:02x}")).collect::<String>());
    assert_eq!(arrival["bodySize"], 2);
    assert_eq!(arrival["status"], 405);
    assert_eq!(arrival["fault"], Value::Null);
}

#[tokio::test]
async fn paths_that_are_not_there_are_recorded_too() {
    let world = World::new().await;
    assert_eq!(world.request("POST", "/api/nowhere/at/all").send().await.unwrap().status(), 404);
    assert_eq!(world.request("GET", "/elsewhere").send().await.unwrap().status(), 404);
    assert_eq!(world.seen("/arrivals/count").await, json!({ "count": 1 }));
}

#[tokio::test]
async fn a_client_that_dies_in_the_body_is_recorded_and_has_no_effect() {
    let world = World::new().await;
    let mut stream = TcpStream::connect(world.server.listen_url().trim_start_matches("http://")).await.unwrap();
    stream.write_all(b"POST /api/sink/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    while world.seen("/arrivals/count").await["count"] == 0 {}
    drop(stream);
    while world.seen("/stats").await["inFlight"] != 0 {}
    let arrival = &world.seen("/arrivals").await[0];
    assert_eq!((&arrival["fault"], &arrival["bodySha256"]), (&json!("body incomplete"), &Value::Null));
    assert_eq!(world.seen("/sink").await, json!([]));
}

#[tokio::test]
async fn a_thousand_at_once_are_all_there_in_order() {
    let world = World::new().await;
    let sends: Vec<_> = (0..1_000)
        .map(|at| world.request("POST", &format!("/api/sink/{at}")).header("idempotency-key", at.to_string()))
        .map(|request| tokio::spawn(request.send()))
        .collect();
    for send in sends {
        assert_eq!(send.await.unwrap().unwrap().status(), 200);
    }
    let arrivals = world.seen("/arrivals").await;
    let numbers: Vec<_> = arrivals.as_array().unwrap().iter().map(|a| a["n"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=1_000).collect::<Vec<_>>());
    assert_eq!(world.seen("/sink").await.as_array().unwrap().len(), 1_000);
}
