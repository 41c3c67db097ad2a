//! Simulates an app's periodic tasks: wakes of several workers, the browser's events, deaths, failing commits, a clock that
//! is set.
//!
//! A world of its own, run once for each seed: periodic tasks share nothing with the queue but the store's transactions.
//! Each task ends by itself or, if it hangs, at its time limit, as the shell sees to.

use std::{cell::RefCell, collections::BTreeMap};

use futures::FutureExt;
use shearwater_core::{
    Error, ErrorCode,
    schedule::periodic::{self, LEASE, PeriodicConfig, PeriodicRun, PeriodicTask, Refresh, Runner, TASK_LIMIT, Trigger},
    store::{Scope, row::Key},
    time::unit::{DAY, HOUR, MINUTE, SECOND},
};

use crate::{
    check::{Checked, Promise, Violation, ensure},
    clock::{Agenda, Clock},
    flaw::Flaw,
    rng::Rng,
    store::{Database, Mode, SimTx},
};

const CONTEXTS: usize = 3;
const STEPS: u64 = 60;

enum Event {
    /// A context is woken by whatever it is.
    Wake(usize),
    /// The browser fires the tag.
    Fires(usize, String),
    /// A task comes to its end.
    Ends(u64),
}

/// A task that a context is at.
struct Task {
    context: usize,
    tag: String,
    task: PeriodicTask,
    holder: String,
    /// The run, by its number.
    run: u64,
    /// How often the clock had been set when it began.
    times_set: u64,
    fails: bool,
}

/// A run of one tag, as the checks count it.
#[derive(Default)]
struct Seen {
    /// Ends that were committed.
    ends: u64,
    starts: u64,
    /// Deaths and failed commits since it began: each is a reason to start again.
    excuses: u64,
}

pub(crate) struct Periodic {
    rng: Rng,
    flaw: Option<Flaw>,
    clock: Clock,
    agenda: Agenda<Event>,
    db: RefCell<Database>,
    configs: Vec<(String, PeriodicConfig)>,
    tasks: BTreeMap<u64, Task>,
    begun: u64,
    seen: BTreeMap<(String, u64, String), Seen>,
    quiescing: bool,
    online: bool,
}

/// Runs one seed's periodic tasks.
pub(crate) fn run(seed: u64, flaw: Option<Flaw>) -> Checked {
    let mut rng = Rng::new(seed ^ 0x7065_7269_6f64_6963);
    let refresh = Refresh { cache: "pages".to_owned(), urls: None, conditional: true };
    let all =
        [PeriodicTask::Cleanup { max_age: None }, PeriodicTask::Drain, PeriodicTask::Refresh(refresh), PeriodicTask::Handler];
    let mut config = |min_interval| {
        let tasks: Vec<_> = all.iter().filter(|_| rng.happens(0.6)).cloned().collect();
        let tasks = if tasks.is_empty() { vec![PeriodicTask::Drain] } else { tasks };
        PeriodicConfig { min_interval, tasks }
    };
    let configs = vec![("daily-sync".to_owned(), config(DAY)), ("check-updates".to_owned(), config(HOUR))];
    let mut world = Periodic {
        rng,
        flaw,
        clock: Clock::new(),
        agenda: Agenda::new(),
        db: RefCell::default(),
        configs,
        tasks: BTreeMap::new(),
        begun: 0,
        seen: BTreeMap::new(),
        quiescing: false,
        online: true,
    };
    for _ in 0..STEPS {
        world.step()?;
    }
    world.quiesce()
}

impl Periodic {
    fn step(&mut self) -> Checked {
        if !self.agenda.is_empty() && self.rng.happens(0.7) {
            return self.next();
        }
        let context = self.rng.index(CONTEXTS);
        match self.rng.below(20) {
            0..8 => self.later(3 * HOUR, Event::Wake(context)),
            8..11 => {
                // Two tabs, two workers: at the very same time.
                self.later(0, Event::Wake(context));
                self.later(0, Event::Wake((context + 1) % CONTEXTS));
            }
            11..15 => {
                let at = self.rng.index(self.configs.len());
                let tag = self.configs.get(at).map(|(tag, _)| tag.clone()).unwrap_or_default();
                self.later(DAY, Event::Fires(context, tag));
            }
            15..17 => self.kill(context),
            17 => self.online = !self.online,
            18 => {
                let ms = self.rng.magnitude(40 * DAY);
                self.clock.set_forward(ms);
            }
            _ => {
                let ms = self.rng.magnitude(40 * DAY);
                self.clock.set_back(ms);
            }
        }
        Ok(())
    }

    fn later(&mut self, most: u64, event: Event) {
        let at = self.clock.elapsed() + self.rng.magnitude(most.max(1));
        self.agenda.note(at, event);
    }

    fn next(&mut self) -> Checked {
        let Some((elapsed, event)) = self.agenda.next() else { return Ok(()) };
        self.clock.pass_until(elapsed);
        match event {
            Event::Wake(context) => self.wake(context),
            Event::Fires(context, tag) => self.begin(context, &tag, Trigger::Event),
            Event::Ends(number) => self.ends(number),
        }
    }

    fn kill(&mut self, context: usize) {
        let dead: Vec<u64> = self.tasks.iter().filter(|(_, task)| task.context == context).map(|(number, _)| *number).collect();
        for number in dead {
            if let Some(task) = self.tasks.remove(&number) {
                self.excuse(&task);
            }
        }
    }

    fn excuse(&mut self, task: &Task) {
        self.seen.entry((task.tag.clone(), task.run, task.task.name())).or_default().excuses += 1;
    }

    /// One transaction on the tasks' store, which now and then fails at its commit.
    fn transact<R>(&mut self, work: impl AsyncFnOnce(&SimTx<'_>) -> Result<R, Error>) -> Checked<Result<R, Error>> {
        let fails = !self.quiescing && self.rng.happens(0.05);
        let tx = SimTx::begin(&self.db, Mode::Write, Scope::PERIODIC, None, self.flaw);
        let Some(result) = work(&tx).now_or_never() else {
            return Err(Violation::new(Promise::Live, "a transaction waits for something else than the store"));
        };
        Ok(match result {
            Ok(value) if !fails => {
                tx.commit();
                Ok(value)
            }
            Ok(_) => {
                tx.abort();
                Err(Error::new(ErrorCode::QuotaExceeded, "the simulated disk is full"))
            }
            Err(error) => {
                tx.abort();
                Err(error)
            }
        })
    }

    fn wake(&mut self, context: usize) -> Checked {
        let (now, configs) = (self.clock.device(), self.configs.clone());
        let due = self.transact(async |tx| periodic::due(tx, now, &configs).await)?;
        for tag in due.unwrap_or_default() {
            self.begin(context, &tag, Trigger::Wake)?;
        }
        Ok(())
    }

    fn begin(&mut self, context: usize, tag: &str, trigger: Trigger) -> Checked {
        let Some((_, config)) = self.configs.iter().find(|(other, _)| other == tag).cloned() else { return Ok(()) };
        self.begun += 1;
        let (now, online, holder) = (self.clock.device(), self.online, format!("run {}", self.begun));
        let runner = Runner { holder: &holder, owner: "" };
        let tasks = self.transact(async |tx| periodic::begin(tx, now, tag, &config, trigger, online, runner).await)?;
        let run = self.row(tag).map_or(0, |run| run.runs);
        for task in tasks.unwrap_or_default() {
            let others = self.tasks.values().filter(|other| other.tag == tag && other.task == task);
            let mut overtaken = 0;
            for other in others {
                // A clock that is set ahead ends a lease that lasts.
                overtaken += 1;
                ensure(other.times_set < self.clock.times_set(), Promise::Leased, || {
                    format!("{tag}: {} is begun by {holder} while {} is at it", task.name(), other.holder)
                })?;
            }
            let seen = self.seen.entry((tag.to_owned(), run, task.name())).or_default();
            seen.starts += 1;
            seen.excuses += overtaken;
            let (starts, ends, excuses) = (seen.starts, seen.ends, seen.excuses);
            ensure(ends == 0 && starts <= 1 + excuses, Promise::Once, || {
                format!("{tag}: {} began {starts} times in run {run}; {ends} ends, {excuses} deaths", task.name())
            })?;
            self.begun += 1;
            let takes = if self.rng.happens(0.1) { TASK_LIMIT } else { self.rng.between(SECOND, MINUTE) };
            self.agenda.note(self.clock.elapsed() + takes, Event::Ends(self.begun));
            let (times_set, fails) = (self.clock.times_set(), self.rng.happens(0.2));
            let (tag, holder) = (tag.to_owned(), holder.clone());
            self.tasks.insert(self.begun, Task { context, tag, task, holder, run, times_set, fails });
        }
        Ok(())
    }

    fn ends(&mut self, number: u64) -> Checked {
        let Some(task) = self.tasks.remove(&number) else { return Ok(()) };
        if self.flaw == Some(Flaw::ForgetsTaskEnds) {
            return self.note_end(&task);
        }
        let (now, outcome) = (self.clock.device(), if task.fails { Err("it failed".to_owned()) } else { Ok("done".to_owned()) });
        let (tag, what, holder) = (&task.tag, &task.task, &task.holder);
        let ended = self.transact(async |tx| periodic::end(tx, now, tag, what, holder, outcome).await)?;
        // Under another holder by now: a clock that was set ahead ended its lease.
        let ours = self.row(&task.tag).is_some_and(|run| run.runs == task.run && task.times_set == self.clock.times_set());
        if ended.is_err() || !ours {
            self.excuse(&task);
        } else {
            self.note_end(&task)?;
        }
        let (tag, holder) = (&task.tag, &task.holder);
        if !self.tasks.values().any(|other| other.holder == *holder) {
            // A commit that fails leaves the rest to the lease.
            let _ = self.transact(async |tx| periodic::leave(tx, tag, holder).await)?;
        }
        Ok(())
    }

    fn note_end(&mut self, task: &Task) -> Checked {
        self.seen.entry((task.tag.clone(), task.run, task.task.name())).or_default().ends += 1;
        Ok(())
    }

    fn row(&self, tag: &str) -> Option<PeriodicRun> {
        self.db.borrow().periodic(&Key::parse(tag)?).cloned()
    }

    /// Nothing goes wrong any more: each task has to run within its interval.
    fn quiesce(&mut self) -> Checked {
        self.quiescing = true;
        self.online = true;
        while !self.agenda.is_empty() {
            self.next()?;
        }
        let begun = self.clock.elapsed();
        for hours in 0..=26 {
            let at = begun + hours * HOUR + LEASE;
            self.clock.pass_until(at);
            self.wake(0)?;
            while !self.agenda.is_empty() {
                self.next()?;
            }
        }
        let now = self.clock.device();
        for (tag, config) in self.configs.clone() {
            for task in &config.tasks {
                let run = self.row(&tag);
                let ended =
                    run.iter().flat_map(|run| &run.tasks).find(|run| run.task == task.name()).and_then(|run| run.ended_at);
                let recent = ended.is_some_and(|at| now.since(at) <= config.min_interval + 3 * HOUR && at <= now);
                ensure(recent, Promise::Live, || format!("{tag}: {} has not run in time: {run:?}", task.name()))?;
            }
        }
        Ok(())
    }
}
