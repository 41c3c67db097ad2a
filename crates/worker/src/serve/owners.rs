//! Serves who is signed in.

use std::rc::Rc;

use shearwater_core::{
    Error,
    protocol::{SetOwner, operation},
    queue::{config::check_name, manage},
    store::{Answer, Caller},
};

use super::{Served, change};
use crate::{clock, engine::Engine, store::Db};

/// Says who is signed in.
pub async fn set_owner(engine: &Rc<Engine>, request: SetOwner, caller: Caller) -> Result<Served, Error> {
    let SetOwner { owner, purge } = request;
    if let Some(owner) = &owner {
        check_name("owner", owner)?;
    }
    let (owner, now) = (owner.unwrap_or_default(), clock::now());
    // What was claimed for the one before and is not on its way yet, is not sent any more.
    let changes = engine.owner() != owner;
    if changes {
        engine.stop(&engine.owner(), None);
    }
    let changed = change(engine, &caller, "set-owner-after", &|db: Rc<Db>| {
        Box::pin(async {
            manage::set_owner(&*{ db }, now, &owner, purge.as_deref(), &engine.config).await?;
            Ok(Answer::Done)
        })
    })
    .await?;
    engine.saw(&changed.ledger);
    #[cfg(feature = "full")]
    crate::collections::tell(engine, None);
    if changes {
        engine.sends.revoke();
        // One that began while this was being written has claimed before it.
        engine.stop_others();
    }
    let then = changed.drain_all(engine, None).await?;
    changed.served::<operation::SetOwner>(then)
}
