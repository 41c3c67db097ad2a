use std::{cell::RefCell, rc::Rc};

use shearwater_core::{
    Error, ErrorCode, JobId,
    drafts::Submission,
    store::{Caller, ledger::Ledger},
};
use shearwater_web::spawn_local;
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{admitted, all_on_disk, sending::plain_engine, settle, writes_begun};
use crate::{clock, engine::Engine, intake::Arrival};

type Outcomes = Rc<RefCell<Vec<Result<Ledger, Error>>>>;

/// A call with one job, and the job's id.
fn arrival(bytes: u32) -> (JobId, Arrival) {
    let (id, job) = admitted("{}", bytes);
    let caller = Caller { re: clock::unique_name(), at: Some(clock::now()), owner: None };
    (id, Arrival { caller, jobs: vec![job], repeat: false, size: bytes.into(), submission: Submission::default() })
}

/// Makes all calls at once, and returns their outcomes in the order in which they were known.
async fn taken_in(engine: &Rc<Engine>, arrivals: Vec<Arrival>) -> Vec<Result<Ledger, Error>> {
    let (count, outcomes) = (arrivals.len(), Outcomes::default());
    for arrival in arrivals {
        let (engine, outcomes) = (Rc::clone(engine), Rc::clone(&outcomes));
        spawn_local(async move {
            let outcome = engine.take_in(arrival).await;
            outcomes.borrow_mut().push(outcome.map(|(ledger, _)| ledger));
        });
    }
    while outcomes.borrow().len() < count {
        settle().await;
    }
    outcomes.take()
}

async fn jobs_on_disk(engine: &Engine) -> u32 {
    all_on_disk(&engine.config.name, "jobs").await.unwrap().unchecked_into::<js_sys::Array>().length()
}

#[wasm_bindgen_test]
async fn calls_that_come_together_share_commits() {
    let engine = plain_engine();
    writes_begun(&engine.config.name);
    let outcomes = taken_in(&engine, (0..100).map(|_| arrival(4).1).collect()).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert!(writes_begun(&engine.config.name) <= 2, "the first, and all who came meanwhile");
    assert_eq!(jobs_on_disk(&engine).await, 100);
}

#[wasm_bindgen_test]
async fn the_ledger_that_a_call_is_answered_with_counts_its_jobs() {
    let engine = plain_engine();
    for expected in 1..=2 {
        let (ledger, _) = engine.take_in(arrival(4).1).await.unwrap();
        assert_eq!(ledger.queues.iter().map(|queue| queue.counts.pending).sum::<u64>(), expected);
    }
}

#[wasm_bindgen_test]
async fn a_call_that_is_refused_costs_those_beside_it_nothing() {
    let engine = plain_engine();
    let (_, first) = arrival(4);
    engine.take_in(first.clone()).await.unwrap();
    // The same job again, by another message: its id is taken.
    let taken = Arrival { caller: Caller { re: clock::unique_name(), ..first.caller.clone() }, ..first };
    let outcomes = taken_in(&engine, vec![arrival(4).1, taken, arrival(4).1]).await;
    let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!(refused.iter().map(|error| error.code).collect::<Vec<_>>(), [ErrorCode::InvalidRequest]);
    assert_eq!(jobs_on_disk(&engine).await, 3);
}

#[wasm_bindgen_test]
async fn a_message_that_comes_again_stores_nothing_twice() {
    let engine = plain_engine();
    let (_, arrival) = arrival(4);
    let outcomes = taken_in(&engine, vec![arrival.clone(), arrival.clone()]).await;
    assert!(outcomes.iter().all(Result::is_ok));
    engine.take_in(arrival).await.unwrap();
    assert_eq!(jobs_on_disk(&engine).await, 1);
}

#[wasm_bindgen_test]
async fn no_more_than_4_mib_of_bodies_share_a_commit() {
    let engine = plain_engine();
    engine.take_in(arrival(4).1).await.unwrap();
    writes_begun(&engine.config.name);
    let outcomes = taken_in(&engine, (0..4).map(|_| arrival(2 << 20).1).collect()).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(writes_begun(&engine.config.name), 2);
}

#[wasm_bindgen_test]
async fn what_is_known_to_find_no_room_is_refused_without_a_try() {
    let engine = plain_engine();
    engine.store.note_full(1_000);
    writes_begun(&engine.config.name);
    assert_eq!(engine.take_in(arrival(1_000).1).await.unwrap_err().code, ErrorCode::QuotaExceeded);
    assert_eq!(writes_begun(&engine.config.name), 0);
    engine.take_in(arrival(999).1).await.unwrap();
}
