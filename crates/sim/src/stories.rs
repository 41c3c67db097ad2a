//! Tells each bug that the simulator found as a story of a few steps, over the store or one drain alone.

use std::cell::RefCell;

use futures::FutureExt;
use shearwater_core::{
    Error, JobId, Millis,
    drain::{Budget, Command, Dispatch, Drain, Input, Plan, STALLED_AFTER, Summary},
    health::clock::Time,
    http::reply::{AttemptResult, Response},
    queue::{
        config::{OnFailure, QueueConfig, WorkerConfig},
        cycle::{Cycle, CycleOutcome, Settings, Settlement, Takeover, cycle},
        enqueue::{EnqueueOptions, NewJob, admit, enqueue},
        job::{Job, MOST_INTERRUPTIONS, Place, State},
        last_error::ErrorKind,
        manage::{self, Body, Cancelled, Edit},
        request::RequestHead,
    },
    schedule::{next_wake, wakes::SkipBackoff},
    store::{
        self, Caller,
        read::{self, Filter},
    },
    time::unit::{DAY, HOUR, MINUTE, SECOND},
};

use crate::store::{Database, Mode, SimTx};

const NOON: Millis = Millis(1_790_000_000_000);
const ORIGIN: &str = "https://a.example";
const SILENT: &str = "https://silent.example";

/// A store, a configuration and a clock that stands still unless it is moved.
struct Bench {
    db: RefCell<Database>,
    config: WorkerConfig,
    now: Millis,
    ids: u8,
}

impl Bench {
    fn new(queue: QueueConfig) -> Self {
        let config = WorkerConfig { queues: vec![("q".to_owned(), queue)], ..WorkerConfig::default() };
        Self { db: RefCell::default(), config, now: NOON, ids: 0 }
    }

    fn write<R>(&self, work: impl AsyncFnOnce(&SimTx<'_>) -> Result<R, Error>) -> R {
        let tx = SimTx::begin(&self.db, Mode::Write, None, None);
        let answer = work(&tx).now_or_never().unwrap().unwrap();
        tx.commit();
        answer
    }

    fn read<R>(&self, work: impl AsyncFnOnce(&SimTx<'_>) -> Result<R, Error>) -> R {
        let tx = SimTx::begin(&self.db, Mode::Read, None, None);
        work(&tx).now_or_never().unwrap().unwrap()
    }

    fn put(&mut self, key: Option<&str>) -> JobId {
        self.put_with(key, None)
    }

    fn put_with(&mut self, key: Option<&str>, not_before: Option<Millis>) -> JobId {
        self.put_to(ORIGIN, key, not_before)
    }

    fn put_to(&mut self, origin: &str, key: Option<&str>, not_before: Option<Millis>) -> JobId {
        self.ids += 1;
        let id = JobId::from_random([self.ids; 16]);
        let request =
            RequestHead { url: format!("{origin}/items/{}", self.ids), method: "POST".to_owned(), ..RequestHead::default() };
        let options =
            EnqueueOptions { queue: Some("q".to_owned()), key: key.map(str::to_owned), not_before, ..EnqueueOptions::default() };
        let new = NewJob { id: id.clone(), request, options, metadata: None };
        let admitted = admit(new, origin.to_owned(), None, &self.config).unwrap();
        self.write(async |tx| enqueue(tx, self.now, vec![(admitted, None)], false, &Caller::default()).await);
        id
    }

    fn job(&self, id: &JobId) -> Job {
        self.db.borrow().job(id).unwrap().clone()
    }

    fn cycle(&self, wanted: &Cycle) -> CycleOutcome {
        let queue = self.config.queue_or_default("q");
        let settings = Settings::new(&self.config, &queue);
        self.write(async |tx| cycle(tx, self.now, wanted, settings).await)
    }

    fn first_turn(&self, holder: &str, exclusive: bool, claim: u32) -> CycleOutcome {
        self.cycle(&Cycle { takeover: Some(Takeover { exclusive }), ..later_cycle(holder, claim) })
    }

    fn claim(&self, holder: &str, claim: u32) -> Vec<JobId> {
        self.cycle(&later_cycle(holder, claim)).claimed.into_iter().map(|job| job.id).collect()
    }

    fn sign_in(&self, owner: &str, purge: Option<&str>) {
        self.write(async |tx| manage::set_owner(tx, self.now, owner, purge, &self.config).await);
    }

    fn settle_with(&self, holder: &str, id: &JobId, reply: AttemptResult) -> CycleOutcome {
        let settlement = Settlement { id: id.clone(), key: id.as_str().to_owned(), result: reply, at: self.now, roll: 0.5 };
        self.cycle(&Cycle { settle: vec![settlement], ..later_cycle(holder, 0) })
    }

    fn settle(&self, holder: &str, id: &JobId, status: u16) -> CycleOutcome {
        let settlement =
            Settlement { id: id.clone(), key: id.as_str().to_owned(), result: answer(status), at: self.now, roll: 0.5 };
        self.cycle(&Cycle { settle: vec![settlement], ..later_cycle(holder, 0) })
    }

    fn retry(&self, id: &JobId) {
        self.write(async |tx| manage::retry(tx, self.now, id, &self.config).await).unwrap();
    }

    fn next_wake(&self) -> Option<Millis> {
        self.read(async |tx| {
            let ledger = store::read_ledger(tx).await?;
            next_wake::next_wake(tx, &ledger, self.now).await
        })
    }

    /// Starts a drain and carries out its cycles until it wants something else; says what.
    fn drain(&self, concurrency: u32) -> (Drain, Vec<Command>) {
        let plan = Plan {
            queue: "q".to_owned(),
            owner: String::new(),
            holder: "drain".to_owned(),
            concurrency,
            budget: Budget::default(),
            skip: SkipBackoff::None,
            online: true,
            exclusive: true,
        };
        let mut drain = Drain::new(self.now, plan);
        let commands = self.feed(&mut drain, Input::Start);
        (drain, commands)
    }

    fn feed(&self, drain: &mut Drain, input: Input) -> Vec<Command> {
        let mut inputs = vec![input];
        let mut others = Vec::new();
        while let Some(input) = inputs.pop() {
            drain.handle(self.now, input);
            while let Some(command) = drain.poll() {
                match command {
                    Command::Cycle(cycle) => inputs.push(Input::CycleCommitted(self.cycle(&cycle))),
                    Command::Tell(_) | Command::Rest(_) => {}
                    other => others.push(other),
                }
            }
        }
        others
    }
}

fn later_cycle(holder: &str, claim: u32) -> Cycle {
    Cycle {
        time: Time::Unasked,
        queue: "q".to_owned(),
        owner: String::new(),
        holder: holder.to_owned(),
        takeover: None,
        skip: SkipBackoff::None,
        skip_from: Millis(0),
        settle: Vec::new(),
        release: Vec::new(),
        claim,
        most: u32::MAX,
        share: u32::MAX,
        in_flight: Vec::new(),
    }
}

fn answer(status: u16) -> AttemptResult {
    AttemptResult::Status(Response { status, ..Response::default() })
}

fn replied(id: &JobId, reply: AttemptResult) -> Input {
    Input::Attempted { dispatch: id.clone().into(), result: reply, roll: 0.5 }
}

fn going_on() -> QueueConfig {
    QueueConfig { on_failure: OnFailure::Continue, ..QueueConfig::default() }
}

fn sent(commands: &[Command]) -> Vec<JobId> {
    let jobs =
        commands.iter().filter_map(|command| if let Command::Send(dispatch) = command { Some(&dispatch.jobs) } else { None });
    jobs.flatten().map(|job| job.id.clone()).collect()
}

fn summary(commands: Vec<Command>) -> Option<Summary> {
    commands.into_iter().find_map(|command| if let Command::Done(summary) = command { Some(summary) } else { None })
}

#[test]
fn a_hand_that_finds_a_corrupt_row_counts_it_out() {
    let mut bench = Bench::new(QueueConfig::default());
    let (bad, next) = (bench.put(Some("k")), bench.put(Some("k")));
    bench.db.borrow_mut().corrupt(&bad);
    assert!(bench.write(async |tx| manage::discard(tx, bench.now, &bad).await).is_none());
    assert_eq!(bench.db.borrow().ledger().unwrap().queues[0].counts.pending, 1);
    assert_eq!(bench.claim("drain", 2), [next], "its line is free");
}

#[test]
fn a_page_that_looks_writes_nothing_whatever_does_not_parse() {
    let mut bench = Bench::new(QueueConfig::default());
    let (bad, good) = (bench.put(Some("k")), bench.put(Some("k")));
    bench.db.borrow_mut().corrupt(&bad);
    bench.db.borrow_mut().lose_ledger();
    let listed = bench.read(async |tx| read::list(tx, &Filter::default(), &bench.config).await);
    assert_eq!(listed.iter().map(|view| view.id.clone()).collect::<Vec<_>>(), [good]);
}

#[test]
fn a_lost_ledger_comes_back_with_the_history_counted() {
    let mut bench = Bench::new(QueueConfig::default());
    let id = bench.put(None);
    bench.claim("drain", 1);
    bench.settle("drain", &id, 200);
    bench.db.borrow_mut().lose_ledger();
    bench.put(None);
    assert_eq!(bench.db.borrow().ledger().unwrap().history, 1);
}

#[test]
fn what_a_corrupt_row_held_up_is_claimed_by_the_same_drain() {
    let mut bench = Bench::new(QueueConfig::default());
    let (bad, next) = (bench.put(Some("k")), bench.put(Some("k")));
    bench.db.borrow_mut().corrupt(&bad);
    let (mut drain, commands) = bench.drain(6);
    assert!(matches!(commands[..], [Command::Wait(at)] if at == bench.now), "{commands:?}");
    assert_eq!(sent(&bench.feed(&mut drain, Input::Tick)), [next]);
}

#[test]
fn an_edited_job_is_not_taken_for_delivered_by_a_late_reply_to_what_it_said_before() {
    let mut bench = Bench::new(QueueConfig::default());
    let id = bench.put(None);
    bench.claim("slow drain", 1);
    bench.now = bench.now.after(HOUR);
    bench.first_turn("drain without locks", false, 0);
    let request = RequestHead { url: format!("{ORIGIN}/items/other"), ..bench.job(&id).work.request().head.clone() };
    let change = Edit { request, headers: true, origin: None, body: Body::None, idempotency_key: "other".to_owned() };
    bench.write(async |tx| manage::edit(tx, bench.now, &id, change, &bench.config).await).unwrap();
    bench.settle("slow drain", &id, 200);
    assert_eq!(bench.job(&id).state, State::Pending, "what it says now was never sent");
}

#[test]
fn a_job_given_up_as_interrupted_is_delivered_by_a_late_reply() {
    let mut bench = Bench::new(QueueConfig::default());
    let id = bench.put(None);
    for n in 0..MOST_INTERRUPTIONS {
        bench.first_turn(&format!("killed {n}"), true, 1);
    }
    bench.first_turn("drain", true, 0);
    assert_eq!(bench.job(&id).state, State::Failed);
    bench.settle(&format!("killed {}", MOST_INTERRUPTIONS - 1), &id, 200);
    assert!(bench.db.borrow().outcome(&id).is_some());
}

/// Three jobs of a key; the first two were refused and stepped out of the line, the third is in the air.
fn two_refused_and_one_in_the_air() -> (Bench, [JobId; 3]) {
    let mut bench = Bench::new(going_on());
    let ids = [bench.put(Some("k")), bench.put(Some("k")), bench.put(Some("k"))];
    for id in &ids[..2] {
        assert_eq!(bench.claim("drain", 1), std::slice::from_ref(id));
        bench.settle("drain", id, 400);
    }
    assert_eq!(bench.claim("drain", 1), [ids[2].clone()]);
    (bench, ids)
}

#[test]
fn two_that_come_back_wait_for_the_one_in_the_air() {
    let (bench, [first, second, _]) = two_refused_and_one_in_the_air();
    bench.retry(&second);
    bench.retry(&first);
    assert_eq!(bench.claim("drain", 6), []);
    bench.write(async |tx| manage::discard(tx, bench.now, &second).await).unwrap();
    assert_eq!(bench.claim("drain", 6), [], "one that only waited leaves the line to nobody");
}

#[test]
fn one_that_comes_back_goes_before_a_later_one_is_tried_again() {
    let (mut bench, [first, _, third]) = two_refused_and_one_in_the_air();
    bench.retry(&first);
    bench.settle("drain", &third, 503);
    bench.now = bench.now.after(HOUR);
    assert_eq!(bench.claim("drain", 6), std::slice::from_ref(&first));
    bench.settle("drain", &first, 200);
    assert_eq!(bench.claim("drain", 6), [third]);
}

#[test]
fn one_that_comes_back_goes_when_a_later_one_waits_for_a_sign_in() {
    let (bench, [first, _, third]) = two_refused_and_one_in_the_air();
    bench.retry(&first);
    bench.settle("drain", &third, 401);
    assert_eq!(bench.claim("drain", 6), [first]);
}

#[test]
fn a_recount_frees_nobody_while_one_of_the_line_is_in_the_air() {
    let (mut bench, [first, ..]) = two_refused_and_one_in_the_air();
    bench.retry(&first);
    bench.db.borrow_mut().lose_ledger();
    let other = bench.put(None);
    assert_eq!(bench.claim("drain", 6), [other]);
}

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
    let settlement = Settlement { id: id.clone(), key: id.as_str().to_owned(), result: patience, at: bench.now, roll: 0.5 };
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
        let settlement = Settlement { id: id.clone(), key: id.as_str().to_owned(), result: reply, at: bench.now, roll: 0.5 };
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
    let settlement = Settlement { id: first.clone(), key: first.as_str().to_owned(), result: reply, at: bench.now, roll: 0.5 };
    let committed = bench.cycle(&Cycle { settle: vec![settlement], ..later_cycle("drain", 1) });
    assert_eq!((committed.claimed.len(), committed.next_due), (0, Some(bench.now.after(30 * SECOND))));
    bench.now = bench.now.after(30 * SECOND);
    assert_eq!(bench.claim("drain", 1).len(), 1);
}

#[test]
fn without_locks_a_dead_lease_asks_for_a_wake() {
    let mut bench = Bench::new(QueueConfig::default());
    let id = bench.put(None);
    bench.claim("killed", 1);
    let end = bench.next_wake().expect("somebody has to look after it");
    assert_eq!(bench.first_turn("too early", false, 1).claimed.len(), 0);
    bench.now = end;
    assert_eq!(bench.first_turn("in time", false, 1).claimed[0].id, id);
}

#[test]
fn without_locks_a_lease_from_before_the_clock_was_set_back_is_dead() {
    let mut bench = Bench::new(QueueConfig::default());
    bench.put(None);
    bench.claim("killed", 1);
    bench.now = Millis(NOON.0 - SECOND);
    assert_eq!(bench.first_turn("a second is nothing", false, 1).claimed.len(), 0);
    bench.now = Millis(NOON.0 - 300 * DAY);
    assert_eq!(bench.first_turn("drain", false, 1).claimed.len(), 1);
}

#[test]
fn a_drain_whose_replies_cannot_be_written_comes_to_its_end() {
    let mut bench = Bench::new(QueueConfig::default());
    let ids = [bench.put(None), bench.put(None)];
    let (mut drain, commands) = bench.drain(6);
    assert_eq!(sent(&commands), ids);
    drain.handle(bench.now, replied(&ids[0], answer(200)));
    for _ in 0..4 {
        assert!(matches!(drain.poll(), Some(Command::Cycle(_))));
        drain.handle(bench.now, Input::CycleFailed(Error::internal("full")));
        while let Some(command) = drain.poll() {
            assert!(matches!(command, Command::Wait(_)), "{command:?}");
        }
        drain.handle(bench.now, Input::Tick);
    }
    let end = summary(bench.feed(&mut drain, replied(&ids[1], answer(200)))).expect("the last reply ends it");
    assert!(end.again && end.error.is_some());
}

#[test]
fn what_a_failed_turn_was_to_give_back_is_given_back_by_the_next() {
    let mut bench = Bench::new(QueueConfig::default());
    let ids = [bench.put(None), bench.put(None)];
    let (mut drain, commands) = bench.drain(1);
    assert_eq!(sent(&commands), ids[..1]);
    drain.handle(bench.now, Input::Stop);
    assert!(matches!(drain.poll(), Some(Command::Cycle(cycle)) if cycle.release == ids[1..]));
    drain.handle(bench.now, Input::CycleFailed(Error::internal("full")));
    bench.feed(&mut drain, Input::Tick);
    assert_eq!(bench.job(&ids[1]).state, State::Pending);
    assert!(summary(bench.feed(&mut drain, replied(&ids[0], answer(200)))).is_some());
}

#[test]
fn a_drain_with_full_hands_does_not_wait_for_what_it_cannot_take() {
    let mut bench = Bench::new(QueueConfig::default());
    let ids: Vec<JobId> = (0..4).map(|_| bench.put(None)).collect();
    let (mut drain, commands) = bench.drain(1);
    assert_eq!(sent(&commands), ids[..1]);
    // What is refused is due soon; till then one is in the air and one at hand, and no more are taken.
    let due = bench.now.after(10);
    let mut commands = bench.feed(&mut drain, replied(&ids[0], answer(503)));
    bench.now = bench.now.after(SECOND);
    commands.extend(bench.feed(&mut drain, Input::Tick));
    let stalls = |at: &Millis| *at >= due.after(STALLED_AFTER / 2);
    assert!(!commands.iter().any(|command| matches!(command, Command::Wait(at) if !stalls(at))), "{commands:?}");
}

#[test]
fn a_drain_waits_no_longer_than_for_the_first_that_is_due() {
    let mut bench = Bench::new(QueueConfig::default());
    let id = bench.put(None);
    bench.put(None);
    let (mut drain, _) = bench.drain(6);
    let first = bench.feed(
        &mut drain,
        replied(&id, AttemptResult::Status(Response { status: 429, retry_after: Some("15".to_owned()), ..Response::default() })),
    );
    let second = bench.feed(&mut drain, replied(&JobId::from_random([2; 16]), answer(503)));
    let waits: Vec<Millis> = first
        .into_iter()
        .chain(second)
        .filter_map(|command| if let Command::Wait(at) = command { Some(at) } else { None })
        .collect();
    assert_eq!(waits.len(), 2, "{waits:?}");
    assert!(waits[1] < waits[0], "{waits:?}");
}

#[test]
fn a_lease_that_may_end_before_the_reply_is_given_back_unsent() {
    let mut bench = Bench::new(QueueConfig::default());
    let ids = [bench.put(None), bench.put(None)];
    let (mut drain, commands) = bench.drain(1);
    assert_eq!(sent(&commands), ids[..1]);
    let before = bench.job(&ids[1]).lease.unwrap();
    bench.now = bench.now.after(MINUTE + SECOND);
    let commands = bench.feed(&mut drain, replied(&ids[0], answer(200)));
    let after = bench.job(&ids[1]);
    assert_eq!((sent(&commands), after.place), (vec![ids[1].clone()], Place::Out));
    assert!(after.lease.unwrap().until > before.until, "claimed anew before it was sent");
}

#[test]
fn what_is_at_hand_for_an_origin_found_in_trouble_is_given_back_unsent() {
    let mut bench = Bench::new(QueueConfig::default());
    let ids: Vec<_> = (0..30).map(|_| bench.put(None)).collect();
    let (mut drain, commands) = bench.drain(6);
    let mut in_flight = sent(&commands);
    let mut troubled = 0;
    while !in_flight.is_empty() {
        let id = in_flight.remove(0);
        let more = sent(&bench.feed(&mut drain, replied(&id, answer(503))));
        troubled += 1;
        assert!(troubled <= 5 || more.is_empty(), "sent to an origin that is closed: {more:?}");
        in_flight.extend(more);
    }
    // Five in trouble close it; meanwhile each that was answered had a successor.
    assert!(troubled <= 11, "{troubled} were sent");
    let untouched = ids.iter().filter(|id| bench.job(id).attempts.made == 0);
    assert!(untouched.clone().all(|id| bench.job(id).state == State::Pending && bench.job(id).lease.is_none()));
    assert!(untouched.count() >= 19);
}

#[test]
fn a_silent_origin_holds_up_nobody_else() {
    let mut bench = Bench::new(QueueConfig::default());
    (0..12).for_each(|_| drop(bench.put_to(SILENT, None, None)));
    let others: Vec<JobId> = (0..5).map(|_| bench.put(None)).collect();
    let (mut drain, commands) = bench.drain(6);
    let mut in_flight: Vec<JobId> = sent(&commands).into_iter().filter(|id| others.contains(id)).collect();
    assert!(!in_flight.is_empty(), "some slots are left to the other origin");
    while let Some(id) = in_flight.pop() {
        let more = sent(&bench.feed(&mut drain, replied(&id, answer(200))));
        in_flight.extend(more.into_iter().filter(|id| others.contains(id)));
    }
    assert!(others.iter().all(|id| bench.db.borrow().outcome(id).is_some()), "delivered while the silent one is silent");
}

#[test]
fn a_send_that_stalls_holds_no_slot_of_another_origin() {
    let mut bench = Bench::new(QueueConfig::default());
    (0..12).for_each(|_| drop(bench.put_to(SILENT, None, None)));
    let (mut drain, commands) = bench.drain(6);
    assert_eq!(sent(&commands).len(), 6, "alone, it has all slots");
    let urgent = bench.put(None);
    let nudge = || Input::Nudge { skip: SkipBackoff::None, online: true };
    assert_eq!(sent(&bench.feed(&mut drain, nudge())), []);
    let at = commands.iter().rev().find_map(|command| if let Command::Wait(at) = command { Some(*at) } else { None });
    bench.now = at.expect("a time to look again");
    assert!(bench.now.since(NOON) <= STALLED_AFTER);
    assert_eq!(sent(&bench.feed(&mut drain, Input::Tick)), [urgent]);
}

#[test]
fn after_timeouts_the_breaker_is_asked_before_more_is_sent() {
    let mut bench = Bench::new(QueueConfig::default());
    let ids: Vec<JobId> = (0..12).map(|_| bench.put_to(SILENT, None, None)).collect();
    let (mut drain, commands) = bench.drain(6);
    assert_eq!(sent(&commands), ids[..6]);
    bench.now = bench.now.after(MINUTE);
    // All at once, before a cycle is over.
    for id in &ids[..6] {
        drain.handle(bench.now, replied(id, AttemptResult::TimedOut));
    }
    let mut commands = Vec::new();
    while let Some(command) = drain.poll() {
        match command {
            Command::Cycle(cycle) => commands.extend(bench.feed(&mut drain, Input::CycleCommitted(bench.cycle(&cycle)))),
            other => commands.push(other),
        }
    }
    assert_eq!(sent(&commands), [], "five of them close the origin");
}

#[test]
fn a_timeout_sends_nobody_after_it_while_the_others_stall() {
    let mut bench = Bench::new(QueueConfig::default());
    let ids: Vec<JobId> = (0..12).map(|_| bench.put_to(SILENT, None, None)).collect();
    let (mut drain, _) = bench.drain(6);
    bench.now = bench.now.after(MINUTE);
    for id in &ids[..6] {
        assert_eq!(sent(&bench.feed(&mut drain, replied(id, AttemptResult::TimedOut))), []);
    }
}

#[test]
fn one_good_reply_lets_those_go_that_wait_because_nobody_answered() {
    let mut bench = Bench::new(QueueConfig::default());
    let ids: Vec<JobId> = (0..4).map(|_| bench.put(None)).collect();
    let elsewhere = bench.put_to("https://b.example", None, None);
    bench.first_turn("drain", true, 5);
    for id in ids[1..].iter().chain([&elsewhere]) {
        bench.settle_with("drain", id, AttemptResult::Unreachable);
    }
    assert_eq!(bench.db.borrow().ledger().unwrap().error.as_ref().unwrap().kind, ErrorKind::Network);
    assert_eq!(bench.db.borrow().ledger().unwrap().last_sync_at, None, "nobody was reached");
    let committed = bench.settle("drain", &ids[0], 200);
    assert!(committed.recovered);
    assert_eq!(committed.ledger.error, None, "somebody answers");
    assert_eq!(committed.ledger.last_sync_at, Some(bench.now));
    assert_eq!(bench.claim("drain", 6), ids[1..], "at once, and only of that origin");
}

#[test]
fn what_a_server_asked_to_wait_for_waits_although_the_server_answers() {
    let mut bench = Bench::new(QueueConfig::default());
    let ids = [bench.put(None), bench.put(None)];
    bench.first_turn("drain", true, 2);
    let patience = AttemptResult::Status(Response { status: 503, retry_after: Some("60".to_owned()), ..Response::default() });
    bench.settle_with("drain", &ids[0], patience);
    bench.settle("drain", &ids[1], 200);
    assert_eq!(bench.claim("drain", 6), []);
}

#[test]
fn a_drain_of_an_owner_who_signs_out_claims_and_tells_nothing_more() {
    let mut bench = Bench::new(QueueConfig::default());
    let ids: Vec<JobId> = (0..3).map(|_| bench.put(None)).collect();
    let (mut drain, commands) = bench.drain(1);
    assert_eq!(sent(&commands), ids[..1]);
    bench.sign_in("bob", None);
    drain.handle(bench.now, replied(&ids[0], answer(422)));
    let mut told = 0;
    let mut end = None;
    while let Some(command) = drain.poll() {
        match command {
            Command::Cycle(cycle) => drain.handle(bench.now, Input::CycleCommitted(bench.cycle(&cycle))),
            Command::Tell(_) => told += 1,
            // The shell looks who is signed in before a request leaves.
            Command::Send(Dispatch { id: dispatch, .. }) => {
                let result = AttemptResult::Withheld("signed out".to_owned());
                drain.handle(bench.now, Input::Attempted { dispatch, result, roll: 0.5 });
            }
            Command::Done(summary) => end = Some(summary),
            _ => {}
        }
    }
    assert!(end.expect("it ends").signed_out);
    assert_eq!(told, 0, "bob's pages hear nothing of it");
    assert_eq!(bench.db.borrow().ledger().unwrap().error, None, "nor is it bob's error");
    assert_eq!((bench.job(&ids[0]).state, bench.job(&ids[1]).state), (State::Failed, State::Pending));
}

#[test]
fn a_purge_takes_what_belongs_to_the_owner_that_it_names_and_nothing_else() {
    let mut bench = Bench::new(QueueConfig::default());
    bench.sign_in("ada", None);
    let of_ada = bench.put(None);
    bench.sign_in("bob", None);
    let of_bob = bench.put(None);
    bench.sign_in("bob", Some("ada"));
    assert!(bench.db.borrow().job(&of_ada).is_some(), "bob is signed in already: nothing happens");
    bench.sign_in("", Some("ada"));
    let db = bench.db.borrow();
    assert!(db.job(&of_ada).is_none() && db.job(&of_bob).is_some());
}

#[test]
fn a_job_is_cancelled_whatever_is_happening_to_it() {
    let mut bench = Bench::new(QueueConfig::default());
    let [waits, goes] = [bench.put(None), bench.put(None)];
    bench.claim("drain", 1);
    let cancel = |id: &JobId| bench.write(async |tx| manage::cancel(tx, bench.now, id, &bench.config).await);
    let (first, second) = (cancel(&waits), cancel(&goes));
    assert!(matches!(first, Cancelled::Stopped(_)) && matches!(second, Cancelled::Removed(_)));
    assert_eq!(bench.job(&waits).error.unwrap().kind, ErrorKind::Cancelled, "it may have arrived");
    assert_eq!(cancel(&goes), Cancelled::TooLate);
    bench.settle("drain", &waits, 200);
    assert!(bench.db.borrow().outcome(&waits).is_some(), "it had");
}

#[test]
fn a_sync_by_hand_does_not_look_at_what_waits_for_its_time() {
    let mut bench = Bench::new(QueueConfig::default());
    for _ in 0..200 {
        bench.put_with(None, Some(NOON.after(DAY)));
    }
    let soon = bench.put(None);
    let committed = bench.cycle(&Cycle { skip: SkipBackoff::All, ..later_cycle("drain", 6) });
    assert_eq!(committed.claimed.iter().map(|job| &job.id).collect::<Vec<_>>(), [&soon]);
    assert_eq!(committed.more_to_skip_from, None, "there was nothing to look through");
    bench.now = NOON.after(DAY);
    assert_eq!(bench.cycle(&Cycle { time: Time::Is(bench.now), ..later_cycle("drain", 300) }).claimed.len(), 200);
}
