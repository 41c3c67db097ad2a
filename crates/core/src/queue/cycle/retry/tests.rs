use super::*;
use crate::{
    id::JobId,
    queue::{
        backoff::{Backoff, Jitter},
        job::{Attempts, Order, Place, RECORD_VERSION, RequestWork, Schedule, State, Work},
        last_error::{ErrorKind, LastError},
        request::RequestHead,
    },
    time::unit::{MINUTE, SECOND},
};

const NOW: Millis = Millis(1_790_000_000_000);
const LAST_ATTEMPT: u32 = 4;

/// What a row of the table expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Delivered,
    /// Tried again; the attempt counts.
    Retry,
    /// Tried again; the attempt does not count.
    RetryFree,
    Exhausted,
    Failed,
    Conflict,
    Blocked,
}

use Expected::{Blocked, Conflict, Delivered, Exhausted, Failed, RetryFree};

fn job(method: &str, attempts: u32) -> Job {
    Job {
        v: RECORD_VERSION,
        id: JobId::from_random([1; 16]),
        queue: "default".into(),
        owner: String::new(),
        work: Work::Request(RequestWork {
            head: RequestHead { method: method.into(), url: "https://a.example/notes".into(), ..RequestHead::default() },
            origin: "https://a.example".into(),
            size: None,
            packed: None,
            item: None,
        }),
        idempotency_key: "k".into(),
        metadata: None,
        order: Order { seq: 1, key: None, line: false, priority: 5, rank: 0 },
        schedule: Schedule { queued_at: NOW, expires_at: Millis::MAX, next_attempt_at: NOW, hold_until: Millis(0) },
        attempts: Attempts {
            made: attempts,
            limit: None,
            unreachable: 0,
            interruptions: 0,
            last_tried_at: Some(NOW),
            last_delay: 0,
            ended_at: None,
        },
        state: State::Syncing,
        place: Place::Out,
        error: None,
        lease: None,
        batch: None,
        bind: None,
        captures: None,
        record: None,
    }
}

fn status(status: u16) -> AttemptResult {
    AttemptResult::Status(Response { status, ..Response::default() })
}

fn asks_to_wait(status: u16, retry_after: &str) -> AttemptResult {
    AttemptResult::Status(Response { status, retry_after: Some(retry_after.into()), ..Response::default() })
}

fn success(content_type: &str, redirected: bool) -> AttemptResult {
    AttemptResult::Status(Response { status: 200, content_type: Some(content_type.into()), redirected, ..Response::default() })
}

fn of(next: &Next) -> Expected {
    match next {
        Next::Delivered => Expected::Delivered,
        Next::Retry(retry) if retry.unreachable => Expected::RetryFree,
        Next::Retry(_) => Expected::Retry,
        Next::Failed => Expected::Failed,
        Next::Exhausted => Expected::Exhausted,
        Next::Conflict => Expected::Conflict,
        Next::Blocked => Expected::Blocked,
    }
}

fn retry_of(next: Next) -> Retry {
    match next {
        Next::Retry(retry) => retry,
        other => panic!("no retry: {other:?}"),
    }
}

/// The table of Q4, a row a line: method, result, and what becomes of a job by the default settings.
#[test]
fn every_row_of_the_table() {
    let statuses: &[(&str, &[u16], Expected)] = &[
        ("POST", &[200, 201, 202, 204, 207, 299], Delivered),
        ("DELETE", &[200, 204, 404, 410], Delivered),
        ("POST", &[408, 425, 429], Expected::Retry),
        ("POST", &[500, 502, 503, 504, 506, 508, 599], Expected::Retry),
        ("POST", &[511], RetryFree),
        ("POST", &[401, 419, 440], Blocked),
        ("POST", &[409, 412], Conflict),
        ("POST", &[428, 501, 505, 507], Failed),
        ("POST", &[300, 304, 400, 402, 403, 404, 405, 410, 413, 415, 422, 451, 600, 999], Failed),
        ("DELETE", &[403], Failed),
        ("DELETE", &[401], Blocked),
        ("DELETE", &[409], Conflict),
    ];
    for (method, statuses, expected) in statuses {
        for number in *statuses {
            let next = decide(&job(method, 0), &status(*number), &QueueConfig::default(), NOW, 0.5);
            assert_eq!(of(&next), *expected, "{method} {number}");
        }
    }
    let why = || "why".to_owned();
    let others = [
        (AttemptResult::Opaque, Delivered),
        (AttemptResult::Unreachable, RetryFree),
        (AttemptResult::Withheld(why()), RetryFree),
        (AttemptResult::TimedOut, Expected::Retry),
        (AttemptResult::Hidden(why()), Expected::Retry),
        (AttemptResult::Redirected(why()), Failed),
        (AttemptResult::Unsendable(why()), Failed),
        (asks_to_wait(409, "1"), Expected::Retry),
        (asks_to_wait(412, "1"), Conflict),
        (asks_to_wait(400, "1"), Failed),
    ];
    for (result, expected) in others {
        let next = decide(&job("POST", 0), &result, &QueueConfig::default(), NOW, 0.5);
        assert_eq!(of(&next), expected, "{result:?}");
    }
}

#[test]
fn the_last_attempt_makes_a_retry_a_dead_letter_and_nothing_else() {
    let rows = [
        (status(503), Exhausted),
        (AttemptResult::TimedOut, Exhausted),
        (AttemptResult::Hidden("CORS".into()), Exhausted),
        (asks_to_wait(429, "1"), Exhausted),
        (asks_to_wait(409, "1"), Exhausted),
        (status(201), Delivered),
        (status(401), Blocked),
        (status(409), Conflict),
        (AttemptResult::Unreachable, RetryFree),
        (AttemptResult::Withheld("signed out".into()), RetryFree),
        (status(511), RetryFree),
    ];
    for (result, expected) in rows {
        let next = decide(&job("POST", LAST_ATTEMPT), &result, &QueueConfig::default(), NOW, 0.5);
        assert_eq!(of(&next), expected, "{result:?}");
    }
}

#[test]
fn the_jobs_own_limit_of_attempts_outranks_the_queues() {
    let config = QueueConfig { max_attempts: 2, ..QueueConfig::default() };
    assert_eq!(of(&decide(&job("POST", 1), &status(503), &config, NOW, 0.5)), Exhausted);
    let mut patient = job("POST", 1);
    patient.attempts.limit = Some(9);
    assert_eq!(of(&decide(&patient, &status(503), &config, NOW, 0.5)), Expected::Retry);
    let mut impatient = job("POST", 0);
    impatient.attempts.limit = Some(1);
    assert_eq!(of(&decide(&impatient, &status(503), &config, NOW, 0.5)), Exhausted);
}

#[test]
fn what_burns_an_attempt() {
    let burns = |result| decide(&job("POST", 0), &result, &QueueConfig::default(), NOW, 0.5).burns_attempt();
    assert!(burns(status(200)) && burns(status(503)) && burns(status(401)) && burns(AttemptResult::TimedOut));
    assert!(!burns(AttemptResult::Unreachable) && !burns(status(511)) && !burns(AttemptResult::Withheld("why".into())));
}

#[test]
fn a_queue_overrides_single_statuses_only() {
    let config = QueueConfig {
        statuses: vec![
            (404, Disposition::Retry),
            (503, Disposition::Failed),
            (422, Disposition::Conflict),
            (403, Disposition::Blocked),
            (302, Disposition::Blocked),
            (500, Disposition::Delivered),
        ],
        ..QueueConfig::default()
    };
    let of = |result: AttemptResult| of(&decide(&job("POST", 0), &result, &config, NOW, 0.5));
    assert_eq!(of(status(404)), Expected::Retry);
    assert_eq!(of(status(503)), Failed);
    assert_eq!(of(asks_to_wait(503, "1")), Failed);
    assert_eq!(of(status(422)), Conflict);
    assert_eq!(of(status(403)), Blocked);
    assert_eq!(of(status(500)), Delivered);
    assert_eq!(of(status(502)), Expected::Retry);
    assert_eq!(of(AttemptResult::Redirected("why".into())), Blocked, "a redirect is decided by what is said of 302");
}

#[test]
fn text_that_speaks_of_a_status_decides_nothing() {
    let response = Response { status: 503, excerpt: Some("error 400: bad request".into()), ..Response::default() };
    let next = decide(&job("POST", 0), &AttemptResult::Status(response), &QueueConfig::default(), NOW, 0.5);
    assert_eq!(of(&next), Expected::Retry);
}

#[test]
fn a_captive_portal_is_no_delivery_and_no_attempt() {
    let config = QueueConfig {
        expect: Some(Expect { content_type: Some("application/json".into()), redirected: Some(false), ..Expect::default() }),
        ..QueueConfig::default()
    };
    let default = QueueConfig::default();
    let of = |result: &AttemptResult, config: &QueueConfig| of(&decide(&job("POST", 0), result, config, NOW, 0.5));
    assert_eq!(of(&success("application/JSON; charset=utf-8", false), &config), Delivered);
    assert_eq!(of(&success("text/html", false), &config), RetryFree);
    assert_eq!(of(&success("application/json", true), &config), RetryFree);
    assert_eq!(of(&success("text/plain", false), &config), Expected::Retry);
    assert_eq!(of(&success("text/html", true), &default), Delivered);
    let refusal = Response { status: 422, content_type: Some("text/html".into()), ..Response::default() };
    assert_eq!(of(&AttemptResult::Status(refusal), &config), Failed, "a refusal is one, whatever it looks like");
    assert_eq!(LastError::of(&success("text/html", false), &config).kind, ErrorKind::Unexpected);
}

#[test]
fn an_expected_status_is_one_of_those_named() {
    let config = QueueConfig { expect: Some(Expect { status: vec![201, 202], ..Expect::default() }), ..QueueConfig::default() };
    let of = |number| of(&decide(&job("POST", 0), &status(number), &config, NOW, 0.5));
    assert_eq!([of(201), of(202), of(200)], [Delivered, Delivered, Expected::Retry]);
}

/// The table of Q5: failures before, jitter, roll, and the wait.
#[test]
fn the_wait_grows_by_the_queues_backoff_and_jitter() {
    let rows = [
        (0, Jitter::Full, 0.0, 0),
        (0, Jitter::Full, 0.5, 500),
        (1, Jitter::Full, 0.5, SECOND),
        (3, Jitter::Full, 0.5, 4 * SECOND),
        (0, Jitter::Equal, 0.0, 750),
        (0, Jitter::Equal, 0.5, SECOND),
        (2, Jitter::Equal, 0.5, 4 * SECOND),
        (3, Jitter::Decorrelated, 0.5, SECOND),
    ];
    for (attempts, jitter, roll, wait) in rows {
        let config = QueueConfig { backoff: Backoff { jitter, ..Backoff::default() }, ..QueueConfig::default() };
        let retry = retry_of(decide(&job("POST", attempts), &status(503), &config, NOW, roll));
        assert_eq!((retry.at, retry.delay), (NOW.after(wait), wait), "{attempts} {jitter:?} {roll}");
        assert_eq!(retry.hold_until, Millis(0), "a wake may cut a backoff short");
    }
}

#[test]
fn attempts_without_a_response_lengthen_the_wait_and_never_end_it() {
    let mut lost = job("POST", 0);
    lost.attempts.unreachable = 30;
    let retry = retry_of(decide(&lost, &AttemptResult::Unreachable, &QueueConfig::default(), NOW, 0.5));
    assert!(retry.unreachable);
    assert_eq!(retry.at, NOW.after(Backoff::default().max * 3 / 4));
    let refused = retry_of(decide(&lost, &status(503), &QueueConfig::default(), NOW, 0.5));
    assert_eq!(refused.at, retry.at, "a server that is back and fails is the same trouble");
}

/// `Retry-After`: what was asked for, the roll, the wait, and what nothing cuts short.
#[test]
fn retry_after_is_a_minimum_and_then_jitter() {
    let rows = [
        ("10", 0.0, 10 * SECOND, 10 * SECOND),
        ("10", 0.5, 12 * SECOND + 500, 10 * SECOND),
        ("0", 0.5, 500, 0),
        ("3600", 0.5, 60 * MINUTE + 5 * MINUTE / 2, 60 * MINUTE),
    ];
    for (asked, roll, wait, hold) in rows {
        let retry = retry_of(decide(&job("POST", 0), &asks_to_wait(429, asked), &QueueConfig::default(), NOW, roll));
        assert_eq!((retry.at, retry.hold_until), (NOW.after(wait), NOW.after(hold)), "{asked} {roll}");
    }
}

#[test]
fn a_retry_after_date_is_measured_against_the_replys_own_date() {
    let result = AttemptResult::Status(Response {
        status: 503,
        retry_after: Some("Wed, 21 Oct 2026 07:28:30 GMT".into()),
        date: Some("Wed, 21 Oct 2026 07:28:00 GMT".into()),
        ..Response::default()
    });
    let retry = retry_of(decide(&job("POST", 0), &result, &QueueConfig::default(), NOW, 0.0));
    assert_eq!(retry.at, NOW.after(30 * SECOND));
}

#[test]
fn garbage_in_retry_after_is_ignored() {
    for garbage in ["", "-1", "1.5", "soon"] {
        let retry = retry_of(decide(&job("POST", 0), &asks_to_wait(503, garbage), &QueueConfig::default(), NOW, 0.5));
        assert_eq!(retry.at, NOW.after(500), "{garbage}");
    }
}

#[test]
fn rate_limit_delays_no_job_it_pauses_the_origin() {
    let response = Response { status: 429, rate_limit: Some("\"default\";r=0;t=600".into()), ..Response::default() };
    let retry = retry_of(decide(&job("POST", 0), &AttemptResult::Status(response), &QueueConfig::default(), NOW, 0.5));
    assert_eq!(retry.at, NOW.after(500));
}

#[test]
fn not_before_still_holds_after_an_attempt() {
    let mut held = job("POST", 0);
    held.schedule.hold_until = NOW.after(MINUTE);
    let retry = retry_of(decide(&held, &status(503), &QueueConfig::default(), NOW, 0.5));
    assert_eq!(retry.hold_until, NOW.after(MINUTE));
}

#[test]
fn a_delay_that_is_remembered_is_the_backoffs_not_the_servers() {
    let config =
        QueueConfig { backoff: Backoff { jitter: Jitter::Decorrelated, ..Backoff::default() }, ..QueueConfig::default() };
    let mut waited = job("POST", 1);
    waited.attempts.last_delay = 3 * SECOND;
    let retry = retry_of(decide(&waited, &asks_to_wait(503, "60"), &config, NOW, 0.5));
    assert_eq!(retry.delay, 5 * SECOND, "1 s and half the way to three times 3 s");
    assert_eq!(retry.at, NOW.after(MINUTE + 15 * SECOND));
}
