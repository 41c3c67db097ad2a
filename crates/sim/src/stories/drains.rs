//! What a drain takes, keeps and gives back.

use super::*;

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
fn a_clock_that_is_set_back_while_a_cycle_is_committed_delays_nothing() {
    let mut bench = Bench::new(QueueConfig::default());
    let id = bench.put(None);
    let (mut drain, _) = bench.drain(6);
    drain.handle(bench.now, replied(&id, answer(503)));
    let Some(Command::Cycle(cycle)) = drain.poll() else { panic!("the reply is settled") };
    let committed = bench.cycle(&cycle);
    bench.now = Millis(bench.now.0 - DAY);
    let commands = bench.feed(&mut drain, Input::CycleCommitted(committed));
    assert!(matches!(commands[..], [Command::Wait(at)] if at < bench.now.after(MINUTE)), "{commands:?}");
    // Its time is as long as before.
    bench.now = bench.now.after(HOUR);
    assert!(summary(bench.feed(&mut drain, Input::Tick)).is_some());
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
