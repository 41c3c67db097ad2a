//! Reads what pages and worker post to each other.

#![no_main]

use fuzz::{check, value_target};
use shearwater_core::{
    Error, Millis,
    metrics::Metrics,
    protocol::{
        self, Broadcast, Envelope, Exported, Measured, Op, Repaired, Response,
        view::{JobView, Snapshot, Status, SyncResult},
    },
    queue::{
        config::{WorkerConfig, check_name},
        enqueue::admit,
        manage::Compacted,
        request::{RequestHead, is_token},
    },
    schedule::wakes::{Facts, plan},
    store::repair::Report,
};

value_target!(|value| {
    let envelope = check::read::<Envelope>(&value);
    let status = check::read::<Status>(&value);
    let is_read = envelope.is_some()
        || status.is_some()
        || check::read::<Broadcast>(&value).is_some()
        || check::read::<JobView>(&value).is_some()
        || check::read::<SyncResult>(&value).is_some()
        || check::read::<Metrics>(&value).is_some()
        || check::read::<Report>(&value).is_some()
        || check::read::<Compacted>(&value).is_some()
        || check::read::<Measured>(&value).is_some()
        || check::read::<Repaired>(&value).is_some()
        || check::read::<Exported>(&value).is_some()
        || check::read::<Response<Option<JobView>>>(&value).is_some()
        || check::read::<Error>(&value).is_some();
    if let Some(envelope) = envelope {
        operation(envelope.op);
    }
    if let Some(status) = status {
        wakes(&status);
        let snapshot = Snapshot::of(status, true);
        assert!(snapshot.progress.is_none_or(|share| (0.0..=1.0).contains(&share)), "{snapshot:?}");
        check::keeps(&snapshot);
    }
    is_read
});

fn operation(op: Op) {
    match op {
        Op::Enqueue(protocol::Enqueue { jobs, .. }) => {
            for job in jobs {
                sendable(job.request.clone());
                if admit(job.clone(), "https://a.example".to_owned(), None, &WorkerConfig::default()).is_ok() {
                    assert!(job.options.max_attempts != Some(0), "{job:?}");
                    assert!(job.options.key.is_none_or(|key| check_name("key", &key).is_ok()));
                }
            }
        }
        Op::Edit(protocol::Edit { request, .. }) => {
            let mut head =
                RequestHead { url: "https://a.example/".to_owned(), method: "POST".to_owned(), ..RequestHead::default() };
            head.change(request, false);
            sendable(head);
        }
        _ => {}
    }
}

/// Whatever the status says, the next wake is not in the past.
fn wakes(status: &Status) {
    let facts = Facts { is_online: true, is_sending: status.is_running, next_due: status.next_sync_at };
    for now in [Millis(0), Millis(1_790_000_000_000)] {
        assert!(plan(now, facts).is_none_or(|(at, _)| at > now), "{facts:?}");
    }
}

/// What is admitted holds nothing that `fetch` refuses or that is a secret, and is admitted again as it is.
fn sendable(mut request: RequestHead) {
    if request.admit(&[]).is_ok() {
        assert!(is_token(&request.method) && request.url.starts_with("http"), "{request:?}");
        for (name, value) in &request.headers {
            assert!(is_token(name) && *name == name.to_ascii_lowercase(), "{name:?}");
            assert!(!value.contains(['\0', '\r', '\n']), "{value:?}");
            assert!(
                !["authorization", "cookie", "x-api-key", "host", "content-length"].contains(&name.as_str()),
                "{name} is stored"
            );
        }
        let once = request.clone();
        assert_eq!(request.admit(&[]), Ok(Vec::new()));
        assert_eq!(request, once);
        check::keeps(&request);
    }
}
