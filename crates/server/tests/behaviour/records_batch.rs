//! Idempotency keys of records, and batches of operations.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

const ONE: &str = "0192f0c1-8a5e-7b3c-9d2e-000000000001";
const TWO: &str = "0192f0c1-8a5e-7b3c-9d2e-000000000002";

async fn send(world: &World, operations: Value) -> Value {
    let request = world.request("POST", "/api/records/tasks/batch").json(&json!({ "operations": operations }));
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::MULTI_STATUS);
    reply.json::<Value>().await.unwrap()["results"].clone()
}

fn statuses(results: &Value) -> Vec<u64> {
    results.as_array().unwrap().iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

async fn log_length(world: &World) -> usize {
    world.seen("/records/tasks/log").await.as_array().unwrap().len()
}

#[tokio::test]
async fn a_repeated_write_gets_the_first_reply() {
    let world = World::new().await;
    let path = format!("/api/records/tasks/{ONE}");
    for (key, method, path, body) in [
        ("k1", "POST", "/api/records/tasks", json!({ "id": ONE, "n": 1 })),
        ("k2", "PATCH", &path, json!({ "n": 2 })),
        ("k3", "PUT", &path, json!({ "n": 3 })),
        ("k4", "DELETE", &path, json!({})),
        ("k5", "POST", "/api/records/tasks/batch", json!({ "operations": [{ "method": "POST", "data": {} }] })),
    ] {
        let request = || world.request(method, path).header("idempotency-key", format!("\"{key}\"")).json(&body).send();
        let first = request().await.unwrap();
        assert!(first.status().is_success() && !first.headers().contains_key("idempotent-replayed"), "{key}");
        let second = request().await.unwrap();
        assert_eq!(second.headers()["idempotent-replayed"], "true", "{key}");
        assert_eq!((second.status(), second.headers().get("etag")), (first.status(), first.headers().get("etag")));
        assert_eq!(second.bytes().await.unwrap(), first.bytes().await.unwrap());
    }
    assert_eq!(log_length(&world).await, 5);
}

#[tokio::test]
async fn a_refusal_keeps_no_key() {
    let world = World::new().await;
    let patch = || {
        let request = world.request("PATCH", "/api/records/tasks/srv-1").header("idempotency-key", "\"k1\"");
        request.json(&json!({ "n": 2 })).send()
    };
    assert_eq!(patch().await.unwrap().status(), StatusCode::NOT_FOUND);
    send(&world, json!([{ "method": "POST", "data": { "n": 1 } }])).await;
    assert_eq!(patch().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_reply_lost_after_the_commit_is_given_again() {
    let world = World::new().await;
    world.rule(json!({ "path": "/api/records/tasks", "times": 1, "action": { "drop": "after" } })).await;
    let create = || {
        let request = world.request("POST", "/api/records/tasks").header("idempotency-key", "\"k1\"");
        request.json(&json!({ "title": "a" })).send()
    };
    assert!(create().await.is_err());
    let again = create().await.unwrap();
    assert_eq!((again.status(), &again.headers()["idempotent-replayed"]), (StatusCode::CREATED, &"true".parse().unwrap()));
    assert_eq!(again.headers()["location"], "/api/records/tasks/srv-1");
    assert_eq!(world.seen("/records/tasks").await, json!([again.json::<Value>().await.unwrap()]));
}

#[tokio::test]
async fn each_operation_of_a_batch_has_a_result_of_its_own() {
    let world = World::new().await;
    let results = send(
        &world,
        json!([
            { "method": "POST", "data": { "id": ONE, "n": 1 } },
            { "method": "POST", "id": TWO, "data": { "n": 1 } },
            { "method": "POST", "data": { "id": ONE } },
            { "method": "PATCH", "id": ONE, "ifMatch": "1", "data": { "m": 2 } },
            { "method": "PATCH", "id": ONE, "ifMatch": "\"1\"", "data": { "m": 3 } },
            { "method": "PUT", "id": TWO, "ifMatch": "\"1\"", "data": { "k": 1 } },
            { "method": "DELETE", "id": TWO },
            { "method": "DELETE", "id": TWO },
            { "method": "PATCH", "id": "srv-9", "data": {} },
            { "method": "PATCH", "data": {} },
            { "method": "PATCH", "id": ONE },
            { "method": "GET", "id": ONE },
            { "method": "POST", "idempotencyKey": "", "data": {} },
        ]),
    )
    .await;
    assert_eq!(statuses(&results), [201, 201, 409, 200, 412, 200, 200, 410, 404, 400, 400, 400, 400]);
    let current = &results[3]["body"];
    assert_eq!((&current["version"], &current["n"], &current["m"]), (&json!(2), &json!(1), &json!(2)));
    assert_eq!(&results[4]["body"], current);
    assert_eq!((&results[1]["body"]["id"], &results[5]["body"]["k"]), (&json!(TWO), &json!(1)));
    assert_eq!(results[7]["body"], results[6]["body"]);
    assert_eq!(results[8]["body"]["code"], "not-found");
    assert_eq!(world.seen("/records/tasks").await, json!([current, results[6]["body"]]));

    for body in ["[]", "{}", r#"{"operations":1}"#] {
        let request = world.request("POST", "/api/records/tasks/batch").header("content-type", "application/json");
        assert_eq!(request.body(body).send().await.unwrap().status(), StatusCode::BAD_REQUEST, "{body}");
    }
}

#[tokio::test]
async fn a_key_within_a_batch_is_the_key_of_the_same_request_sent_alone() {
    let world = World::new().await;
    let first = send(&world, json!([{ "method": "POST", "idempotencyKey": "k1", "data": { "n": 1, "a": 2 } }])).await;
    let again = send(
        &world,
        json!([
            { "method": "POST", "idempotencyKey": "k1", "data": { "n": 1, "a": 2 } },
            { "method": "POST", "idempotencyKey": "k1", "data": { "n": 2 } },
        ]),
    )
    .await;
    assert_eq!(statuses(&again), [201, 422]);
    assert_eq!(again[0], first[0]);
    let alone = world.request("POST", "/api/records/tasks").header("idempotency-key", "\"k1\"");
    let alone = alone.json(&json!({ "n": 1, "a": 2 })).send().await.unwrap();
    assert_eq!(alone.headers()["idempotent-replayed"], "true");
    assert_eq!(alone.json::<Value>().await.unwrap(), first[0]["body"]);
    assert_eq!(world.seen("/records/tasks/log").await[0]["idempotencyKey"], "k1");
    assert_eq!(log_length(&world).await, 1);
}
