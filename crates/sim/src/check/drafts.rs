//! Checks what is stored of forms: what was promised is there, what has ended is not, and nothing is of anybody else.

use std::collections::BTreeSet;

use shearwater_core::JobId;

use super::{Checked, Promise, ensure};
use crate::world::World;

/// Looks at every draft.
pub(super) fn check(world: &mut World) -> Checked {
    let mut too_old = Vec::new();
    {
        let (store, promised) = (world.store.borrow(), &world.oracle.drafts);
        for draft in store.drafts() {
            ensure(!promised.has_ended(&draft.id), Promise::Once, || format!("the draft {} has ended and is there", draft.id))?;
        }
        for (id, kept) in promised.kept() {
            let Some(draft) = store.draft(id) else {
                let is_old = world.clock.elapsed() >= kept.ripe_old || world.oracle.time_is_lost;
                ensure(is_old, Promise::Durable, || format!("the draft {id} is lost"))?;
                too_old.push(id.clone());
                continue;
            };
            ensure(draft.owner == kept.owner, Promise::Private, || {
                format!("the draft {id} of {:?} is stored as one of {:?}", kept.owner, draft.owner)
            })?;
            ensure(draft.seq >= kept.seq, Promise::Durable, || {
                format!("the draft {id} is stored at {}, was kept at {}", draft.seq, kept.seq)
            })?;
        }
        let needed: BTreeSet<&JobId> = store.drafts().flat_map(|draft| draft.files.iter().map(|file| &file.id)).collect();
        let files: BTreeSet<&JobId> = store.draft_files().keys().collect();
        ensure(needed == files, Promise::Durable, || format!("files of drafts: {files:?} are stored, {needed:?} are needed"))?;
    }
    world.oracle.drafts.forget(&too_old);
    Ok(())
}
