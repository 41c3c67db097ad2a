//! Submits a form: its job is stored, its draft ends and the failed job that it replaces goes, all or none.

use super::end;
use crate::{
    boxed::boxed,
    error::Error,
    id::JobId,
    queue::{
        binding,
        enqueue::{Admitted, enqueue},
        history::Outcome,
        job::Job,
        manage,
    },
    store::{Caller, Tx, read_ledger},
    time::Millis,
};

/// What ends with the call that stores a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submission {
    /// The form's draft.
    pub draft: Option<JobId>,
    /// The job that the new one stands for.
    pub replaces: Option<JobId>,
}

/// As [`enqueue`], with what ends by it.
///
/// # Errors
/// As [`enqueue`]; `invalid-request` when the job to replace is being sent or was delivered: then the new one would be a
/// second, and nothing is stored.
pub async fn submit<T: Tx>(
    tx: &T,
    now: Millis,
    jobs: Vec<(Admitted, Option<T::Body>)>,
    repeat: bool,
    submission: &Submission,
    caller: &Caller,
) -> Result<Vec<(JobId, bool)>, Error> {
    let mut replaced = None;
    if let Some(id) = &submission.replaces {
        replaced = manage::replace(tx, now, id).await?;
        if replaced.is_none() && (tx.get::<Job>(id).await?.is_some() || tx.get::<Outcome>(id).await?.is_some()) {
            return Err(Error::invalid_request("the job to replace is being sent or was delivered; nothing was stored"));
        }
    }
    let ids = enqueue(tx, now, jobs, repeat, caller).await?;
    if let Some(replaced) = replaced {
        // Without a new job nobody is there to be waited for, which is found out.
        let new = ids.first().map_or(&replaced.id, |(new, _)| new);
        boxed(binding::hand_over(tx, &replaced, new, now)).await?;
    }
    if let Some(draft) = &submission.draft {
        let ledger = read_ledger(tx).await?;
        end(tx, now, draft, caller.owner_or(&ledger.owner)).await?;
    }
    Ok(ids)
}
