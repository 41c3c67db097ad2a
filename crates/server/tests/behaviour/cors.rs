use crate::world::World;

#[tokio::test]
async fn a_preflight_from_this_machine_is_allowed_and_recorded() {
    let world = World::new().await;
    let ask = |origin: &str| {
        world
            .request("OPTIONS", "/api/notes")
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "idempotency-key,x-mine")
            .send()
    };
    let allowed = ask("http://localhost:5173").await.unwrap();
    assert_eq!(allowed.status(), 204);
    assert_eq!(allowed.headers()["access-control-allow-origin"], "http://localhost:5173");
    assert_eq!(allowed.headers()["access-control-allow-methods"], "PUT");
    assert_eq!(allowed.headers()["access-control-allow-headers"], "idempotency-key,x-mine");
    let foreign = ask("https://example.org").await.unwrap();
    assert!(!foreign.headers().contains_key("access-control-allow-origin"));
    assert_eq!(world.seen("/arrivals").await[0]["method"], "OPTIONS");
}

#[tokio::test]
async fn a_reply_exposes_what_a_client_needs() {
    let world = World::new().await;
    let reply = world.post_note("x").header("origin", "http://127.0.0.1:1").send().await.unwrap();
    let exposed = reply.headers()["access-control-expose-headers"].to_str().unwrap();
    for name in ["Location", "ETag", "Retry-After", "RateLimit", "Idempotent-Replayed", "Date"] {
        assert!(exposed.contains(name), "{name}");
    }
}
