use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

async fn start(db: &Path) -> (Child, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_shearwater-server"))
        .args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--db"])
        .arg(db)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let line = BufReader::new(child.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

#[tokio::test]
async fn tells_where_it_listens_and_keeps_its_database_through_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("kept.db");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();

    let (mut child, urls) = start(&db).await;
    let note = client.post(format!("{}/api/notes", urls["listen"].as_str().unwrap())).json(&json!({ "text": "kept" }));
    assert_eq!(note.header("idempotency-key", "k").send().await.unwrap().status(), 201);
    child.kill().await.unwrap();

    let (mut child, urls) = start(&db).await;
    let (listen, control) = (urls["listen"].as_str().unwrap(), urls["control"].as_str().unwrap());
    let note = client.post(format!("{listen}/api/notes")).json(&json!({ "text": "kept" }));
    let again = note.header("idempotency-key", "k").send().await.unwrap();
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    let arrivals: Value = client.get(format!("{control}/arrivals")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&arrivals[0]["n"], &arrivals[1]["n"]), (&json!(1), &json!(2)));

    let asked: Value = client.post(format!("{control}/shutdown")).send().await.unwrap().json().await.unwrap();
    assert_eq!(asked, json!({ "ok": true }));
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn an_unknown_option_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_shearwater-server")).arg("--lisen").output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--lisen"));
}
