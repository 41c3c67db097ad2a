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
    let [listen, control, token] = ["listen", "control", "controlToken"].map(|name| urls[name].as_str().unwrap());
    let note = client.post(format!("{listen}/api/notes")).json(&json!({ "text": "kept" }));
    let again = note.header("idempotency-key", "k").send().await.unwrap();
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    let arrivals: Value =
        client.get(format!("{control}/arrivals")).bearer_auth(token).send().await.unwrap().json().await.unwrap();
    assert_eq!((&arrivals[0]["n"], &arrivals[1]["n"]), (&json!(1), &json!(2)));

    let asked: Value = client.post(format!("{control}/shutdown")).bearer_auth(token).send().await.unwrap().json().await.unwrap();
    assert_eq!(asked, json!({ "ok": true }));
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn an_unknown_option_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_shearwater-server")).arg("--lisen").output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--lisen"));
}

#[tokio::test]
async fn a_control_listener_that_others_could_reach_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shearwater-server"));
        command.args(["--listen", "127.0.0.1:0", "--control", address, "--db"]).arg(folder.path().join("db"));
        let output = command.output().await.unwrap();
        assert_eq!(output.status.code(), Some(1), "{address}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(address) && said.contains("loopback"), "{said}");
        assert!(output.stdout.is_empty());
    }
}
