//! Puts jobs in order.

use crate::job::Job;

/// The first `limit` jobs by `key`, in its order.
///
/// Keys are sorted, not rows: one small sort serves every use, and rows are moved once.
#[must_use]
pub fn first_by(jobs: Vec<Job>, limit: usize, key: impl Fn(&Job) -> (u64, u64)) -> Vec<Job> {
    let mut keys: Vec<(u64, u64, usize)> = jobs
        .iter()
        .enumerate()
        .map(|(at, job)| {
            let (first, second) = key(job);
            (first, second, at)
        })
        .collect();
    keys.sort_unstable();
    let mut jobs: Vec<Option<Job>> = jobs.into_iter().map(Some).collect();
    keys.into_iter().take(limit).filter_map(|(.., at)| jobs.get_mut(at).and_then(Option::take)).collect()
}

/// Whether two of these numbers are the same.
#[must_use]
pub fn has_twins(numbers: impl Iterator<Item = u128>) -> bool {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a UUID")]
    let mut halves: Vec<(u64, u64, usize)> = numbers.map(|number| ((number >> 64) as u64, number as u64, 0)).collect();
    halves.sort_unstable();
    halves.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
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
