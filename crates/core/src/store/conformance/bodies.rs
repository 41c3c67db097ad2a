//! Bodies: apart from the rows, small ones in packs.

use super::{Backend, NOW, id, job, read, store, write};
use crate::{
    queue::manage,
    store::{
        Scope, Tx, repair,
        row::{Pack, PackKey, PackUse, PackUseKey},
    },
};

async fn packs<B: Backend>(backend: &B, expected: &[(u8, Option<u32>)]) {
    read(backend, Scope::CONTENT, async |tx| {
        let keys = tx.keys::<Pack>(None, 10).await?;
        assert_eq!(keys, expected.iter().map(|(number, _)| PackKey(id(*number))).collect::<Vec<_>>());
        for (number, left) in expected {
            assert_eq!(tx.get::<PackUse>(&PackUseKey(id(*number))).await?, left.map(PackUse));
        }
        Ok(())
    })
    .await;
}

async fn discard<B: Backend>(backend: &B, number: u8) {
    write(backend, Scope::WORK, async |tx| manage::discard(tx, NOW, &id(number), false).await.map(drop)).await;
}

pub(super) async fn small_bodies_share_a_pack_until_the_last_job_has_left<B: Backend>(backend: &B) {
    store(backend, &[1, 2, 3]).await;
    packs(backend, &[(1, Some(3))]).await;
    for number in [1, 2, 3] {
        let job = job(backend, number).await.expect("stored");
        assert!(job.work.request().packed.is_some() && backend.has_body(&job, number).await);
    }
    discard(backend, 1).await;
    discard(backend, 3).await;
    packs(backend, &[(1, Some(1))]).await;
    assert!(backend.has_body(&job(backend, 2).await.expect("stored"), 2).await);
    discard(backend, 2).await;
    packs(backend, &[]).await;
}

pub(super) async fn a_body_of_its_own_leaves_with_its_job<B: Backend>(backend: &B) {
    store(backend, &[1]).await;
    let stored = job(backend, 1).await.expect("stored");
    assert!(stored.work.request().packed.is_none() && backend.has_body(&stored, 1).await);
    discard(backend, 1).await;
    assert!(job(backend, 1).await.is_none() && !backend.has_body(&stored, 1).await);
}

pub(super) async fn a_pack_whose_count_is_lost_is_counted_anew_by_a_repair<B: Backend>(backend: &B) {
    store(backend, &[1, 2]).await;
    store(backend, &[3, 4]).await;
    write(backend, Scope::WORK, async |tx| {
        tx.delete::<PackUse>(&PackUseKey(id(1)))?;
        tx.put_at(&PackUseKey(id(3)), &PackUse(9))
    })
    .await;
    packs(backend, &[(1, None), (3, Some(9))]).await;
    discard(backend, 1).await;
    packs(backend, &[(1, None), (3, Some(9))]).await;
    write(backend, Scope::WORK, async |tx| repair::repair(tx).await.map(drop)).await;
    packs(backend, &[(1, Some(1)), (3, Some(2))]).await;
}
