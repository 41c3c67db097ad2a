//! What does not parse, and replies that come late.

use super::*;

#[test]
fn a_hand_that_finds_a_corrupt_row_counts_it_out() {
    let mut bench = Bench::new(QueueConfig::default());
    let (bad, next) = (bench.put(Some("k")), bench.put(Some("k")));
    bench.db.borrow_mut().corrupt(&bad);
    assert!(bench.write(async |tx| manage::discard(tx, bench.now, &bad, false).await).is_empty());
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
    let change =
        Edit { request, headers: true, origin: None, body: Body::None, is_json: false, idempotency_key: "other".to_owned() };
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
