//! Who may use the control listener, and the demo's switch.

use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

/// Asks for the server's end with these headers, and the token besides if `token` says so.
async fn ask_to_stop(world: &World, token: bool, headers: &[(&'static str, &str)]) -> Response {
    let mut request = world.client.post(format!("{}/shutdown", world.server.control_url()));
    if token {
        request = request.bearer_auth(world.server.control_token());
    }
    let headers: HeaderMap = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    request.headers(headers).send().await.unwrap()
}

#[tokio::test]
async fn without_the_token_nothing_is_told_and_nothing_is_done() {
    let world = World::new().await;
    for token in [None, Some("Bearer 00"), Some("Basic YTpi"), Some("Bearer ")] {
        for (method, path) in
            [("GET", "/arrivals"), ("PUT", "/faults"), ("POST", "/reset"), ("POST", "/shutdown"), ("GET", "/nowhere")]
        {
            let mut request = world.client.request(method.parse().unwrap(), format!("{}{path}", world.server.control_url()));
            if let Some(token) = token {
                request = request.header("authorization", token);
            }
            let reply = request.json(&json!({ "down": true })).send().await.unwrap();
            assert_eq!(reply.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
            assert_eq!(reply.headers()["www-authenticate"], "Bearer");
            assert_eq!(reply.json::<Value>().await.unwrap()["code"], "token-missing");
        }
    }
    assert_eq!(world.seen("/faults").await, json!({ "down": false, "rules": [] }));
    assert_eq!(world.post_note("still here").send().await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test]
async fn no_page_may_use_it_not_even_with_the_token() {
    let world = World::new().await;
    for page in [
        ("origin", "https://example.org"),
        ("origin", "null"),
        ("origin", "http://localhost:5173"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let reply = ask_to_stop(&world, true, &[page]).await;
        assert_eq!(reply.status(), StatusCode::FORBIDDEN, "{page:?}");
        assert!(!reply.headers().keys().any(|name| name.as_str().starts_with("access-control-")), "{:?}", reply.headers());
    }
    let preflight = world.client.request("OPTIONS".parse().unwrap(), format!("{}/shutdown", world.server.control_url()));
    let preflight = preflight.header("origin", "http://localhost:5173").header("access-control-request-method", "POST");
    let reply = preflight.header("access-control-request-headers", "authorization").send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::FORBIDDEN);
    assert!(!reply.headers().keys().any(|name| name.as_str().starts_with("access-control-")));
    assert_eq!(world.post_note("still here").send().await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_name_that_was_bound_to_loopback_is_not_the_control_listener() {
    let world = World::new().await;
    for host in ["rebound.example:80", "127.0.0.1.example.org", "192.0.2.1", ""] {
        assert_eq!(ask_to_stop(&world, true, &[("host", host)]).await.status(), StatusCode::FORBIDDEN, "{host}");
    }
    assert_eq!(ask_to_stop(&world, true, &[("host", "localhost:1")]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn each_server_has_a_token_of_its_own() {
    let [one, two] = [World::new().await, World::new().await];
    let reply = one
        .client
        .get(format!("{}/stats", one.server.control_url()))
        .bearer_auth(two.server.control_token())
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(one.server.control_token().len(), 64);
}

#[tokio::test]
async fn the_demos_switch_is_for_its_own_page_and_for_tools() {
    let world = World::with(|options| options.demo = true).await;
    let own = world.server.listen_url();
    let flip = |headers: &[(&'static str, &str)]| {
        let headers: HeaderMap = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        world.request("POST", "/demo/control").headers(headers).json(&json!({ "down": true })).send()
    };
    for foreign in [
        [("origin", "https://example.org"), ("sec-fetch-site", "cross-site")],
        [("origin", "http://localhost:5173"), ("sec-fetch-site", "same-site")],
        [("origin", "null"), ("sec-fetch-site", "same-origin")],
    ] {
        for headers in [&foreign[..], &foreign[..1]] {
            let reply = flip(headers).await.unwrap();
            assert_eq!(reply.status(), StatusCode::FORBIDDEN, "{headers:?}");
            assert!(!reply.headers().contains_key("access-control-allow-origin"));
        }
    }
    assert_eq!(world.post_note("up").send().await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(flip(&[("origin", &own), ("sec-fetch-site", "same-origin")]).await.unwrap().status(), StatusCode::OK);
    assert!(world.post_note("down").send().await.is_err());
    assert_eq!(flip(&[]).await.unwrap().status(), StatusCode::OK);
}
