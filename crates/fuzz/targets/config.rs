//! Reads what an app passes to `start()`.

#![no_main]

use fuzz::{check, value_target};
use shearwater_core::{
    error::ErrorCode,
    queue::config::{DEFAULT_QUEUE, QueueConfig, WorkerConfig},
    time::unit::{DAY, HOUR, SECOND},
};

value_target!(|value| {
    match WorkerConfig::read(&value) {
        Err(mismatch) => check::tells_its_place(&value, &mismatch),
        Ok(config) => match config.check() {
            Err(error) => assert_eq!(error.code, ErrorCode::InvalidConfig),
            Ok(()) => in_range(&config),
        },
    }
    WorkerConfig::read(&value).is_ok()
});

/// The ranges of the documentation, said once more.
fn in_range(config: &WorkerConfig) {
    assert!((1..=256).contains(&config.name.len()) && config.breaker_threshold > 0, "{config:?}");
    for name in config.queues.iter().map(|(name, _)| name.as_str()).chain([DEFAULT_QUEUE, "another"]) {
        queue_in_range(&config.queue_or_default(name));
        assert!(config.queue(name).is_ok() || (config.strict && name == "another"));
    }
}

fn queue_in_range(queue: &QueueConfig) {
    assert!((1..=1_000).contains(&queue.max_attempts), "{queue:?}");
    assert!((1..=64).contains(&queue.concurrency), "{queue:?}");
    assert!((100..=HOUR).contains(&queue.timeout), "{queue:?}");
    assert!(queue.max_age <= 3_650 * DAY, "{queue:?}");
    assert!((SECOND..=365 * DAY).contains(&queue.aging), "{queue:?}");
    assert!(queue.statuses.iter().all(|(status, _)| (100..=599).contains(status)), "{queue:?}");
    assert!(queue.send_limit(Some(1 << 50)) >= queue.timeout, "{queue:?}");
    let backoff = &queue.backoff;
    assert!(backoff.base >= 1 && backoff.base <= backoff.max && backoff.max <= 7 * DAY, "{backoff:?}");
    let mut previous = 0;
    for failures in [0, 1, 2, 3, 10, 64, 65, u32::MAX] {
        for roll in [0.0, 0.5, 1.0 - f64::EPSILON] {
            previous = backoff.delay(failures, previous, roll);
            assert!(previous <= backoff.max, "{previous} ms after {failures} failures: {backoff:?}");
        }
    }
}
