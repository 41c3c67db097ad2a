use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn the_tally_counts_events_and_the_requests_that_brought_them() {
    let world = World::new().await;
    let tally = || async {
        let reply = world.request("GET", "/api/analytics").send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        reply.json::<Value>().await.unwrap()
    };
    assert_eq!(tally().await, json!({ "events": 0, "batches": 0 }));
    let three = || world.request("POST", "/api/analytics/batch").header("idempotency-key", "\"b1\"").json(&json!([1, 2, 3]));
    three().send().await.unwrap();
    assert_eq!(three().send().await.unwrap().headers()["idempotent-replayed"], "true");
    let one = world.request("POST", "/api/analytics/batch?results=array").json(&json!({ "events": [{ "name": "opened" }] }));
    one.send().await.unwrap();
    world.request("POST", "/api/sink/analytics").body("another's").send().await.unwrap();
    assert_eq!(tally().await, json!({ "events": 4, "batches": 2 }));
}
