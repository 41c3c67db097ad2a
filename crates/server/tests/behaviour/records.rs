//! Rows of collections, written and read by clients.

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

const ONE: &str = "0192f0c1-8a5e-7b3c-9d2e-000000000001";
const TWO: &str = "0192f0c1-8a5e-7b3c-9d2e-000000000002";

fn path(id: &str) -> String {
    format!("/api/records/tasks/{id}")
}

async fn send(request: RequestBuilder) -> (StatusCode, Value) {
    let reply = request.send().await.unwrap();
    (reply.status(), reply.json().await.unwrap())
}

async fn create(world: &World, body: Value) -> Value {
    let (status, row) = send(world.request("POST", "/api/records/tasks").json(&body)).await;
    assert_eq!(status, StatusCode::CREATED, "{row}");
    row
}

async fn listed(world: &World, query: &str) -> Value {
    send(world.request("GET", &format!("/api/records/tasks{query}"))).await.1
}

fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect()
}

fn header<'a>(reply: &'a Response, name: &str) -> &'a str {
    reply.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn a_created_row_has_what_the_server_owns_and_what_was_sent() {
    let world = World::new().await;
    let body =
        json!({ "id": ONE, "version": 9, "updatedAt": "x", "deletedAt": "y", "title": "a", "none": null, "sub": { "n": 1.5 } });
    let created = world.request("POST", "/api/records/tasks").json(&body).send().await.unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    assert_eq!((header(&created, "location"), header(&created, "etag")), (path(ONE).as_str(), "\"1\""));
    let row: Value = created.json().await.unwrap();
    let time = row["updatedAt"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");
    let whole = json!({
        "id": ONE, "version": 1, "updatedAt": time, "deletedAt": null, "title": "a", "none": null, "sub": { "n": 1.5 }
    });
    assert_eq!(row, whole);

    let shown = world.request("GET", &path(ONE)).send().await.unwrap();
    assert_eq!((shown.status(), header(&shown, "etag")), (StatusCode::OK, "\"1\""));
    assert_eq!(shown.json::<Value>().await.unwrap(), row);
    assert_eq!(world.request("GET", &path(TWO)).send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_id_that_is_no_uuid_is_the_servers_to_make() {
    let world = World::new().await;
    assert_eq!(create(&world, json!({ "title": "a" })).await["id"], "srv-1");
    let row = create(&world, json!({ "id": "mine" })).await;
    assert_eq!((&row["id"], &row["clientId"]), (&json!("srv-2"), &Value::Null));
}

#[tokio::test]
async fn an_id_is_taken_once() {
    let world = World::new().await;
    let row = create(&world, json!({ "id": ONE, "title": "a" })).await;
    let again = || world.request("POST", "/api/records/tasks").json(&json!({ "id": ONE, "title": "b" }));
    assert_eq!(send(again()).await, (StatusCode::CONFLICT, row));
    let (_, tombstone) = send(world.request("DELETE", &path(ONE))).await;
    assert_eq!(send(again()).await, (StatusCode::GONE, tombstone));
}

#[tokio::test]
async fn a_patch_merges_and_a_put_replaces() {
    let world = World::new().await;
    create(&world, json!({ "id": ONE, "title": "a", "tags": ["x"], "sub": { "a": 1, "b": 2 } })).await;
    for (kind, version) in [("application/merge-patch+json", 2), ("application/json; charset=utf-8", 3)] {
        let patch = json!({ "id": TWO, "version": 7, "title": null, "tags": ["y"], "sub": { "a": null, "c": 3 } });
        let patched =
            world.request("PATCH", &path(ONE)).header("content-type", kind).body(patch.to_string()).send().await.unwrap();
        assert_eq!((patched.status(), header(&patched, "etag")), (StatusCode::OK, format!("\"{version}\"").as_str()));
        let row: Value = patched.json().await.unwrap();
        assert_eq!((&row["id"], &row["version"], row.get("title")), (&json!(ONE), &json!(version), None));
        assert_eq!((&row["tags"], &row["sub"]), (&json!(["y"]), &json!({ "b": 2, "c": 3 })));
    }
    let (status, row) = send(world.request("PUT", &path(ONE)).json(&json!({ "deletedAt": "x", "title": "b" }))).await;
    let whole = json!({ "id": ONE, "version": 4, "updatedAt": row["updatedAt"], "deletedAt": null, "title": "b" });
    assert_eq!((status, &row), (StatusCode::OK, &whole));
    assert_eq!(send(world.request("GET", &path(ONE))).await.1, whole);
}

#[tokio::test]
async fn a_deleted_row_is_a_tombstone() {
    let world = World::new().await;
    create(&world, json!({ "id": ONE, "title": "a" })).await;
    let (status, tombstone) = send(world.request("DELETE", &path(ONE))).await;
    let time = &tombstone["updatedAt"];
    assert_eq!(status, StatusCode::OK);
    assert_eq!(tombstone, json!({ "id": ONE, "version": 2, "updatedAt": time, "deletedAt": time }));
    for request in [
        world.request("GET", &path(ONE)),
        world.request("PATCH", &path(ONE)).json(&json!({})),
        world.request("PUT", &path(ONE)).header("if-match", "\"1\"").json(&json!({})),
        world.request("DELETE", &path(ONE)).header("if-match", "\"2\""),
    ] {
        assert_eq!(send(request).await, (StatusCode::GONE, tombstone.clone()));
    }
    for (method, body) in [("PATCH", Some(json!({}))), ("PUT", Some(json!({}))), ("DELETE", None)] {
        let request = world.request(method, &path(TWO));
        let request = if let Some(body) = body { request.json(&body) } else { request };
        assert_eq!(send(request).await.0, StatusCode::NOT_FOUND, "{method}");
    }
}

#[tokio::test]
async fn if_match_of_another_version_gets_the_current_row() {
    let world = World::new().await;
    let row = create(&world, json!({ "id": ONE, "title": "a" })).await;
    let body = json!({ "title": "b" });
    for request in [
        world.request("PATCH", &path(ONE)).json(&body),
        world.request("PUT", &path(ONE)).json(&body),
        world.request("DELETE", &path(ONE)),
    ] {
        let refused = request.header("if-match", "\"2\"").send().await.unwrap();
        assert_eq!((refused.status(), header(&refused, "etag")), (StatusCode::PRECONDITION_FAILED, "\"1\""));
        assert_eq!(refused.json::<Value>().await.unwrap(), row);
    }
    let matching = |method: &str, version: &str| world.request(method, &path(ONE)).header("if-match", version.to_owned());
    assert_eq!(send(matching("PATCH", "\"1\"").json(&body)).await.0, StatusCode::OK);
    assert_eq!(send(matching("PUT", "*").json(&body)).await.0, StatusCode::OK);
    assert_eq!(send(matching("DELETE", "\"3\"")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn rows_are_listed_by_time_and_id_with_tombstones() {
    let world = World::new().await;
    let clock = async |time: &str| {
        let set = world.control("POST", "/records/tasks/options", Some(json!({ "clock": time }))).await;
        assert_eq!(set.status(), StatusCode::OK);
    };
    let [early, late] = ["2026-11-29T06:00:00.000Z", "2026-11-29T06:00:00.001Z"];
    clock(late).await;
    create(&world, json!({ "id": ONE })).await;
    clock(early).await;
    for title in ["a", "b", "c"] {
        create(&world, json!({ "title": title })).await;
    }
    send(world.request("DELETE", &path("srv-2"))).await;

    let all = listed(&world, "").await;
    assert_eq!(ids(&all), ["srv-1", "srv-2", "srv-3", ONE]);
    assert_eq!(all["items"][1], json!({ "id": "srv-2", "version": 2, "updatedAt": early, "deletedAt": early }));
    assert_eq!(all["now"], early);
    for (query, expected) in [
        (format!("?updatedSince={early}"), vec!["srv-1", "srv-2", "srv-3", ONE]),
        (format!("?updatedSince={early}&after=srv-1&limit=2"), vec!["srv-2", "srv-3"]),
        (format!("?updatedSince={early}&after=srv-3"), vec![ONE]),
        (format!("?updatedSince={late}"), vec![ONE]),
        (format!("?updatedSince={late}&after={ONE}"), vec![]),
        ("?limit=1".to_owned(), vec!["srv-1"]),
        ("?snapshot=1".to_owned(), vec![ONE, "srv-1", "srv-3"]),
        (format!("?snapshot=1&after={ONE}&limit=1"), vec!["srv-1"]),
        ("?snapshot=1&after=srv-1".to_owned(), vec!["srv-3"]),
    ] {
        assert_eq!(ids(&listed(&world, &query).await), expected, "{query}");
    }
}

#[tokio::test]
async fn a_page_has_a_hundred_rows_and_at_most_a_thousand() {
    let world = World::with(|options| options.durability = shearwater_server::Durability::Fast).await;
    let operations: Vec<Value> = (0..1_001).map(|n| json!({ "method": "POST", "data": { "n": n } })).collect();
    let filled =
        world.request("POST", "/api/records/tasks/batch").json(&json!({ "operations": operations })).send().await.unwrap();
    assert_eq!(filled.status(), StatusCode::MULTI_STATUS);
    for (query, count) in [("", 100), ("?limit=5000", 1_000), ("?snapshot=1", 100), ("?snapshot=1&limit=1001", 1_000)] {
        assert_eq!(ids(&listed(&world, query).await).len(), count, "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused() {
    let world = World::new().await;
    for query in ["?updatedSince=yesterday", "?after=x", "?limit=-1"] {
        let refused = world.request("GET", &format!("/api/records/tasks{query}")).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{query}");
    }
    for name in ["Tasks", "a_b", "%20", &"x".repeat(41)] {
        let refused = world.request("GET", &format!("/api/records/{name}")).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{name}");
    }
    let post = |kind: &str, body: &'static str| {
        world.request("POST", "/api/records/tasks").header("content-type", kind).body(body).send()
    };
    assert_eq!(post("application/json", "[]").await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(post("application/json", "{").await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(post("text/plain", "{}").await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let put = world.request("PUT", &path(ONE)).header("content-type", "application/merge-patch+json").body("{}");
    assert_eq!(put.send().await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(world.seen("/records/tasks").await, json!([]));
}

#[tokio::test]
async fn collections_do_not_see_each_other() {
    let world = World::new().await;
    let longest = "x".repeat(40);
    for name in ["tasks", "a-1", &longest] {
        let (status, row) = send(world.request("POST", &format!("/api/records/{name}")).json(&json!({ "of": name }))).await;
        assert_eq!((status, &row["id"]), (StatusCode::CREATED, &json!("srv-1")));
    }
    send(world.request("DELETE", "/api/records/a-1/srv-1")).await;
    assert_eq!(listed(&world, "").await["items"][0]["of"], "tasks");
    assert_eq!(world.seen("/records/tasks/log").await.as_array().unwrap().len(), 1);
}
