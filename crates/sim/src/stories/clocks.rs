//! A clock that is set.

use super::*;

#[test]
fn a_job_queued_before_the_clock_was_set_back_goes_now() {
    let mut bench = Bench::new(QueueConfig::default());
    let (first, second) = (bench.put(Some("k")), bench.put(Some("k")));
    bench.claim("drain", 1);
    bench.now = Millis(NOON.0 - 300 * DAY);
    bench.settle("drain", &first, 200);
    assert_eq!(bench.claim("drain", 1), [second]);
}

#[test]
fn a_start_that_had_passed_when_the_job_was_queued_holds_up_nothing_when_the_clock_is_set_back() {
    let mut bench = Bench::new(QueueConfig::default());
    let first = bench.put(Some("k"));
    let second = bench.put_with(Some("k"), Some(Millis(NOON.0 - DAY)));
    bench.claim("drain", 1);
    bench.now = Millis(NOON.0 - 2 * DAY);
    bench.settle("drain", &first, 200);
    assert_eq!(bench.claim("drain", 1), [second]);
}

#[test]
fn a_wait_asked_for_after_the_clock_was_set_back_is_kept() {
    let mut bench = Bench::new(QueueConfig::default());
    let id = bench.put(None);
    bench.claim("drain", 1);
    bench.now = Millis(NOON.0 - 2 * DAY);
    let patience =
        AttemptResult::Status(Response { status: 429, retry_after: Some("99999999".to_owned()), ..Response::default() });
    let settlement =
        Settlement { id: id.clone(), key: id.as_str().to_owned(), result: patience, at: bench.now, roll: 0.5, batch: None };
    bench.cycle(&Cycle { settle: vec![settlement], ..later_cycle("drain", 0) });
    assert_eq!(bench.first_turn("next drain", true, 1).claimed, []);
}

#[test]
fn a_wait_that_only_a_clock_set_back_can_explain_ends() {
    let mut bench = Bench::new(QueueConfig::default());
    let id = bench.put(None);
    bench.claim("drain", 1);
    bench.settle("drain", &id, 503);
    bench.now = Millis(NOON.0 - 300 * DAY);
    assert_eq!(bench.next_wake(), Some(bench.now));
    let due = bench.first_turn("next drain", true, 1).next_due.expect("it waits on");
    assert!(due.since(bench.now) <= SECOND, "as long as it would have, and no longer");
    bench.now = due;
    assert_eq!(bench.claim("next drain", 1), [id]);
}

#[test]
fn a_clock_set_forward_a_year_expires_nothing_once_the_server_was_asked() {
    let mut bench = Bench::new(QueueConfig::default());
    let id = bench.put(None);
    let wrong = NOON.after(365 * DAY);
    bench.now = wrong;
    let asking = bench.first_turn("drain", true, 1);
    assert!(asking.asks_time && asking.claimed.is_empty() && asking.settled.is_empty());
    let answered =
        Cycle { takeover: Some(Takeover { exclusive: true }), time: Time::Is(NOON.after(MINUTE)), ..later_cycle("drain", 1) };
    assert_eq!(bench.cycle(&answered).claimed[0].id, id);
}

#[test]
fn with_nobody_to_ask_a_job_neither_goes_nor_expires_and_the_next_wake_asks_again() {
    let mut bench = Bench::new(QueueConfig::default());
    let id = bench.put(None);
    bench.now = NOON.after(365 * DAY);
    let unknown = Cycle { takeover: Some(Takeover { exclusive: true }), time: Time::Unknown, ..later_cycle("drain", 1) };
    assert!(bench.cycle(&unknown).claimed.is_empty());
    assert_eq!(bench.job(&id).state, State::Pending);
    assert!(bench.first_turn("next drain", true, 1).asks_time);
}

#[test]
fn a_job_that_is_too_old_by_the_servers_time_expires() {
    let mut bench = Bench::new(QueueConfig::default());
    let id = bench.put(None);
    bench.now = NOON.after(8 * DAY);
    let answered = Cycle { takeover: Some(Takeover { exclusive: true }), time: Time::Is(bench.now), ..later_cycle("drain", 1) };
    assert!(bench.cycle(&answered).claimed.is_empty());
    assert_eq!(bench.job(&id).error.unwrap().kind, ErrorKind::Expired);
}

#[test]
fn a_wait_that_was_over_when_the_job_was_claimed_does_not_come_back_after_the_clock_was_set_back() {
    let mut bench = Bench::new(going_on());
    let (first, second) = (bench.put(Some("k")), bench.put(Some("k")));
    bench.claim("drain", 1);
    bench.settle("drain", &first, 422);
    bench.claim("drain", 1);
    bench.settle("drain", &second, 503);
    bench.now = bench.next_wake().expect("it waits");
    assert_eq!(bench.claim("drain", 1), std::slice::from_ref(&second));
    bench.now = Millis(NOON.0 - 300 * DAY);
    // Its worker dies; a person has the first tried again, behind which it stands then.
    bench.retry(&first);
    assert_eq!(bench.first_turn("next drain", true, 1).claimed.first().map(|job| job.id.clone()), Some(first.clone()));
    bench.settle("next drain", &first, 200);
    assert_eq!(bench.claim("next drain", 1), [second]);
}
