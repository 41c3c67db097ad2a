//! A client as others write it: each job has its own timer.

use shearwater_core::time::unit::{MINUTE, SECOND};

use super::{
    Policy,
    client::{Signal, Want},
};

/// One client; its jobs are the positions in `jobs`.
#[derive(Default)]
pub(super) struct Plain {
    jobs: Vec<Waiting>,
    /// Failures since somebody last woke it.
    failed: bool,
}

struct Waiting {
    failures: u32,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Due(u64),
    InTheAir,
    Over,
}

impl Plain {
    pub(super) fn handle(&mut self, policy: Policy, now: u64, signal: Signal, wants: &mut Vec<Want>) {
        let mut all = false;
        match signal {
            Signal::Queued => self.jobs.push(Waiting { failures: 0, state: State::Due(now) }),
            Signal::Timer => {}
            Signal::Woken => all = true,
            Signal::Answered { job, served, asked, .. } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.failures += 1;
                    job.state = if served { State::Over } else { State::Due(now + delay(policy, job.failures).max(asked)) };
                    self.failed |= !served;
                }
            }
        }
        for (at, job) in self.jobs.iter_mut().enumerate() {
            if matches!(job.state, State::Due(due) if all || due <= now) {
                job.state = State::InTheAir;
                wants.push(Want::Send(at));
            }
        }
        if !self.jobs.iter().any(|job| job.state == State::InTheAir) {
            wants.push(Want::Rest { again: std::mem::take(&mut self.failed) });
        }
        let next = self.jobs.iter().filter_map(|job| if let State::Due(due) = job.state { Some(due) } else { None }).min();
        wants.extend(next.map(|at| Want::Timer { at, asleep_too: false }));
    }
}

fn delay(policy: Policy, failures: u32) -> u64 {
    match policy {
        Policy::Fixed(interval) => interval,
        Policy::Ours | Policy::Doubling => (SECOND << failures.saturating_sub(1).min(16)).min(5 * MINUTE),
    }
}
