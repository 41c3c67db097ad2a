//! Draws everything that is random from one seed.
//!
//! One stream per run, read in the order of events: the same seed and steps give the same run.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// A seeded source of randomness.
pub(crate) struct Rng(ChaCha8Rng);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number in `[0, 1)`.
    pub(crate) fn roll(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / (f64::from(u32::MAX) + 1.0)
    }

    /// Whether something of this probability happens. One that cannot happen takes nothing from the stream.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.roll() < probability
    }

    /// A number in `[0, bound)`; 0 when the bound is 0. The bias of the remainder does not matter here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.next_u64() % bound }
    }

    /// An index below `len`.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// A number in `[from, upto]`.
    pub(crate) fn between(&mut self, from: u64, upto: u64) -> u64 {
        from + self.below(upto.saturating_sub(from) + 1)
    }

    /// A number in `[1, upto]` whose order of magnitude is as likely as any other: 3 ms, 3 s, 3 h.
    pub(crate) fn magnitude(&mut self, upto: u64) -> u64 {
        let bits = self.below(u64::from(u64::BITS - upto.leading_zeros()) + 1);
        self.between(1, 1 << bits.min(62)).min(upto)
    }

    /// One of `options`.
    pub(crate) fn pick<T: Copy, const N: usize>(&mut self, options: [T; N]) -> T {
        const { assert!(N > 0, "there must be something to pick from") };
        let at = self.index(N);
        #[expect(clippy::indexing_slicing, reason = "`index` stays below the length, which is not 0")]
        options[at]
    }

    /// One of the `weights`' positions, each as likely as its weight.
    pub(crate) fn weighted<T: Copy>(&mut self, options: &[(u32, T)]) -> Option<T> {
        let total: u64 = options.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut at = self.below(total);
        options.iter().find_map(|(weight, option)| {
            let hit = at < u64::from(*weight);
            at = at.saturating_sub(u64::from(*weight));
            (hit).then_some(*option)
        })
    }

    /// Sixteen random bytes, for an identifier.
    pub(crate) fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}
