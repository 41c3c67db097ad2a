use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::World;

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn attachments_arrive_byte_exact() {
    let world = World::new().await;
    // Past what is held in memory, and empty.
    let photo: Vec<u8> = (0..3_000_001_u32).map(|at| u8::try_from(at % 256).unwrap()).collect();
    let form = Form::new()
        .text("text", "two files, über")
        .part("photo", Part::bytes(photo.clone()).file_name("a b.jpg").mime_str("image/jpeg").unwrap())
        .part("other", Part::bytes(Vec::new()).file_name("none.bin"));
    let created = world.request("POST", "/api/notes").multipart(form).send().await.unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    let note: Value = created.json().await.unwrap();
    assert_eq!(note["text"], "two files, über");
    let attachment = &note["attachments"][0];
    assert_eq!(attachment["name"], "a b.jpg");
    assert_eq!(attachment["type"], "image/jpeg");
    assert_eq!(attachment["size"], 3_000_001);
    assert_eq!(attachment["sha256"], hex(&photo));
    assert_eq!(note["attachments"][1]["sha256"], hex(b""));
    assert_eq!(world.seen("/notes").await, json!([note]));

    let bytes = world.request("GET", &format!("/api/attachments/{}", attachment["id"])).send().await.unwrap();
    assert_eq!(bytes.headers()["content-type"], "image/jpeg");
    assert!(bytes.bytes().await.unwrap() == photo);
}

#[tokio::test]
async fn a_note_without_text_is_refused_with_a_reason() {
    let world = World::new().await;
    for request in [
        world.post_note(" "),
        world.request("POST", "/api/notes").json(&json!({})),
        world.request("POST", "/api/notes").json(&json!({ "text": 1 })),
        world.request("POST", "/api/notes").multipart(Form::new().text("author", "me")),
    ] {
        let refused = request.send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
        assert!(refused.json::<Value>().await.unwrap()["detail"].as_str().unwrap().contains("text"));
    }
    let broken = world.request("POST", "/api/notes").header("content-type", "application/json").body("{");
    assert_eq!(broken.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    let strange = world.request("POST", "/api/notes").header("content-type", "image/png").body("x");
    assert_eq!(strange.send().await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn if_match_guards_against_a_lost_update() {
    let world = World::new().await;
    world.post_note("one").send().await.unwrap();
    let put = |tag: &str, text: &str| {
        world.request("PUT", "/api/notes/1").header("if-match", tag).json(&json!({ "text": text })).send()
    };
    let updated = put("\"1\"", "two").await.unwrap();
    assert_eq!((updated.status(), updated.headers()["etag"].to_str().unwrap()), (StatusCode::OK, "\"2\""));
    assert_eq!(put("\"1\"", "three").await.unwrap().status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(put("\"9\", \"2\"", "three").await.unwrap().status(), StatusCode::OK);
    assert_eq!(world.texts().await, ["three"]);
}

#[tokio::test]
async fn lists_newest_first_and_deletes_once() {
    let world = World::new().await;
    for text in ["a", "b", "c"] {
        world.post_note(text).send().await.unwrap();
    }
    let list = world.request("GET", "/api/notes?after=1&limit=5").send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    assert_eq!(
        [&list["notes"][0]["text"], &list["notes"][1]["text"], &list["notes"][2]],
        [&json!("c"), &json!("b"), &Value::Null]
    );
    let delete = || world.request("DELETE", "/api/notes/2").send();
    assert_eq!(delete().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(delete().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(world.request("GET", "/api/notes/2").send().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(world.texts().await, ["c", "a"]);
}

#[tokio::test]
async fn an_upload_of_fifty_megabytes_is_kept_with_its_hash() {
    let world = World::new().await;
    let bytes: Vec<u8> = (0..50_u32 * 1024 * 1024).map(|at| u8::try_from((at * 7) % 256).unwrap()).collect();
    let hash = hex(&bytes);
    let upload = world.request("POST", "/api/uploads?name=talk.webm").header("content-type", "audio/webm");
    let created = upload.body(bytes).send().await.unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    let upload = &world.seen("/uploads").await[0];
    assert_eq!((upload["size"].as_u64(), upload["sha256"].as_str()), (Some(52_428_800), Some(hash.as_str())));
    assert_eq!((&upload["name"], &upload["type"]), (&json!("talk.webm"), &json!("audio/webm")));
}

#[tokio::test]
async fn an_upload_over_two_hundred_megabytes_is_refused() {
    let world = World::new().await;
    let refused = world.request("POST", "/api/uploads").body(vec![0; 200 * 1024 * 1024 + 1]).send().await;
    // The server answers while the client still sends, which some clients take for a broken pipe.
    assert!(refused.is_err() || refused.unwrap().status() == StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(world.seen("/uploads").await, json!([]));
}

#[tokio::test]
async fn a_photo_is_added_to_its_note_once_and_byte_exact() {
    let world = World::new().await;
    world.post_note("of a bird").send().await.unwrap();
    let photo: Vec<u8> = (0..2_000_003_u32).map(|at| u8::try_from(at % 253).unwrap()).collect();
    let add = || {
        let request = world.request("POST", "/api/notes/1/photos?name=a%20b.jpg").header("idempotency-key", "\"p1\"");
        request.header("content-type", "image/jpeg").body(photo.clone()).send()
    };
    let added = add().await.unwrap();
    assert_eq!((added.status(), added.headers()["location"].to_str().unwrap()), (StatusCode::CREATED, "/api/notes/1"));
    assert_eq!(added.headers()["etag"], "\"2\"");
    assert_eq!(add().await.unwrap().headers()["idempotent-replayed"], "true");

    let notes = world.seen("/notes").await;
    assert_eq!((notes[0]["text"].as_str(), notes[0]["version"].as_u64()), (Some("of a bird"), Some(2)));
    let attachments = notes[0]["attachments"].as_array().unwrap();
    assert_eq!(attachments.len(), 1);
    assert_eq!((&attachments[0]["field"], &attachments[0]["name"]), (&json!("photo"), &json!("a b.jpg")));
    assert_eq!(attachments[0]["sha256"], hex(&photo));
    let bytes = world.request("GET", &format!("/api/attachments/{}", attachments[0]["id"])).send().await.unwrap();
    assert!(bytes.bytes().await.unwrap() == photo);
}

#[tokio::test]
async fn a_photo_needs_a_note_and_has_to_be_a_picture() {
    let world = World::new().await;
    let add = |kind: &str| {
        let request = world.request("POST", "/api/notes/1/photos").header("idempotency-key", "\"p1\"");
        request.header("content-type", kind).body("x").send()
    };
    let nowhere = add("image/png").await.unwrap();
    assert_eq!(nowhere.status(), StatusCode::NOT_FOUND);
    assert_eq!(nowhere.headers()["content-type"], "application/problem+json");
    world.post_note("late").send().await.unwrap();
    assert_eq!(add("text/html").await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(world.seen("/notes").await[0]["attachments"], json!([]));
    // A refusal keeps no key: the same job may succeed later.
    assert_eq!(add("image/png").await.unwrap().status(), StatusCode::CREATED);
}
