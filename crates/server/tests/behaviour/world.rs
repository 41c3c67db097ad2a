//! A server of one's own for each test, on free ports and a fresh database.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use shearwater_server::{Options, Server};
use tempfile::TempDir;

pub struct World {
    pub server: Server,
    pub client: Client,
    /// Removed with the world.
    _folder: TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            control: "127.0.0.1:0".parse().unwrap(),
            db: folder.path().join("db"),
            ..Options::default()
        };
        change(&mut options);
        let server = Server::start(options).await.unwrap();
        // A connection each, so that a cut one is never taken for a stale one.
        let client = Client::builder().pool_max_idle_per_host(0).no_proxy().build().unwrap();
        Self { server, client, _folder: folder }
    }

    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, format!("{}{path}", self.server.listen_url()))
    }

    pub fn post_note(&self, text: &str) -> RequestBuilder {
        self.request("POST", "/api/notes").json(&serde_json::json!({ "text": text }))
    }

    pub async fn control(&self, method: &str, path: &str, body: Option<Value>) -> Response {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request =
            self.client.request(method, format!("{}{path}", self.server.control_url())).bearer_auth(self.server.control_token());
        match body {
            Some(body) => request.json(&body),
            None => request,
        }
        .send()
        .await
        .unwrap()
    }

    pub async fn seen(&self, path: &str) -> Value {
        self.control("GET", path, None).await.json().await.unwrap()
    }

    pub async fn rule(&self, rule: Value) {
        let response = self.control("PUT", "/faults", Some(serde_json::json!({ "rules": [rule] }))).await;
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    }

    /// Waits until `/stats` says that so many requests are held.
    pub async fn until_held(&self, count: u64) {
        for _ in 0..500 {
            if self.seen("/stats").await["held"] == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never held {count}: {}", self.seen("/stats").await);
    }

    pub async fn texts(&self) -> Vec<String> {
        let notes = self.seen("/notes").await;
        notes.as_array().unwrap().iter().map(|note| note["text"].as_str().unwrap().to_owned()).collect()
    }
}
