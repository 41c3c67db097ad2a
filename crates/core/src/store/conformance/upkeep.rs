//! What keeps a store sound: quarantine, a ledger made anew, pruning.

use super::{Backend, NOW, id, job, read, store, write};
use crate::{
    queue::{
        config::WorkerConfig,
        job::{Job, State},
        last_error::{ErrorKind, LastError},
        manage,
    },
    store::{
        Answer, Caller, Index, Scan, Scope, Tombstone, Tx, load, quarantine, read_ledger, receipts, repair, row::ReceiptKey,
        save, tombstones,
    },
    time::{Millis, unit},
};

async fn pending<B: Backend>(backend: &B, expected: u64) {
    read(backend, Scope::STATUS, async |tx| {
        let pending: u64 = read_ledger(tx).await?.queues.iter().map(|queue| queue.counts.pending).sum();
        assert_eq!(pending, expected);
        Ok(())
    })
    .await;
}

pub(super) async fn a_corrupt_row_is_put_aside_and_counted<B: Backend>(backend: &B) {
    store(backend, &[1, 2]).await;
    backend.corrupt(&id(1)).await;
    write(backend, Scope::WORK, async |tx| {
        assert_eq!(tx.quarantined(), 0);
        assert!(tx.get::<Job>(&id(1)).await?.is_none());
        assert_eq!(tx.quarantined(), 1);
        let aside = tx.aside().await?;
        assert_eq!(aside.iter().map(|aside| aside.id.as_ref()).collect::<Vec<_>>(), [Some(&id(1))]);
        Ok(())
    })
    .await;
    // It is gone from its store, with its entries.
    write(backend, Scope::WORK, async |tx| {
        assert_eq!(tx.page::<Job>(None, 10).await?.len(), 1);
        assert_eq!(tx.scan(&Scan::of(Index::State, vec!["", "default", "pending"], 10)).await?.len(), 1);
        assert_eq!((tx.quarantined(), tx.aside().await?.len()), (0, 1));
        repair::repair(tx).await.map(drop)
    })
    .await;
    pending(backend, 1).await;
}

pub(super) async fn a_corrupt_row_is_passed_over_by_what_only_reads<B: Backend>(backend: &B) {
    store(backend, &[1, 2]).await;
    backend.corrupt(&id(1)).await;
    read(backend, Scope::VIEW, async |tx| {
        assert_eq!(tx.page::<Job>(None, 10).await?.len(), 1);
        assert!(tx.get::<Job>(&id(1)).await?.is_none());
        Ok(())
    })
    .await;
    read(backend, Scope::QUARANTINE, async |tx| {
        assert!(tx.aside().await?.is_empty());
        Ok(())
    })
    .await;
}

pub(super) async fn a_page_of_corrupt_rows_is_not_the_last<B: Backend>(backend: &B) {
    store(backend, &[1, 2, 3, 4, 5]).await;
    for number in [1, 2, 3] {
        backend.corrupt(&id(number)).await;
    }
    write(backend, Scope::WORK, async |tx| {
        assert_eq!(tx.page::<Job>(None, 2).await?.first().map(|job| job.id.clone()), Some(id(4)));
        Ok(())
    })
    .await;
}

pub(super) async fn a_purge_takes_the_owners_rows_in_quarantine_and_no_others<B: Backend>(backend: &B) {
    store(backend, &[1]).await;
    backend.corrupt(&id(1)).await;
    write(backend, Scope::WORK, async |tx| {
        assert!(tx.get::<Job>(&id(1)).await?.is_none());
        assert!(quarantine::purge(tx, "ada").await?.is_empty());
        assert_eq!(tx.aside().await?.len(), 1);
        assert_eq!(quarantine::purge(tx, "").await?, [id(1)]);
        assert!(tx.aside().await?.is_empty());
        Ok(())
    })
    .await;
}

pub(super) async fn a_lost_ledger_is_made_anew_from_the_rows_with_a_later_version<B: Backend>(backend: &B) {
    store(backend, &[1, 2]).await;
    let version = std::cell::Cell::new(0);
    read(backend, Scope::STATUS, async |tx| {
        version.set(read_ledger(tx).await?.version);
        Ok(())
    })
    .await;
    backend.lose_ledger().await;
    pending(backend, 2).await;
    // By what only reads nothing is written: it is lost still.
    write(backend, Scope::WORK, async |tx| manage::discard(tx, NOW, &id(1), false).await.map(drop)).await;
    pending(backend, 1).await;
    assert!(job(backend, 2).await.is_some());
    read(backend, Scope::STATUS, async |tx| {
        assert!(read_ledger(tx).await?.version > version.get());
        Ok(())
    })
    .await;
}

pub(super) async fn receipts_are_in_the_order_of_time_and_the_old_ones_are_pruned<B: Backend>(backend: &B) {
    let key = |at: u64, re: &str| ReceiptKey { at: Millis(at), re: re.to_owned() };
    write(backend, Scope::WORK, async |tx| {
        for (at, re) in [(9, "d"), (1_000, "c"), (1_000, "b"), (20_000, "a")] {
            tx.put_at(&key(at, re), &Answer::InTime(re == "c"))?;
        }
        Ok(())
    })
    .await;
    write(backend, Scope::WORK, async |tx| {
        assert_eq!(tx.get::<Answer>(&key(1_000, "c")).await?, Some(Answer::InTime(true)));
        assert_eq!(tx.get::<Answer>(&key(1_000, "a")).await?, None);
        let all = [key(9, "d"), key(1_000, "b"), key(1_000, "c"), key(20_000, "a")];
        assert_eq!(tx.keys::<Answer>(None, 10).await?, all);
        // The latest are kept, however old.
        receipts::prune_answers(tx, Millis(30_000), 4).await?;
        assert_eq!(tx.count::<Answer>().await?, 4);
        receipts::prune_answers(tx, Millis(30_000), 3).await?;
        assert_eq!(tx.keys::<Answer>(None, 10).await?, all[1..]);
        receipts::prune_answers(tx, Millis(1_001), 0).await?;
        assert_eq!(tx.keys::<Answer>(None, 10).await?, all[3..]);
        Ok(())
    })
    .await;
}

pub(super) async fn tombstones_are_pruned_by_their_age<B: Backend>(backend: &B) {
    write(backend, Scope::WORK, async |tx| {
        for (number, at) in [(1, 30), (2, 10), (3, 20)] {
            tx.put(&Tombstone { id: id(number), at: Millis(at) })?;
        }
        Ok(())
    })
    .await;
    write(backend, Scope::WORK, async |tx| {
        tombstones::prune(tx, Millis(100), 3).await?;
        assert_eq!(tx.keys::<Tombstone>(None, 10).await?, [id(1), id(2), id(3)]);
        tombstones::prune(tx, Millis(100), 2).await?;
        assert_eq!(tx.keys::<Tombstone>(None, 10).await?, [id(1), id(3)]);
        tombstones::prune(tx, Millis(20), 0).await?;
        assert_eq!(tx.keys::<Tombstone>(None, 10).await?, [id(1)]);
        Ok(())
    })
    .await;
}

pub(super) async fn compaction_goes_by_when_a_dead_letter_ended_and_by_no_time_in_doubt<B: Backend>(backend: &B) {
    let (week, config, caller) = (7 * unit::DAY, WorkerConfig::default(), Caller::default());
    store(backend, &[1, 2]).await;
    let ended = NOW.after(week);
    write(backend, Scope::WORK, async |tx| {
        // One was tried at once and refused, the other was tried as early and expired a week later.
        for (number, kind) in [(1, ErrorKind::Http), (2, ErrorKind::Expired)] {
            let mut job = tx.get::<Job>(&id(number)).await?.expect("it is stored");
            job.state = State::Failed;
            job.attempts.last_tried_at = Some(NOW);
            job.schedule.expires_at = ended;
            job.error = Some(LastError { kind, status: None, message: String::new() });
            tx.put(&job)?;
        }
        repair::repair(tx).await.map(drop)
    })
    .await;
    write(backend, Scope::WORK, async |tx| {
        let mut ledger = load(tx).await?;
        ledger.seen = NOW;
        save(tx, &mut ledger).await?;
        // The clock may have been set forward.
        let compacted = manage::compact_by_itself(tx, ended.after(unit::HOUR), Some(unit::DAY), &caller, &config).await?;
        assert_eq!(compacted.failed, 0);
        ledger = load(tx).await?;
        ledger.seen = ended;
        save(tx, &mut ledger).await
    })
    .await;
    write(backend, Scope::WORK, async |tx| {
        let compacted = manage::compact_by_itself(tx, ended.after(unit::MINUTE), Some(unit::DAY), &caller, &config).await?;
        assert_eq!(compacted.failed, 1);
        assert_eq!(tx.page::<Job>(None, 10).await?.iter().map(|job| &job.id).collect::<Vec<_>>(), [&id(2)]);
        Ok(())
    })
    .await;
}
