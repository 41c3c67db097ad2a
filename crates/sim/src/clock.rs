//! Keeps true time, what the device's clock makes of it, and the agenda of what is to happen.
//!
//! Timers run on true time, as `setTimeout` does; instants that the core sees are the device's,
//! which a person or a time server may set forward or back at any moment.

use std::collections::BTreeMap;

use shearwater_core::Millis;

/// Some Tuesday.
const BEGINNING: u64 = 1_790_000_000_000;

/// Both clocks.
pub(crate) struct Clock {
    elapsed: u64,
    device: u64,
    latest: u64,
    set_back: u64,
    set: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { elapsed: 0, device: BEGINNING, latest: BEGINNING, set_back: 0, set: 0 }
    }

    /// Milliseconds since the run began.
    pub(crate) fn elapsed(&self) -> u64 {
        self.elapsed
    }

    /// What the device's clock says.
    pub(crate) fn device(&self) -> Millis {
        Millis(self.device)
    }

    /// Lets true time pass until `elapsed`.
    pub(crate) fn pass_until(&mut self, elapsed: u64) {
        let ms = elapsed.saturating_sub(self.elapsed);
        self.elapsed += ms;
        self.device += ms;
        self.latest = self.latest.max(self.device);
    }

    /// Sets the device's clock forward.
    pub(crate) fn set_forward(&mut self, ms: u64) {
        self.set += 1;
        self.device += ms;
        self.latest = self.latest.max(self.device);
    }

    /// Sets the device's clock back.
    pub(crate) fn set_back(&mut self, ms: u64) {
        self.device -= ms.min(self.device / 2);
        self.set += 1;
        self.set_back += 1;
    }

    /// What time it is, whatever the device says.
    pub(crate) fn true_time(&self) -> Millis {
        Millis(BEGINNING + self.elapsed)
    }

    /// How often the clock was set so far.
    pub(crate) fn times_set(&self) -> u64 {
        self.set
    }

    /// How often the clock was set back so far.
    pub(crate) fn times_set_back(&self) -> u64 {
        self.set_back
    }

    /// Whether the clock now shows an instant that it has shown before.
    pub(crate) fn is_behind(&self) -> bool {
        self.device < self.latest
    }
}

/// What is to happen, in the order of true time; of two at once, what was noted first.
pub(crate) struct Agenda<E> {
    entries: BTreeMap<(u64, u64), E>,
    noted: u64,
}

impl<E> Agenda<E> {
    pub(crate) fn new() -> Self {
        Self { entries: BTreeMap::new(), noted: 0 }
    }

    /// Notes what happens at `elapsed`.
    pub(crate) fn note(&mut self, elapsed: u64, event: E) {
        self.entries.insert((elapsed, self.noted), event);
        self.noted += 1;
    }

    /// Takes the next event and its time.
    pub(crate) fn next(&mut self) -> Option<(u64, E)> {
        self.entries.pop_first().map(|((elapsed, _), event)| (elapsed, event))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
