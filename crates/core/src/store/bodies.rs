//! Lays small bodies of one call together, and clears away what is needed no more.
//!
//! A record costs a browser about the same whether it holds ten bytes or a thousand: of what storing 1,000 jobs
//! of 250 bytes takes, a record for each body was more than a third. So the small bodies of one call share
//! *packs*. A pack is written once and never changed; beside it stands how many jobs still need it, and the
//! transaction in which the last of them leaves, or gets another body, deletes both.
//!
//! A job that is put aside because its row does not parse needs its bytes still. A pack is never larger than a
//! small file, so what one dead letter keeps from being deleted is bounded.

use super::{Tx, enqueue::Admitted};
use crate::{
    error::Error,
    id::JobId,
    job::{Job, Packed},
};

/// The largest body that shares a record, in bytes.
const SMALL: u64 = 4 * 1024;

/// Bytes of a pack at most. All of it is read to send one of its jobs; Chromium keeps values over 64 KiB in files.
const PACK: u64 = 32 * 1024;

/// Lays the small bodies of new jobs together; answers where each lies, for those that are.
pub(super) fn pack<T: Tx>(tx: &T, jobs: &[(Admitted, Option<T::Body>)]) -> Result<Vec<Option<Packed>>, Error> {
    let mut places = vec![None; jobs.len()];
    let small: Vec<_> = (places.iter_mut().zip(jobs))
        .filter_map(|(place, (job, body))| {
            let size = job.size().filter(|size| (1..=SMALL).contains(size))?;
            Some((place, job.id(), size, body.as_ref()?))
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
        }
    }
    Ok(places)
}

/// What is needed no more by the end of a transaction: the packs, and by how many jobs.
#[derive(Debug, Default)]
pub struct Leaving(Vec<(JobId, u32)>);

impl Leaving {
    /// The body of `job` goes.
    pub(super) fn body<T: Tx>(&mut self, tx: &T, job: &Job) -> Result<(), Error> {
        match &job.packed {
            Some(packed) => self.part_of(&packed.pack),
            None if job.size.is_some() => tx.delete_body(&job.id)?,
            None => {}
        }
        Ok(())
    }

    /// One job needs this pack no more.
    pub fn part_of(&mut self, pack: &JobId) {
        match self.0.iter_mut().find(|(known, _)| known == pack) {
            Some((_, parts)) => *parts += 1,
            None => self.0.push((pack.clone(), 1)),
        }
    }

    /// Counts them out. A pack whose count is lost stays: nobody knows who needs it.
    ///
    /// # Errors
    /// What the transaction answers.
    pub async fn count_out<T: Tx>(self, tx: &T) -> Result<(), Error> {
        for (pack, parts) in self.0 {
            if let Some(left) = tx.pack_left(&pack).await? {
                tx.put_pack_left(&pack, left.saturating_sub(parts))?;
            }
        }
        Ok(())
    }
}
