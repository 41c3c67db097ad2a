use crate::{
    error::{Error, ErrorCode},
    protocol::{Op, Response, Written, maintenance::Measured, operation, operations::OPERATIONS, read_answer},
    wire::{json::Json, testing::parse},
};

fn spell(number: f64) -> String {
    number.to_string()
}

#[test]
fn an_operation_is_read_as_it_was_written() {
    for op in [Op::Sync(None), Op::Sync(Some("notes".to_owned())), Op::Metrics, Op::Pause(None)] {
        assert_eq!(parse::<Op>(&Json::of(&op, spell)), Ok(op));
    }
    assert_eq!(parse("\"list\""), Ok(Op::List(crate::store::read::Filter::default())));
}

#[test]
fn an_unknown_operation_is_a_mismatch_and_no_operation() {
    for text in ["\"fly\"", r#"{"fly": null}"#, r#"{"metrics": null, "repair": null}"#, "{}", "[]", "1", "null"] {
        assert!(parse::<Op>(text).is_err(), "{text}");
    }
}

#[test]
fn a_response_is_read_as_the_operations_answer() {
    let nothing = Response::<()>::new("re".to_owned(), Ok(()));
    assert_eq!(Json::of(&nothing, spell), r#"{"shearwater":1,"re":"re","ok":null}"#);
    assert_eq!(parse(&Json::of(&nothing, spell)), Ok(nothing));
    let in_time = Response::new("re".to_owned(), Ok(true));
    let written = Response::new("re".to_owned(), Ok(Written::of::<operation::Retry>(&true, spell)));
    assert_eq!(written.text(spell), Json::of(&in_time, spell));
    let failed = Response::<bool>::new("re".to_owned(), Err(Error::new(ErrorCode::Timeout, "too late")));
    assert_eq!(parse(&Json::of(&failed, spell)), Ok(failed));
    assert!(parse::<Response<bool>>(r#"{"shearwater":1,"re":"re"}"#).is_err());
    assert!(read_answer::<operation::Retry, _>(Some(&serde_json::json!("true"))).is_err());
    assert!(read_answer::<operation::Retry, serde_json::Value>(None).is_err());
    assert_eq!(read_answer::<operation::Get, serde_json::Value>(None), Ok(None));
}

#[test]
fn what_was_put_aside_stands_beside_the_figures() {
    let text = concat!(
        r#"{"queues":[],"delivered":3,"syncCount":1,"origins":[],"#,
        r#""quarantine":[{"store":"jobs","reason":"id: is missing","at":5}],"#,
        r#""periodic":[{"tag":"daily-sync","nextRunAt":7,"isRunning":false,"tasks":[]}]}"#
    );
    let measured = parse::<Measured>(text).expect("reads");
    assert_eq!((measured.of.delivered, measured.quarantine.len(), measured.periodic.len()), (3, 1, 1));
    assert_eq!(Json::of(&measured, spell), text);
}

#[test]
fn no_two_operations_share_a_name_or_a_method() {
    let mut seen = Vec::new();
    for entry in OPERATIONS {
        assert!(!seen.contains(&entry.name), "{}", entry.name);
        seen.push(entry.name);
    }
    let methods: Vec<_> = OPERATIONS.iter().flat_map(|entry| entry.methods).collect();
    for (at, method) in methods.iter().enumerate() {
        assert!(!methods[..at].contains(method), "{method}");
    }
}
