//! Reads what pages and worker post to each other.

#![no_main]

use fuzz::{check, value_target};
use shearwater_core::{
    Error,
    config::{WorkerConfig, check_name},
    protocol::{Broadcast, Envelope, Op},
    request::{RequestHead, is_token},
    store::enqueue::admit,
    view::{JobView, Snapshot, Status, SyncResult},
};

value_target!(|value| {
    if let Some(envelope) = check::read::<Envelope>(&value) {
        match envelope.op {
            Op::Enqueue { jobs, .. } => {
                for job in jobs {
                    sendable(job.request.clone());
                    if admit(job.clone(), "https://a.example".to_owned(), None, &WorkerConfig::default()).is_ok() {
                        assert!(job.options.max_attempts != Some(0), "{job:?}");
                        assert!(job.options.key.is_none_or(|key| check_name("key", &key).is_ok()));
                    }
                }
            }
            Op::Edit { request, .. } => sendable(request),
            _ => {}
        }
    }
    check::read::<Broadcast>(&value);
    check::read::<JobView>(&value);
    check::read::<SyncResult>(&value);
    check::read::<Error>(&value);
    if let Some(status) = check::read::<Status>(&value) {
        let snapshot = Snapshot::of(status, true);
        assert!(snapshot.progress.is_none_or(|share| (0.0..=1.0).contains(&share)), "{snapshot:?}");
        check::keeps(&snapshot);
    }
});

/// What is admitted holds nothing that `fetch` refuses or that is a secret, and is admitted again as it is.
fn sendable(mut request: RequestHead) {
    if request.admit().is_ok() {
        assert!(is_token(&request.method) && request.url.starts_with("http"), "{request:?}");
        for (name, value) in &request.headers {
            assert!(is_token(name) && *name == name.to_ascii_lowercase(), "{name:?}");
            assert!(!value.contains(['\0', '\r', '\n']), "{value:?}");
            assert!(!["authorization", "cookie", "host", "content-length"].contains(&name.as_str()), "{name} is stored");
        }
        let once = request.clone();
        assert_eq!(request.admit(), Ok(Vec::new()));
        assert_eq!(request, once);
        check::keeps(&request);
    }
}
