//! Origins in trouble.

use super::*;

#[test]
fn five_jobs_met_by_503_close_the_origin_and_one_that_is_fresh_probes_it() {
    let mut bench = Bench::new(QueueConfig::default());
    let ids: Vec<JobId> = (0..8).map(|_| bench.put(None)).collect();
    assert_eq!(bench.first_turn("drain", true, 5).claimed.len(), 5);
    for id in &ids[..5] {
        bench.settle("drain", id, 503);
    }
    assert_eq!(bench.claim("drain", 5), [], "closed");
    bench.now = bench.next_wake().expect("a probe");
    assert_eq!(bench.claim("drain", 5), ids[5..6], "one probe at a time");
    bench.settle("drain", &ids[5], 503);
    bench.now = bench.now.after(MINUTE);
    assert_eq!(bench.claim("drain", 5), ids[6..7], "one that has met nothing bad yet");
    bench.settle("drain", &ids[6], 200);
    assert!(bench.claim("drain", 5).len() > 1, "open again");
}

#[test]
fn a_server_that_is_back_and_refuses_is_waited_for_as_patiently_as_before() {
    let mut bench = Bench::new(QueueConfig::default());
    let id = bench.put(None);
    for reply in std::iter::repeat_n(AttemptResult::Unreachable, 12).chain([answer(503)]) {
        assert_eq!(bench.claim("drain", 1).len(), 1);
        let settlement =
            Settlement { id: id.clone(), key: id.as_str().to_owned(), result: reply, at: bench.now, roll: 0.5, batch: None };
        bench.cycle(&Cycle { settle: vec![settlement], ..later_cycle("drain", 0) });
        bench.now = bench.job(&id).schedule.next_attempt_at;
    }
    let job = bench.job(&id);
    assert_eq!(job.attempts.made, 1);
    assert!(job.attempts.last_delay >= 2 * MINUTE, "{} ms, as if nothing had happened before", job.attempts.last_delay);
}

#[test]
fn retries_beyond_the_budget_are_put_off_and_first_tries_are_not() {
    let mut bench = Bench::new(QueueConfig { concurrency: 64, ..QueueConfig::default() });
    let ids: Vec<JobId> = (0..20).map(|_| bench.put(None)).collect();
    bench.first_turn("drain", true, 20);
    for id in &ids {
        // A good reply in between, so that the origin stays open.
        let good = bench.put(None);
        bench.claim("drain", 1);
        bench.settle("drain", id, 500);
        bench.settle("drain", &good, 200);
    }
    bench.now = bench.now.after(MINUTE);
    let fresh = bench.put(None);
    let claimed = bench.claim("drain", 64);
    assert_eq!(claimed.len(), 11, "a burst of ten, and what is new");
    assert!(claimed.contains(&fresh));
}

#[test]
fn an_origin_that_has_nothing_left_rests() {
    let mut bench = Bench::new(QueueConfig::default());
    let first = bench.put(None);
    bench.put(None);
    bench.claim("drain", 1);
    let rate_limit = Some("\"default\";r=0;t=30".to_owned());
    let reply = AttemptResult::Status(Response { status: 200, rate_limit, ..Response::default() });
    let settlement =
        Settlement { id: first.clone(), key: first.as_str().to_owned(), result: reply, at: bench.now, roll: 0.5, batch: None };
    let committed = bench.cycle(&Cycle { settle: vec![settlement], ..later_cycle("drain", 1) });
    assert_eq!((committed.claimed.len(), committed.next_due), (0, Some(bench.now.after(30 * SECOND))));
    bench.now = bench.now.after(30 * SECOND);
    assert_eq!(bench.claim("drain", 1).len(), 1);
}
