use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn takes_any_method_and_says_which_arrival_it_was() {
    let world = World::new().await;
    for (at, method) in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"].iter().enumerate() {
        let reply = world.request(method, "/api/sink/a/b?c=d").body("x").send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK, "{method}");
        assert_eq!(reply.json::<Value>().await.unwrap(), json!({ "arrival": at + 1 }), "{method}");
    }
    let head = world.request("HEAD", "/api/sink").send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(head.text().await.unwrap(), "");
    let sink = world.seen("/sink").await;
    assert_eq!(sink.as_array().unwrap().len(), 8);
    assert_eq!((&sink[6]["method"], &sink[6]["path"]), (&json!("PURGE"), &json!("/api/sink/a/b?c=d")));
    assert_eq!(sink[7]["method"], "HEAD");
}

#[tokio::test]
async fn keeps_texts_and_hashes_and_the_order_of_commit() {
    let world = World::new().await;
    world.rule(json!({ "times": 1, "action": { "hold": true } })).await;
    let late = tokio::spawn(world.request("POST", "/api/sink/late").body("first").send());
    world.until_held(1).await;
    world.request("POST", "/api/sink/bytes").body(vec![0xff]).send().await.unwrap();
    world.control("POST", "/release", None).await;
    late.await.unwrap().unwrap();
    let sink = world.seen("/sink").await;
    assert_eq!((&sink[0]["n"], &sink[0]["body"], &sink[0]["bodySize"]), (&json!(2), &Value::Null, &json!(1)));
    assert_eq!((&sink[1]["n"], &sink[1]["body"]), (&json!(1), &json!("first")));
}

#[tokio::test]
async fn honours_keys_by_any_method() {
    let world = World::new().await;
    for method in ["GET", "PATCH"] {
        for replayed in [false, true] {
            let request = world.request(method, "/api/sink/x").header("idempotency-key", method);
            let reply = request.send().await.unwrap();
            assert_eq!(reply.headers().contains_key("idempotent-replayed"), replayed, "{method}");
        }
    }
    assert_eq!(world.seen("/sink").await.as_array().unwrap().len(), 2);
}
