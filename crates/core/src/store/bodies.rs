//! Packs small bodies of one call into shared records, and deletes those that no job needs any more.
//!
//! A record costs a browser about the same whether it holds ten bytes or a thousand: of what storing 1,000 jobs
//! of 250 bytes takes, a record for each body was more than a third. So the small bodies of one call share
//! *packs*. A pack is written once and never changed; beside it stands how many jobs still need it, and the
//! transaction in which the last of them leaves, or gets another body, deletes both.
//!
//! A job that is put aside because its row does not parse needs its bytes still. What is said beside a pack may get
//! lost; `repair` counts anew, and so does the purge of an owner, after which nothing of theirs is to be left. A pack
//! is never larger than a small file, so what one dead letter keeps from being deleted is bounded.

use crate::{
    error::Error,
    id::JobId,
    queue::{
        enqueue::Admitted,
        job::{Job, Packed},
        sort::by_number,
    },
    store::{
        Tx,
        row::{Body, Pack, PackKey, PackUse, PackUseKey},
    },
};

/// The largest body that shares a record, in bytes.
const SMALL: u64 = 4 * 1024;

/// Bytes of a pack at most. All of it is read to send one of its jobs; Chromium keeps values over 64 KiB in files.
const PACK: u64 = 32 * 1024;

/// Rows looked at in one page.
const PAGE: u32 = 256;

/// Packs the small bodies of new jobs; returns where each lies, for those that were packed.
pub(crate) fn pack<T: Tx>(tx: &T, jobs: &[(Admitted, Option<T::Body>)]) -> Result<Vec<Option<Packed>>, Error> {
    let mut places = vec![None; jobs.len()];
    let small: Vec<_> = (places.iter_mut().zip(jobs))
        .filter_map(|(place, (job, body))| {
            let size = job.size().filter(|size| (1..=SMALL).contains(size))?;
            let body = body.as_ref().filter(|body| job.may_share() && T::may_share(body))?;
            Some((place, job.id(), size, body))
        })
        .collect();
    let mut small = small.into_iter().peekable();
    while let Some(first) = small.next() {
        let (place, pack, mut end, body) = first;
        let mut shared = vec![(0, body)];
        while let Some((later, _, size, body)) = small.next_if(|(_, _, size, _)| end + size <= PACK) {
            *later = Some(Packed { pack: pack.clone(), at: end });
            shared.push((end, body));
            end += size;
        }
        // One alone has a record of its own.
        if shared.len() > 1 {
            *place = Some(Packed { pack: pack.clone(), at: 0 });
            tx.add_pack(pack, &shared)?;
            put_use(tx, pack, u32::try_from(shared.len()).unwrap_or(u32::MAX))?;
        }
    }
    Ok(places)
}

/// What is needed no more by the end of a transaction: for each job that leaves, its pack.
#[derive(Debug, Default)]
pub(crate) struct Leaving(Vec<JobId>);

impl Leaving {
    /// The body of `job` goes.
    pub(crate) fn body<T: Tx>(&mut self, tx: &T, job: &Job) -> Result<(), Error> {
        match &job.work.request().packed {
            Some(packed) => self.0.push(packed.pack.clone()),
            None if job.size().is_some() => tx.delete::<Body>(&job.id)?,
            None => {}
        }
        Ok(())
    }

    /// Counts them out. A pack whose count is lost stays until [`recount`]: nobody knows who needs it.
    pub(crate) async fn count_out<T: Tx>(self, tx: &T) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut packs: Vec<(&JobId, u32)> = Vec::new();
        for (.., at) in by_number(self.0.iter().map(JobId::as_number)) {
            let Some(pack) = self.0.get(at) else { continue };
            match packs.last_mut() {
                Some((last, parts)) if *last == pack => *parts += 1,
                _ => packs.push((pack, 1)),
            }
        }
        let keys: Vec<PackUseKey> = packs.iter().map(|(pack, _)| PackUseKey((*pack).clone())).collect();
        for ((pack, parts), left) in packs.iter().zip(tx.get_each::<PackUse>(&keys.iter().collect::<Vec<_>>()).await?) {
            if let Some(PackUse(left)) = left {
                put_use(tx, pack, left.saturating_sub(*parts))?;
            }
        }
        Ok(())
    }
}

/// Counts anew who needs each pack, and deletes those that nobody does. Looks at every row, where there are packs.
///
/// # Errors
/// What the transaction returns.
pub(crate) async fn recount<T: Tx>(tx: &T) -> Result<(), Error> {
    let packs = tx.keys::<Pack>(None, u32::MAX).await?;
    if packs.is_empty() {
        return Ok(());
    }
    let mut left = vec![0_u32; packs.len()];
    let mut needed = |pack: &JobId| {
        if let Some(left) = packs.binary_search_by(|PackKey(other)| other.cmp(pack)).ok().and_then(|at| left.get_mut(at)) {
            *left += 1;
        }
    };
    let mut after = None;
    loop {
        let page = tx.page::<Job>(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        page.iter().filter_map(|job| job.work.request().packed.as_ref()).for_each(|packed| needed(&packed.pack));
    }
    // After those that were put aside just now.
    tx.aside().await?.iter().filter_map(|aside| aside.pack.as_ref()).for_each(needed);
    for (PackKey(pack), left) in packs.iter().zip(left) {
        put_use(tx, pack, left)?;
    }
    Ok(())
}

/// Writes how many jobs need a pack; deletes it when there are none.
fn put_use<T: Tx>(tx: &T, pack: &JobId, left: u32) -> Result<(), Error> {
    if left > 0 {
        return tx.put_at(&PackUseKey(pack.clone()), &PackUse(left));
    }
    tx.delete::<Pack>(&PackKey(pack.clone()))?;
    tx.delete::<PackUse>(&PackUseKey(pack.clone()))
}
