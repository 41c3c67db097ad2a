//! Rows: put, found by key and by index, deleted, taken back.

use super::{Backend, NOW, id, job, read, store, store_keyed, write};
use crate::{
    error::{Error, ErrorCode},
    queue::{
        history::Outcome,
        job::{Job, Place, State},
    },
    routes::would_overtake,
    store::{ByDelivery, Index, Scan, Scope, Session, Tombstone, Tx, row::SessionKey},
    time::Millis,
};

fn scan<'a>(index: Index, texts: &[&'a str], limit: u32) -> Scan<'a, Index> {
    Scan::of(index, texts.to_vec(), limit)
}

/// Jobs of one state, in the order of queueing.
fn of_state(state: State, limit: u32) -> Scan<'static, Index> {
    scan(Index::State, &["", "default", state.as_str()], limit)
}

fn seqs(jobs: &[Job]) -> Vec<u64> {
    jobs.iter().map(|job| job.order.seq).collect()
}

fn outcome(number: u8, delivered_at: u64) -> Outcome {
    Outcome {
        v: 1,
        id: id(number),
        queue: "default".to_owned(),
        owner: String::new(),
        key: None,
        method: "POST".to_owned(),
        url: "https://api.example/note".to_owned(),
        status: Some(200),
        attempts: 1,
        queued_at: NOW,
        delivered_at: Millis(delivered_at),
        capture: None,
        captured: None,
    }
}

pub(super) async fn what_was_put_is_there_and_what_was_deleted_is_not<B: Backend>(backend: &B) {
    write(backend, Scope::WORK, async |tx| tx.put(&Tombstone { id: id(1), at: NOW })).await;
    let has = async |is_there: bool| {
        read(backend, Scope::ALL, async |tx| {
            assert_eq!(tx.get::<Tombstone>(&id(1)).await?, is_there.then(|| Tombstone { id: id(1), at: NOW }));
            assert_eq!(tx.count::<Tombstone>().await?, u32::from(is_there));
            assert_eq!(tx.keys::<Tombstone>(None, 10).await?.len(), usize::from(is_there));
            Ok(())
        })
        .await;
    };
    has(true).await;
    write(backend, Scope::WORK, async |tx| tx.delete::<Tombstone>(&id(1))).await;
    has(false).await;
    // There is nothing to delete, and that is no error.
    write(backend, Scope::WORK, async |tx| tx.delete::<Tombstone>(&id(1))).await;
}

pub(super) async fn a_row_that_is_put_again_replaces_the_one_before<B: Backend>(backend: &B) {
    store(backend, &[1]).await;
    let mut changed = job(backend, 1).await.expect("stored");
    changed.attempts.made = 7;
    write(backend, Scope::WORK, async |tx| tx.put(&changed)).await;
    assert_eq!(job(backend, 1).await, Some(changed));
}

pub(super) async fn each_key_gets_its_row_or_nothing<B: Backend>(backend: &B) {
    store(backend, &[1, 3]).await;
    read(backend, Scope::VIEW, async |tx| {
        let found = tx.get_each::<Job>(&[&id(3), &id(2), &id(1), &id(3)]).await?;
        let ids: Vec<_> = found.into_iter().map(|job| job.map(|job| job.id)).collect();
        assert_eq!(ids, [Some(id(3)), None, Some(id(1)), Some(id(3))]);
        assert!(tx.get_each::<Job>(&[]).await?.is_empty());
        Ok(())
    })
    .await;
}

pub(super) async fn reads_see_what_the_same_transaction_wrote<B: Backend>(backend: &B) {
    store(backend, &[1, 2]).await;
    let mut first = job(backend, 1).await.expect("stored");
    first.state = State::Failed;
    first.place = Place::Out;
    write(backend, Scope::WORK, async |tx| {
        tx.put(&first)?;
        assert_eq!(tx.get::<Job>(&id(1)).await?.as_ref(), Some(&first));
        assert_eq!(seqs(&tx.scan(&of_state(State::Failed, 10)).await?), [1]);
        assert_eq!(seqs(&tx.scan(&of_state(State::Pending, 10)).await?), [2]);
        tx.delete::<Job>(&id(2))?;
        assert!(tx.scan(&of_state(State::Pending, 10)).await?.is_empty());
        assert_eq!(tx.page::<Job>(None, 10).await?.len(), 1);
        Ok(())
    })
    .await;
}

pub(super) async fn work_that_fails_leaves_everything_as_it_was<B: Backend>(backend: &B) {
    store(backend, &[1, 2]).await;
    let before = [job(backend, 1).await, job(backend, 2).await];
    let fails = backend
        .transact(true, Scope::ALL, async |tx| {
            tx.delete::<Job>(&id(1))?;
            let mut second = tx.get::<Job>(&id(2)).await?.expect("stored");
            second.state = State::Failed;
            tx.put(&second)?;
            tx.put(&outcome(1, 7))?;
            tx.put(&Session { owner: "ada".to_owned(), ..Session::default() })?;
            tx.put(&Tombstone { id: id(1), at: NOW })?;
            tx.put_body(&id(2), &backend.body(9))?;
            Err(Error::invalid_request("on purpose"))
        })
        .await;
    assert_eq!(fails.expect_err("it fails").message, "on purpose");
    assert_eq!([job(backend, 1).await, job(backend, 2).await], before);
    read(backend, Scope::ALL, async |tx| {
        assert!(tx.get::<Outcome>(&id(1)).await?.is_none());
        assert_ne!(tx.get::<Session>(&SessionKey).await?.map(|session| session.owner).as_deref(), Some("ada"));
        assert_eq!(tx.count::<Tombstone>().await?, 0);
        assert_eq!(seqs(&tx.scan(&of_state(State::Pending, 10)).await?), [1, 2]);
        Ok(())
    })
    .await;
}

pub(super) async fn a_duplicate_that_is_added_fails_the_transaction<B: Backend>(backend: &B) {
    store(backend, &[1]).await;
    let stored = job(backend, 1).await.expect("stored");
    let twice = backend
        .transact(true, Scope::WORK, async |tx| {
            tx.put(&Tombstone { id: id(2), at: NOW })?;
            let mut again = stored.clone();
            again.attempts.made = 7;
            tx.add(&again)
        })
        .await;
    assert_eq!(twice.expect_err("refused").code, ErrorCode::InvalidRequest);
    assert_eq!(job(backend, 1).await, Some(stored));
    read(backend, Scope::ALL, async |tx| {
        assert_eq!(tx.count::<Tombstone>().await?, 0);
        Ok(())
    })
    .await;
}

pub(super) async fn a_scan_returns_its_range_in_the_order_of_the_index<B: Backend>(backend: &B) {
    // The ids run against the order of queueing.
    store(backend, &[9, 5, 7, 1]).await;
    read(backend, Scope::VIEW, async |tx| {
        let all = of_state(State::Pending, 10);
        assert_eq!(seqs(&tx.scan(&all).await?), [1, 2, 3, 4]);
        assert_eq!(seqs(&tx.scan(&all.clone().from(2).upto(3)).await?), [2, 3]);
        assert_eq!(seqs(&tx.scan(&all.clone().from(4)).await?), [4]);
        assert_eq!(seqs(&tx.scan(&of_state(State::Pending, 3)).await?), [1, 2, 3]);
        assert_eq!(seqs(&tx.scan(&of_state(State::Failed, 10)).await?), [0_u64; 0]);
        for none in [["", "defaul", "pending"], ["", "default2", "pending"], ["a", "default", "pending"]] {
            assert!(tx.scan(&scan(Index::State, &none, 10)).await?.is_empty(), "{none:?}");
        }
        let ready = scan(Index::Ready, &["", "default", "https://api.example"], 10);
        assert_eq!(tx.scan(&ready).await?.len(), 4);
        assert!(tx.scan(&scan(Index::Due, &["", "default"], 10)).await?.is_empty());
        Ok(())
    })
    .await;
}

pub(super) async fn a_row_leaves_the_indexes_that_it_does_not_belong_to_any_more<B: Backend>(backend: &B) {
    store(backend, &[1]).await;
    let mut waits = job(backend, 1).await.expect("stored");
    (waits.place, waits.schedule.next_attempt_at) = (Place::Due, Millis(NOW.0 + 5));
    write(backend, Scope::WORK, async |tx| tx.put(&waits)).await;
    read(backend, Scope::VIEW, async |tx| {
        assert!(tx.scan(&scan(Index::Ready, &["", "default", "https://api.example"], 10)).await?.is_empty());
        let due = scan(Index::Due, &["", "default"], 10);
        assert!(tx.scan(&due.clone().upto(NOW.0 + 4)).await?.is_empty());
        assert_eq!(tx.scan(&due.upto(NOW.0 + 5)).await?.len(), 1);
        Ok(())
    })
    .await;
}

pub(super) async fn pages_have_all_rows_in_the_order_of_their_keys<B: Backend>(backend: &B) {
    store(backend, &[4, 2, 3, 1]).await;
    read(backend, Scope::VIEW, async |tx| {
        let ids = |jobs: Vec<Job>| jobs.into_iter().map(|job| job.id).collect::<Vec<_>>();
        assert_eq!(ids(tx.page(None, 3).await?), [id(1), id(2), id(3)]);
        assert_eq!(ids(tx.page(Some(&id(3)), 3).await?), [id(4)]);
        assert_eq!(ids(tx.page(Some(&id(4)), 3).await?), []);
        assert_eq!(tx.keys::<Job>(Some(&id(2)), 10).await?, [id(1), id(2)]);
        assert_eq!(tx.keys::<Job>(None, 1).await?, [id(1)]);
        Ok(())
    })
    .await;
}

pub(super) async fn the_history_is_read_from_its_oldest_entry<B: Backend>(backend: &B) {
    write(backend, Scope::WORK, async |tx| {
        [(1, 30), (2, 10), (3, 20), (4, 10)].into_iter().try_for_each(|(number, at)| tx.put(&outcome(number, at)))
    })
    .await;
    read(backend, Scope::VIEW, async |tx| {
        let oldest = tx.scan(&Scan::of(ByDelivery, Vec::new(), 3)).await?;
        assert_eq!(oldest.iter().map(|outcome| &outcome.id).collect::<Vec<_>>(), [&id(2), &id(4), &id(3)]);
        assert_eq!(tx.scan(&Scan::of(ByDelivery, Vec::new(), 9).upto(20)).await?.len(), 3);
        Ok(())
    })
    .await;
}

pub(super) async fn a_request_overtakes_the_stored_jobs_of_its_key_and_no_others<B: Backend>(backend: &B) {
    store(backend, &[1]).await;
    store_keyed(backend, 2, "a").await;
    read(backend, Scope::VIEW, async |tx| {
        assert!(would_overtake(tx, "default", "a").await?);
        assert!(!would_overtake(tx, "default", "b").await?);
        assert!(!would_overtake(tx, "other", "a").await?);
        Ok(())
    })
    .await;
    write(backend, Scope::WORK, async |tx| tx.delete::<Job>(&id(2))).await;
    read(backend, Scope::VIEW, async |tx| {
        assert!(!would_overtake(tx, "default", "a").await?);
        Ok(())
    })
    .await;
}

pub(super) async fn a_store_that_was_not_named_cannot_be_touched<B: Backend>(backend: &B) {
    store(backend, &[1]).await;
    let refused = async |writes, work: &dyn Fn(&B::Tx<'_>) -> Result<(), Error>| {
        let result = backend.transact(writes, Scope::SESSION, async |tx| work(tx)).await;
        assert_eq!(result.expect_err("refused").code, ErrorCode::Internal);
    };
    refused(true, &|tx| tx.delete::<Job>(&id(1))).await;
    refused(true, &|tx| tx.put(&Tombstone { id: id(1), at: NOW })).await;
    refused(true, &|tx| tx.put_body(&id(1), &backend.body(1))).await;
    refused(true, &|tx| tx.delete_aside(1)).await;
    let read = backend.transact(false, Scope::SESSION, async |tx| tx.get::<Job>(&id(1)).await.map(drop)).await;
    assert_eq!(read.expect_err("refused").code, ErrorCode::Internal);
    assert!(job(backend, 1).await.is_some());
}

pub(super) async fn the_session_is_read_apart<B: Backend>(backend: &B) {
    let ada = Session { owner: "ada".to_owned(), number: 3, ..Session::default() };
    write(backend, Scope::ALL, async |tx| tx.put(&ada)).await;
    read(backend, Scope::SESSION, async |tx| {
        assert_eq!(tx.get::<Session>(&SessionKey).await?.as_ref(), Some(&ada));
        Ok(())
    })
    .await;
}
