//! Drafts of forms: kept, found by their form, ended with their files.

use std::cell::RefCell;

use super::{Backend, NOW, id, read, write};
use crate::{
    drafts::{self, Draft, Save},
    queue::config::DraftsConfig,
    store::{
        Caller, Scope, Tombstone, Tx,
        row::{DraftFile, DraftFileKey},
    },
};

fn save(number: u8, seq: u64, files: &[u8]) -> Save {
    let files = files.iter().map(|file| id(*file)).collect();
    Save { id: id(number), form: "form".to_owned(), seq, fields: format!("[{seq}]"), files }
}

/// Saves, with the bytes of these files.
async fn keep<B: Backend>(backend: &B, wanted: &Save, new: &[u8]) -> bool {
    let kept = RefCell::new(false);
    write(backend, Scope::DRAFTS, async |tx| {
        let new: Vec<_> = new.iter().map(|file| (id(*file), backend.body(*file), 4)).collect();
        kept.replace(drafts::save(tx, NOW, wanted, &new, &Caller::default(), &DraftsConfig::default()).await?);
        Ok(())
    })
    .await;
    kept.take()
}

async fn listed<B: Backend>(backend: &B) -> Vec<Draft> {
    let found = RefCell::new(Vec::new());
    read(backend, Scope::DRAFTS, async |tx| {
        found.replace(drafts::list(tx, "form", &Caller::default()).await?);
        Ok(())
    })
    .await;
    found.take()
}

async fn files<B: Backend>(backend: &B) -> Vec<DraftFileKey> {
    let found = RefCell::new(Vec::new());
    read(backend, Scope::DRAFTS, async |tx| {
        found.replace(tx.keys::<DraftFile>(None, 10).await?);
        Ok(())
    })
    .await;
    found.take()
}

pub(super) async fn a_draft_is_kept_with_its_files_until_it_ends<B: Backend>(backend: &B) {
    assert!(keep(backend, &save(1, 1, &[7, 8]), &[7, 8]).await);
    assert!(keep(backend, &save(1, 2, &[8, 9]), &[9]).await, "a file that is stored need not come again");
    assert!(keep(backend, &save(1, 1, &[7]), &[7]).await, "it is kept, by a later save");
    assert_eq!(listed(backend).await.iter().map(|draft| (draft.seq, draft.fields.as_str())).collect::<Vec<_>>(), [(2, "[2]")]);
    assert_eq!(files(backend).await, [DraftFileKey(id(8)), DraftFileKey(id(9))]);
    write(backend, Scope::DRAFTS, async |tx| drafts::discard(tx, NOW, &id(1), &Caller::default()).await.map(drop)).await;
    assert!(!keep(backend, &save(1, 3, &[]), &[]).await, "a save that comes late brings nothing back");
    assert!(listed(backend).await.is_empty() && files(backend).await.is_empty());
}

pub(super) async fn a_draft_that_is_taken_over_has_another_name_and_the_same_content<B: Backend>(backend: &B) {
    keep(backend, &save(1, 5, &[7]), &[7]).await;
    write(backend, Scope::DRAFTS, async |tx| {
        assert!(drafts::claim(tx, NOW, &id(1), &id(2), &Caller::default()).await?);
        assert!(!drafts::claim(tx, NOW, &id(1), &id(3), &Caller::default()).await?, "it is taken");
        assert!(tx.get::<Tombstone>(&id(1)).await?.is_some());
        Ok(())
    })
    .await;
    let drafts = listed(backend).await;
    assert_eq!(drafts.iter().map(|draft| (&draft.id, draft.seq)).collect::<Vec<_>>(), [(&id(2), 5)]);
    assert_eq!(files(backend).await, [DraftFileKey(id(7))]);
    assert!(!keep(backend, &save(1, 6, &[]), &[]).await);
}
