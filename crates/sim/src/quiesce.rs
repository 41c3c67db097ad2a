//! Ends a run: the trouble stops, and everything that can be delivered has to be.
//!
//! From here on the runtime gets only the wakes that it asks for: one for every queue when the app
//! is opened (or its user signs in), then one whenever [`read::next_wake`] says so. What is not
//! delivered by them would wait for ever.

use shearwater_core::{
    Millis,
    schedule::{
        network::{Connection, Permit},
        next_wake,
        wakes::SkipBackoff,
    },
    time::unit::DAY,
};

use crate::{
    check::{self, Checked, Promise, Violation},
    faults::QUEUES,
    page::OWNERS,
    worker::CONTEXTS,
    world::World,
};

/// Wakes for one owner, after which it is not waiting but going round in circles.
const MOST_WAKES: u32 = 1_000;

/// Events within one wake.
const MOST_EVENTS: u32 = 20_000;

/// The longest that anything waits without a `notBefore`, even after the clock was set back: a day that
/// a server may ask for, the longest backoff, and some time for what has to be tried before.
const LONGEST_WAIT: u64 = 10 * DAY;

impl World {
    /// Calms down, then delivers for one owner after the other what is theirs.
    pub(crate) fn quiesce(&mut self) -> Checked {
        self.note(|| "quiesce".to_owned());
        self.quiescing = true;
        self.faults = self.faults.none();
        self.online = true;
        self.connection = Connection::default();
        self.servers.bring_up();
        self.servers.batches.calm();
        if self.rng.happens(0.5) {
            (0..CONTEXTS).for_each(|context| self.kill(context));
        }
        self.run_until_quiet()?;
        for owner in OWNERS {
            self.sign_in(owner)?;
            self.resume()?;
            self.deliver_all()?;
            check::drains::settled(self)?;
        }
        check::ending(self)
    }

    fn deliver_all(&mut self) -> Checked {
        let latest = self.clock.device().max(self.oracle.latest_start).after(LONGEST_WAIT);
        self.wake_all(SkipBackoff::Unreachable)?;
        self.run_until_quiet()?;
        for _ in 0..MOST_WAKES {
            let Some(at) = self.next_wake()? else { return Ok(()) };
            if at > latest {
                let now = self.clock.device();
                let store = self.store.borrow();
                let job = store.jobs().find(|job| job.schedule.next_attempt_at == at);
                return Err(Violation::new(
                    Promise::Live,
                    format!("the next wake would be at {}, now is {}: {job:?}", at.0, now.0),
                ));
            }
            let wait = at.since(self.clock.device());
            self.note(|| format!("the next wake is in {wait} ms"));
            self.clock.pass_until(self.clock.elapsed() + wait);
            let context = self.rng.index(CONTEXTS);
            for queue in QUEUES {
                self.wake(context, queue, SkipBackoff::None)?;
            }
            self.run_until_quiet()?;
        }
        Err(Violation::new(Promise::Live, "wakes that deliver nothing, without end"))
    }

    fn next_wake(&mut self) -> Checked<Option<Millis>> {
        let now = self.clock.device();
        let asked = self.read(async |tx| {
            let ledger = shearwater_core::store::read_ledger(tx).await?;
            next_wake::next_wake(tx, &ledger, now, Permit::All).await
        })?;
        asked.map_err(|error| Violation::new(Promise::Live, format!("no store while no fault is injected: {error}")))
    }

    fn run_until_quiet(&mut self) -> Checked {
        for _ in 0..MOST_EVENTS {
            if self.is_quiet() {
                return match self.runs.keys().next() {
                    None => Ok(()),
                    Some(run) => Err(Violation::new(Promise::Live, format!("drain {run} waits for nothing and never ends"))),
                };
            }
            self.tally.steps += 1;
            self.next_event()?;
        }
        Err(Violation::new(Promise::Live, "a wake that never comes to an end"))
    }
}
