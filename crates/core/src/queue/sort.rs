//! Puts jobs in order, by a heap: the standard library's sorts weigh 4 KB brotli, for the sake of long lists.

use std::collections::BinaryHeap;

use crate::queue::job::Job;

/// The first `limit` jobs by `key`, in its order.
///
/// Keys are sorted, not rows: one small sort serves every use, and rows are moved once.
#[must_use]
pub fn first_by(jobs: Vec<Job>, limit: usize, key: impl Fn(&Job) -> (u64, u64)) -> Vec<Job> {
    let keys = jobs
        .iter()
        .enumerate()
        .map(|(at, job)| {
            let (first, second) = key(job);
            (first, second, at)
        })
        .collect();
    let mut jobs: Vec<Option<Job>> = jobs.into_iter().map(Some).collect();
    sorted(keys).into_iter().take(limit).filter_map(|(.., at)| jobs.get_mut(at).and_then(Option::take)).collect()
}

/// Whether two of these numbers are the same.
#[must_use]
pub fn has_twins(numbers: impl Iterator<Item = u128>) -> bool {
    by_number(numbers).windows(2).any(|pair| matches!(pair, [(a, b, _), (c, d, _)] if (a, b) == (c, d)))
}

/// The halves of these numbers in ascending order, and which each was.
#[must_use]
pub fn by_number(numbers: impl Iterator<Item = u128>) -> Vec<(u64, u64, usize)> {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a UUID")]
    sorted(numbers.enumerate().map(|(at, number)| ((number >> 64) as u64, number as u64, at)).collect())
}

/// In ascending order.
#[must_use]
pub fn sorted(keys: Vec<(u64, u64, usize)>) -> Vec<(u64, u64, usize)> {
    BinaryHeap::from(keys).into_sorted_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_are_found_anywhere() {
        assert!(has_twins([3, 1, 2, 1].into_iter()));
        assert!(!has_twins([1, 1 << 64, 1 << 65].into_iter()));
    }
}
