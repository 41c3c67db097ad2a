use super::*;
use crate::{queue::config::WorkerConfig, wire::testing::parse};

fn config(json: &str) -> BatchConfig {
    parse(json).unwrap()
}

fn text(envelope: &Envelope, items: &[&str]) -> String {
    let mut body = String::new();
    envelope.body(items, |piece| {
        body.push_str(match piece {
            Piece::Text(text) => text,
            Piece::Item(item) => item,
        });
    });
    body
}

#[test]
fn an_envelope_is_what_wrap_says() {
    for (wrap, body) in [
        ("", r#"[{"a":1},2]"#),
        (r#", "wrap": {"events": "items"}"#, r#"{"events":[{"a":1},2]}"#),
        (
            r#", "wrap": {"app": "x\"y", "v": 3, "live": true, "events": "items"}"#,
            r#"{"app":"x\"y","v":3,"live":true,"events":[{"a":1},2]}"#,
        ),
        (r#", "wrap": {"events": "items", "na\"me": 0}"#, r#"{"events":[{"a":1},2],"na\"me":0}"#),
    ] {
        let envelope = config(&format!(r#"{{"url": "/b"{wrap}}}"#)).envelope;
        let written = text(&envelope, &[r#"{"a":1}"#, "2"]);
        let (found, wanted): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&written).unwrap(), serde_json::from_str(body).unwrap());
        assert_eq!(found, wanted, "{written}");
        assert_eq!(written.len() as u64, envelope.size() + 7 + 1 + 1, "the size is exact");
    }
}

#[test]
fn results_are_an_array_of_statuses_or_objects_and_found_by_a_pointer() {
    let read = |status, body: &str, pointer: Option<&str>| {
        let body: Option<serde_json::Value> = serde_json::from_str(body).ok();
        read_results(status, body.as_ref(), pointer)
            .map(|results| results.into_iter().map(|result| (result.status, result.message)).collect::<Vec<_>>())
    };
    let said = |text: &str| Some(text.to_owned());
    assert_eq!(read(200, "[201, 422]", None), Some(vec![(201, None), (422, None)]));
    assert_eq!(
        read(207, r#"[{"status": 201, "detail": "kept"}, {"status": 422, "message": "no"}, {"id": 7}, "x", 7]"#, None),
        Some(vec![(201, said("kept")), (422, said("no")), (200, None), (200, None), (200, None)])
    );
    assert_eq!(read(200, r#"{"a/b": [{"c~d": [503]}]}"#, Some("/a~1b/0/c~0d")), Some(vec![(503, None)]));
    assert_eq!(read(200, r#"{"ok": true}"#, None), None, "a success without results");
    assert_eq!(read(204, "", Some("/results")), None, "there is no body to have them");
    assert_eq!(read(207, r#"{"ok": true}"#, None), Some(vec![]));
    assert_eq!(read(200, r#"{"ok": true}"#, Some("/results")), Some(vec![]));
    assert_eq!(read(200, "no JSON", Some("/results")), Some(vec![]));
}

#[test]
fn another_number_of_results_settles_nothing() {
    let result = |items| AttemptResult::Status(Response { status: 200, items, ..Response::default() });
    let item = |status| ItemResult { status, message: None };
    let (each, own) = results_of_each(&result(Some(vec![item(201), item(422), item(200)])), 5);
    assert!(!own);
    assert_eq!(each, vec![AttemptResult::Miscounted("the batch's response has 3 results for 5 items".to_owned()); 5]);
    let (each, own) = results_of_each(&result(Some(vec![item(201), item(422)])), 2);
    assert!(own);
    assert_eq!(each.iter().map(AttemptResult::status).collect::<Vec<_>>(), [Some(201), Some(422)]);
    assert_eq!(results_of_each(&result(None), 2), (vec![result(None); 2], false));
    let refused = AttemptResult::Status(Response { status: 413, ..Response::default() });
    assert_eq!(results_of_each(&refused, 1), (vec![refused.clone()], false));
}

#[test]
fn a_key_is_a_uuid_of_its_own_for_each_version() {
    let lead = JobId::from_random([7; 16]);
    let keys: Vec<JobId> = (1..100).map(|version| key(&lead, version)).collect();
    assert!(keys.iter().all(|key| JobId::parse(key.as_str()).is_ok() && *key != lead));
    assert!(!crate::queue::sort::has_twins(keys.iter().map(JobId::as_number)));
}

#[test]
fn an_item_has_no_address_or_that_of_the_batch() {
    let batch = config(r#"{"url": "https://app.example/b"}"#);
    let head = |url: &str, method: &str, headers: &[(&str, &str)]| RequestHead {
        url: url.to_owned(),
        method: method.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..RequestHead::default()
    };
    let item = head("https://app.example/b", "POST", &[("content-type", "application/json")]);
    for mut request in [head("", "", &[]), head("https://app.example/b", "POST", &[("Content-Type", "text/plain")])] {
        assert_eq!(batch.admit(&mut request, Some(2)), Ok(true));
        assert_eq!(request, item);
    }
    assert_eq!(batch.admit(&mut head("https://app.example/other", "PUT", &[("x", "y")]), None), Ok(false));
    for (mut request, size) in [
        (head("", "PUT", &[]), Some(2)),
        (head("", "POST", &[("x-thing", "1")]), Some(2)),
        (head("", "POST", &[]), None),
        (head("", "POST", &[]), Some(LARGEST_ITEM + 1)),
        (RequestHead { mode: Some("no-cors".to_owned()), ..head("", "POST", &[]) }, Some(2)),
    ] {
        assert!(batch.admit(&mut request, size).is_err(), "{request:?}");
    }
    assert!(WorkerConfig::default().queue("default").unwrap().batch.is_none());
}

#[test]
fn a_row_that_is_in_no_batch_reads_as_it_did() {
    let membership = Membership {
        key: JobId::from_random([1; 16]),
        lead: JobId::from_random([2; 16]),
        batch: Some(Batch { members: vec![JobId::from_random([2; 16])], envelope: Envelope::default() }),
    };
    let text = Json::of(&membership, |number| number.to_string());
    assert_eq!(parse::<Membership>(&text), Ok(membership));
}
