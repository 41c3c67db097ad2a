//! What a person or the app does meanwhile.

use super::*;

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
    let cancel = |id: &JobId| bench.write(async |tx| manage::cancel(tx, bench.now, id, false, &bench.config).await);
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
