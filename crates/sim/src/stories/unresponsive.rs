//! An origin that does not respond beside others that do.

use super::*;

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
    let nudge = || Input::Nudge { skip: SkipBackoff::None, online: true, connection: Connection::default() };
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
