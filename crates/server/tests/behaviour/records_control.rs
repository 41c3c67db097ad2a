//! What tests see of collections, set for them and write into them.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

const ONE: &str = "0192f0c1-8a5e-7b3c-9d2e-000000000001";
const NOON: &str = "2026-11-29T12:00:00.000Z";

async fn create(world: &World, body: Value) -> Value {
    world.request("POST", "/api/records/tasks").json(&body).send().await.unwrap().json().await.unwrap()
}

async fn patch(world: &World, id: &str) -> Value {
    let request = world.request("PATCH", &format!("/api/records/tasks/{id}")).json(&json!({ "done": true }));
    request.send().await.unwrap().json().await.unwrap()
}

async fn options(world: &World, options: Value) -> Value {
    let reply = world.control("POST", "/records/tasks/options", Some(options)).await;
    assert_eq!(reply.status(), StatusCode::OK);
    reply.json().await.unwrap()
}

async fn write(world: &World, body: Value) -> (StatusCode, Value) {
    let reply = world.control("POST", "/records/tasks", Some(body)).await;
    (reply.status(), reply.json().await.unwrap())
}

#[tokio::test]
async fn options_are_merged_shown_and_reset() {
    let world = World::new().await;
    let defaults = json!({ "assignIds": false, "clock": null, "commitDelay": 0 });
    assert_eq!(world.seen("/records/tasks/options").await, defaults);
    options(&world, json!({ "assignIds": true, "clock": NOON })).await;
    let changed = options(&world, json!({ "commitDelay": 5, "clock": null })).await;
    assert_eq!(changed, json!({ "assignIds": true, "clock": null, "commitDelay": 5 }));
    assert_eq!(world.seen("/records/others/options").await, defaults);
    for bad in [json!({ "clock": "noon" }), json!({ "assignId": true })] {
        assert_eq!(world.control("POST", "/records/tasks/options", Some(bad)).await.status(), StatusCode::BAD_REQUEST);
    }
    create(&world, json!({})).await;
    world.control("POST", "/reset", None).await;
    assert_eq!(world.seen("/records/tasks/options").await, defaults);
    assert_eq!([world.seen("/records/tasks").await, world.seen("/records/tasks/log").await], [json!([]), json!([])]);
}

#[tokio::test]
async fn assigned_ids_keep_the_clients() {
    let world = World::new().await;
    options(&world, json!({ "assignIds": true })).await;
    for id in ["srv-1", "srv-2"] {
        let row = create(&world, json!({ "id": ONE, "title": "a" })).await;
        assert_eq!((&row["id"], &row["clientId"], &row["version"]), (&json!(id), &json!(ONE), &json!(1)));
    }
    assert_eq!(create(&world, json!({ "title": "b" })).await.get("clientId"), None);
}

#[tokio::test]
async fn a_fixed_clock_makes_ties_and_goes_back() {
    let world = World::new().await;
    let real = create(&world, json!({})).await;
    options(&world, json!({ "clock": NOON })).await;
    for id in ["srv-2", "srv-3"] {
        let row = create(&world, json!({})).await;
        assert_eq!((&row["id"], &row["updatedAt"]), (&json!(id), &json!(NOON)));
    }
    let past = "2001-01-01T00:00:00.000Z";
    options(&world, json!({ "clock": past })).await;
    let back = patch(&world, "srv-1").await;
    assert_eq!((&back["version"], &back["updatedAt"]), (&json!(2), &json!(past)));
    options(&world, json!({ "clock": null })).await;
    assert!(patch(&world, "srv-1").await["updatedAt"].as_str() >= real["updatedAt"].as_str());
}

#[tokio::test]
async fn without_a_fixed_clock_a_row_never_goes_back_in_time() {
    let world = World::new().await;
    let future = "2999-01-01T00:00:00.000Z";
    options(&world, json!({ "clock": future })).await;
    create(&world, json!({})).await;
    options(&world, json!({ "clock": null })).await;
    let row = patch(&world, "srv-1").await;
    assert_eq!((&row["version"], &row["updatedAt"]), (&json!(2), &json!(future)));
}

#[tokio::test]
async fn a_delayed_commit_shows_a_row_later_than_its_time() {
    let world = World::new().await;
    options(&world, json!({ "commitDelay": 1_500 })).await;
    let request = world.request("POST", "/api/records/tasks").json(&json!({ "title": "late" })).send();
    let late = tokio::spawn(request);
    // Arrived, so its time is taken about now.
    while world.seen("/arrivals/count").await["count"] == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (_, direct) = write(&world, json!({ "id": "b", "data": {} })).await;
    assert_eq!(world.seen("/records/tasks").await, json!([direct]));
    let late: Value = late.await.unwrap().unwrap().json().await.unwrap();
    assert!(late["updatedAt"].as_str() < direct["updatedAt"].as_str(), "{late} {direct}");
    assert_eq!(world.seen("/records/tasks").await, json!([late, direct]));
    assert_eq!(world.seen("/records/tasks/log").await[0]["id"], "b");
}

#[tokio::test]
async fn the_log_has_every_effect_in_the_order_of_commit() {
    let world = World::new().await;
    let keyed = world.request("POST", "/api/records/tasks").header("idempotency-key", "\"k1\"");
    keyed.json(&json!({ "id": ONE, "version": 3, "n": 1 })).send().await.unwrap();
    patch(&world, ONE).await;
    let path = format!("/api/records/tasks/{ONE}");
    world.request("PUT", &path).json(&json!({ "n": 2 })).send().await.unwrap();
    world.request("PUT", &path).header("if-match", "\"1\"").json(&json!({ "n": 3 })).send().await.unwrap();
    world.request("DELETE", &path).send().await.unwrap();
    write(&world, json!({ "id": ONE, "data": { "n": 4 } })).await;
    let line = |seq: u32, op: &str, data: Value, key: Option<&str>| json!({ "seq": seq, "id": ONE, "version": seq, "op": op, "data": data, "idempotencyKey": key });
    let expected = json!([
        line(1, "create", json!({ "n": 1 }), Some("k1")),
        line(2, "patch", json!({ "done": true }), None),
        line(3, "replace", json!({ "n": 2 }), None),
        line(4, "delete", Value::Null, None),
        line(5, "control", json!({ "n": 4 }), None),
    ]);
    assert_eq!(world.seen("/records/tasks/log").await, expected);
}

#[tokio::test]
async fn a_direct_write_is_that_of_another_client() {
    let world = World::new().await;
    let (status, row) = write(&world, json!({ "id": "x y", "data": { "id": "other", "n": 1 } })).await;
    let whole = json!({ "id": "x y", "version": 1, "updatedAt": row["updatedAt"], "deletedAt": null, "n": 1 });
    assert_eq!((status, row), (StatusCode::OK, whole));
    assert_eq!(write(&world, json!({ "id": "x y", "data": { "m": 1 } })).await.1["version"], 2);
    let (_, tombstone) = write(&world, json!({ "id": "x y", "deleted": true })).await;
    assert_eq!((&tombstone["version"], &tombstone["deletedAt"]), (&json!(3), &tombstone["updatedAt"]));
    assert_eq!(world.request("GET", "/api/records/tasks/x%20y").send().await.unwrap().status(), StatusCode::GONE);
    assert_eq!(world.seen("/records/tasks").await, json!([tombstone]));
    for bad in [json!({}), json!({ "id": "a" }), json!({ "data": {} }), json!({ "id": "a", "data": {}, "deleted": true })] {
        assert_eq!(write(&world, bad.clone()).await.0, StatusCode::BAD_REQUEST, "{bad}");
    }
    assert_eq!(world.seen("/arrivals/count?path=/api/records").await["count"], 1);
}

#[tokio::test]
async fn a_raw_row_is_listed_as_it_is() {
    let world = World::new().await;
    options(&world, json!({ "clock": NOON })).await;
    let raws = [
        json!({ "id": "a", "version": "three", "updatedAt": "2001-01-01T00:00:00.000Z" }),
        json!({ "id": "b", "version": 7, "title": "no time" }),
        json!({ "id": 5, "updatedAt": "soon" }),
        json!("no object"),
    ];
    for raw in &raws {
        assert_eq!(write(&world, json!({ "raw": raw })).await, (StatusCode::OK, raw.clone()));
    }
    let list: Value = world.request("GET", "/api/records/tasks").send().await.unwrap().json().await.unwrap();
    assert_eq!(list["items"], json!(raws));
    let since = world.request("GET", &format!("/api/records/tasks?updatedSince={NOON}")).send().await.unwrap();
    assert_eq!(since.json::<Value>().await.unwrap()["items"], json!(raws[1..]));
    let row = patch(&world, "b").await;
    assert_eq!((&row["version"], &row["title"], &row["updatedAt"]), (&json!(8), &json!("no time"), &json!(NOON)));
}

#[tokio::test]
async fn collections_are_shown_to_those_who_have_the_token() {
    let world = World::new().await;
    for path in ["/records/tasks", "/records/tasks/log", "/records/tasks/options"] {
        let reply = world.client.get(format!("{}{path}", world.server.control_url())).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}
