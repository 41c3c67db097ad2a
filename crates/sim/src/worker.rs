//! The simulated shell: wakes drains, carries out their commands, and dies.
//!
//! Three contexts share the store: a service worker, a dedicated worker of a page, and the service worker's next version
//! with a configuration of its own. What one does is what `shearwater-worker` does in a browser, with a transaction for a
//! [`Command::Cycle`], a send for a [`Command::Send`], a timer for a [`Command::Wait`]. Before each
//! command, and between all that follows from it, the context may be killed.

use std::collections::BTreeMap;

use shearwater_core::{
    Error, JobId,
    drain::{Command, Dispatch, Drain, Input, News, Plan, Summary},
    health::clock::Time,
    queue::{
        cycle::{Cycle, CycleOutcome, Settings, cycle},
        job::Job,
    },
    schedule::wakes::SkipBackoff,
    store::Scope,
    time::unit::MINUTE,
};

use crate::{
    batches::payload,
    check::{self, Cause, Checked, Promise, Violation},
    clock::Clock,
    faults::QUEUES,
    flaw::Flaw,
    wire::{Part, Sending, Status},
    world::{Event, World},
};

/// Contexts that run at once.
pub(crate) const CONTEXTS: usize = 3;

/// The number of a drain, never used twice.
pub(crate) type RunNo = u64;

/// A drain in its context, from the request for the lock to its end.
pub(crate) struct Run {
    pub(crate) context: usize,
    pub(crate) plan: Plan,
    /// Absent while it waits for the lock.
    pub(crate) drain: Option<Drain>,
    /// When (true time) it began, and how often the clock had been set back by then.
    begun: (u64, u64),
    /// The timer that counts; earlier ones are off.
    timer: u64,
    /// The bodies of what it claimed, read in the transaction of the claim.
    bodies: BTreeMap<JobId, u64>,
    /// A cycle was asked for and not answered yet.
    committing: bool,
    /// Commits in the store when the last cycle was over.
    seen: u64,
}

impl World {
    /// Something wakes `context` for `queue`: nudges the drain that is there, or starts one.
    pub(crate) fn wake(&mut self, context: usize, queue: &str, skip: SkipBackoff) -> Checked {
        let online = self.online;
        self.note(|| format!("wake {context} {queue} {skip:?}{}", if online { "" } else { ", offline" }));
        let owner = self.store.borrow().owner().to_owned();
        let same = |run: &Run| run.context == context && run.plan.queue == queue && run.plan.owner == owner;
        let running = self.runs.iter_mut().find(|(_, run)| same(run));
        if let Some((number, run)) = running {
            let number = *number;
            if run.drain.is_some() {
                let connection = self.connection;
                return self.feed(number, Input::Nudge { skip, online, connection });
            }
            run.plan.skip = run.plan.skip.max(skip);
            run.plan.online = online;
            run.plan.connection = self.connection;
            return Ok(());
        }
        self.runs_begun += 1;
        let number = self.runs_begun;
        let plan = Plan {
            queue: queue.to_owned(),
            owner: owner.clone(),
            holder: format!("drain {number}"),
            concurrency: self.config_of(context).queue_or_default(queue).concurrency,
            budget: shearwater_core::drain::Budget::default(),
            skip,
            online,
            connection: self.connection,
            exclusive: self.faults.locks,
        };
        self.runs.insert(
            number,
            Run { context, plan, drain: None, begun: (0, 0), timer: 0, bodies: BTreeMap::new(), committing: false, seen: 0 },
        );
        let free =
            !self.faults.locks || self.flaw == Some(Flaw::IgnoresLocks) || self.locks.request(&(owner, queue.to_owned()), number);
        if free {
            self.later(0, 3, Event::Granted(number));
        }
        Ok(())
    }

    /// Wakes some context for every queue.
    pub(crate) fn wake_all(&mut self, skip: SkipBackoff) -> Checked {
        let context = self.rng.index(CONTEXTS);
        QUEUES.into_iter().try_for_each(|queue| self.wake(context, queue, skip))
    }

    /// The lock is there: the drain starts.
    pub(crate) fn begin(&mut self, number: RunNo) -> Checked {
        let now = self.clock.device();
        let Some(run) = self.runs.get_mut(&number) else { return Ok(()) };
        run.begun = (self.clock.elapsed(), self.clock.times_set_back());
        run.drain = Some(Drain::new(now, run.plan.clone()));
        self.feed(number, Input::Start)
    }

    /// Tells every drain to come to an end.
    pub(crate) fn stop(&mut self, context: usize) -> Checked {
        self.note(|| format!("stop {context}"));
        let numbers: Vec<RunNo> = self
            .runs
            .iter()
            .filter(|(_, run)| run.context == context && run.drain.is_some())
            .map(|(number, _)| *number)
            .collect();
        numbers.into_iter().try_for_each(|number| self.feed(number, Input::Stop))
    }

    /// The context is gone, from one moment to the next; its locks with it.
    pub(crate) fn kill(&mut self, context: usize) {
        self.note(|| format!("KILL {context}"));
        self.forget_credentials(context);
        self.tally.kills += 1;
        let numbers: Vec<RunNo> = self.runs.iter().filter(|(_, run)| run.context == context).map(|(number, _)| *number).collect();
        for number in numbers {
            self.wire.cut_off(number);
            self.end_run(number);
        }
    }

    fn end_run(&mut self, number: RunNo) {
        if let Some(run) = self.runs.remove(&number)
            && let Some(next) = self.locks.release(&(run.plan.owner.clone(), run.plan.queue.clone()), number)
        {
            self.later(0, 3, Event::Granted(next));
        }
    }

    /// Gives a drain an input and carries out what it wants, until it wants nothing or dies.
    pub(crate) fn feed(&mut self, number: RunNo, input: Input) -> Checked {
        let now = self.clock.device();
        let Some(drain) = self.runs.get_mut(&number).and_then(|run| run.drain.as_mut()) else { return Ok(()) };
        drain.handle(now, input);
        loop {
            let Some(run) = self.runs.get_mut(&number) else { return Ok(()) };
            let context = run.context;
            let Some(command) = run.drain.as_mut().and_then(Drain::poll) else { return Ok(()) };
            if self.rng.happens(self.faults.kill) {
                self.kill(context);
                return Ok(());
            }
            self.carry_out(number, command)?;
        }
    }

    fn carry_out(&mut self, number: RunNo, command: Command) -> Checked {
        match command {
            Command::Cycle(cycle) => {
                if let Some(run) = self.runs.get_mut(&number)
                    && std::mem::replace(&mut run.committing, true)
                {
                    return Err(Violation::new(Promise::Leased, format!("drain {number} wants two cycles at once")));
                }
                self.later(0, 20, Event::Cycle(number, Box::new(cycle)));
            }
            Command::Send(dispatch) => self.send(number, dispatch)?,
            Command::Wait(at) => {
                let delay = at.since(self.clock.device());
                if let Some(run) = self.runs.get_mut(&number) {
                    run.timer += 1;
                    let timer = run.timer;
                    self.later(delay, delay + 3, Event::Tick(number, timer));
                }
            }
            Command::AskTime => self.later(1, 5_000, Event::Time(number)),
            Command::Tell(news) => self.tell(number, &news)?,
            Command::Rest(_) => {}
            Command::Done(summary) => self.done(number, &summary)?,
        }
        Ok(())
    }

    /// The time that a drain waited for has come.
    pub(crate) fn tick(&mut self, number: RunNo, timer: u64) -> Checked {
        if self.runs.get(&number).is_some_and(|run| run.is_due(timer)) { self.feed(number, Input::Tick) } else { Ok(()) }
    }

    /// The app's own server tells the time, if it can be reached.
    pub(crate) fn time(&mut self, number: RunNo) -> Checked {
        let replied = self.online && !self.rng.happens(self.faults.misconduct / 2.0);
        let date = replied.then(|| self.clock.true_time());
        self.feed(number, Input::Time { replied, date })
    }

    /// A cycle's transaction runs and is committed, or not.
    pub(crate) fn cycle(&mut self, number: RunNo, mut wanted: Cycle) -> Checked {
        let Some(run) = self.runs.get(&number) else { return Ok(()) };
        debug_assert_eq!(run.plan.queue, wanted.queue);
        if self.flaw == Some(Flaw::NeverRecovers) {
            wanted.takeover = None;
        }
        let (now, config) = (self.clock.device(), self.config_of_run(number));
        if self.flaw == Some(Flaw::BelievesTheClock) {
            wanted.time = Time::Is(now);
        }
        let queue = config.queue_or_default(&wanted.queue);
        let settings = Settings::new(&config, &queue);
        self.tally.cycles += 1;
        let heard = match self.transact(Scope::WORK, async |tx| cycle(tx, now, &wanted, settings).await)? {
            Ok((committed, changes)) => {
                self.note(|| told(number, &wanted, &committed));
                for settlement in &wanted.settle {
                    self.wire.settle(number, &settlement.id);
                }
                check::committed(self, &Cause::Cycle { run: number, cycle: &wanted, committed: &committed }, &changes)?;
                Ok(committed)
            }
            Err(error) => {
                self.note(|| format!("turn of drain {number} failed: {error}"));
                Err(error)
            }
        };
        let store = self.store.borrow();
        if let Some(run) = self.runs.get_mut(&number) {
            run.seen = store.commits();
            for job in heard.iter().flat_map(|committed| &committed.claimed) {
                // One that was claimed before and given back may have been edited since.
                run.bodies.remove(&job.id);
                run.bodies.extend(store.body(job).map(|body| (job.id.clone(), body)));
            }
        }
        drop(store);
        self.later(0, 5, Event::Heard(number, Box::new(heard)));
        Ok(())
    }

    /// The drain hears how its cycle went.
    pub(crate) fn heard(&mut self, number: RunNo, heard: Result<CycleOutcome, Error>) -> Checked {
        if let Some(run) = self.runs.get_mut(&number) {
            run.committing = false;
        }
        self.feed(
            number,
            match heard {
                Ok(committed) => Input::CycleCommitted(committed),
                Err(error) => Input::CycleFailed(error),
            },
        )
    }

    fn send(&mut self, number: RunNo, dispatch: Dispatch) -> Checked {
        let Some(job) = dispatch.jobs.first().cloned() else { return Ok(()) };
        let key = match self.flaw {
            Some(Flaw::MakesKeysWhenSending) => JobId::from_random(self.rng.bytes()).to_string(),
            Some(Flaw::ReusesBatchKeys) => job.id.to_string(),
            _ => dispatch.key().to_owned(),
        };
        let mut body = |id: &JobId| self.runs.get_mut(&number).and_then(|run| run.bodies.remove(id));
        let parts = |job: &Job| Part { body: body(&job.id), job: job.clone(), told: None };
        let parts: Vec<Part> = dispatch.jobs.iter().map(parts).collect();
        let bodies: Vec<Option<u64>> = parts.iter().map(|part| part.body).collect();
        let payload = dispatch.batch().map(|batch| payload(&batch.envelope, &bodies));
        let seqs = || dispatch.jobs.iter().map(|job| job.order.seq).collect::<Vec<_>>();
        self.note(|| format!("drain {number} sends {:?} {} under {key}", seqs(), job.id));
        let Some(context) = self.runs.get(&number).map(|run| run.context) else { return Ok(()) };
        let login = self.login(context, job.origin());
        let since = self.clock.device();
        let sending = Sending {
            run: number,
            dispatch: dispatch.id,
            parts,
            payload,
            refused: false,
            key,
            since,
            left: false,
            status: Status::InTheAir,
            login,
            settled: false,
            job,
        };
        self.tally.bound += u64::from(sending.job.bind.is_some());
        check::sends::check(self, &sending)?;
        check::batches::one_payload(self, &sending)?;
        let sent = self.wire.send(sending);
        self.authorize(sent)
    }

    fn tell(&mut self, number: RunNo, news: &News) -> Checked {
        if news.done > news.total {
            return Err(Violation::new(
                Promise::Honest,
                format!("drain {number} tells of {} outcomes of {}", news.done, news.total),
            ));
        }
        Ok(())
    }

    fn done(&mut self, number: RunNo, summary: &Summary) -> Checked {
        self.note(|| format!("drain {number} is done: {summary:?}"));
        check::drains::done(self, number, summary)?;
        let Some(run) = self.runs.get(&number) else { return Ok(()) };
        let (context, queue) = (run.context, run.plan.queue.clone());
        self.end_run(number);
        if summary.signed_out {
            // The shell looks after whoever is signed in now.
            self.later(0, 5, Event::Wake(context, queue.clone(), SkipBackoff::None));
        }
        if summary.again && !self.quiescing {
            // The browser fires `sync` again, sooner or later or not at all.
            let delay = self.rng.magnitude(10 * MINUTE);
            self.later(delay, delay, Event::Wake(context, queue, SkipBackoff::Unreachable));
        }
        Ok(())
    }
}

impl Run {
    /// Commits in the store when this drain's last cycle was over.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether no further send may begin, whatever the clock says.
    pub(crate) fn is_spent(&self, clock: &Clock) -> bool {
        let (elapsed, set_back) = self.begun;
        clock.times_set_back() == set_back && clock.elapsed() - elapsed > self.plan.budget.sending
    }

    /// Whether this is the timer that counts.
    pub(crate) fn is_due(&self, timer: u64) -> bool {
        self.timer == timer
    }
}

fn told(number: RunNo, cycle: &Cycle, committed: &CycleOutcome) -> String {
    let claimed: Vec<u64> = committed.claimed.iter().map(|job| job.order.seq).collect();
    let settled: Vec<_> = cycle.settle.iter().map(|settlement| (settlement.id.as_str().get(..4), &settlement.result)).collect();
    format!(
        "turn of drain {number} ({}{}, {:?}, seen {}): settles {settled:?}, releases {}, claims {claimed:?} of {}, next {:?}",
        cycle.queue,
        if cycle.takeover.is_some() { ", first" } else { "" },
        cycle.time,
        committed.ledger.seen.0,
        cycle.release.len(),
        cycle.claim,
        committed.next_due,
    )
}
