//! The events of a fleet in their order: one heap of (time, client), one seeded stream of random numbers.

use std::{cmp::Reverse, collections::BinaryHeap, rc::Rc};

use shearwater_core::time::unit::{DAY, HOUR, MINUTE, SECOND};

use super::{
    Arrivals, OUTAGE, Policy, Run, Scenario, Wakes,
    client::{Client, Setup, Signal, Want},
    gauge::whole,
    plain::Plain,
    server::{Server, Verdict},
};
use crate::rng::Rng;

/// A run is ended this many milliseconds after the return, whoever still waits.
const HORIZON: u64 = 26 * HOUR;

/// Milliseconds after which Chromium fires a rejected `sync` again, and by what this grows each time.
const SYNC_AGAIN: (u64, u64) = (5 * MINUTE, 3);

/// How often Chromium fires a `sync` that is rejected.
const SYNC_TRIES: u32 = 3;

/// What is to happen to a client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Queue,
    /// This timer, if no later one took its place.
    Timer(u32),
    /// The browser fires `sync`.
    Sync,
    /// A person opens the app.
    Visit,
    /// The reply to a request arrives.
    AttemptResult {
        job: usize,
        served: bool,
        refused: bool,
    },
}

enum Behaviour {
    Ours(Box<Client>),
    Plain(Plain),
}

struct Device {
    behaviour: Behaviour,
    timer: u32,
    /// Whether a page is open.
    awake: bool,
    /// How often the browser has fired the tag that it holds.
    tag: Option<u32>,
    /// It is being fired.
    firing: bool,
}

pub(super) struct World {
    scenario: Scenario,
    setup: Rc<Setup>,
    rng: Rng,
    devices: Vec<Device>,
    events: BinaryHeap<Reverse<(u64, u64, u32, Event)>>,
    /// Events so far: of two at one time, the earlier planned is first.
    planned: u64,
    server: Server,
    run: Run,
}

impl World {
    pub(super) fn new(scenario: Scenario) -> Self {
        let mut world = Self {
            setup: Rc::new(Setup::new(&scenario)),
            rng: Rng::new(scenario.seed),
            devices: Vec::new(),
            events: BinaryHeap::new(),
            planned: 0,
            server: Server::new(&scenario),
            run: Run::new(scenario),
            scenario,
        };
        // Drawn first, so that every policy meets the same.
        for number in 0..scenario.clients {
            let asleep = scenario.wakes == Wakes::HalfAsleep && number % 2 == 1;
            let behaviour = match scenario.policy {
                Policy::Ours => Behaviour::Ours(Box::default()),
                Policy::Doubling | Policy::Fixed(_) => Behaviour::Plain(Plain::default()),
            };
            world.devices.push(Device { behaviour, timer: 0, awake: !asleep, tag: None, firing: false });
            let mut last = 0;
            for _ in 0..scenario.jobs {
                let at = world.queueing_time();
                last = last.max(at);
                world.plan(at, number, Event::Queue);
            }
            if asleep {
                let visit = last + world.rng.below(DAY);
                world.plan(visit, number, Event::Visit);
            }
        }
        world
    }

    fn queueing_time(&mut self) -> u64 {
        match self.scenario.arrivals {
            Arrivals::Spread if self.rng.happens(0.1) => self.rng.below(MINUTE),
            Arrivals::Spread => self.rng.below(OUTAGE),
            Arrivals::Together => MINUTE + self.rng.below(10 * SECOND),
        }
    }

    fn plan(&mut self, at: u64, client: u32, event: Event) {
        self.planned += 1;
        self.events.push(Reverse((at, self.planned, client, event)));
    }

    /// Lets it all happen.
    pub(super) fn live(mut self) -> Run {
        let mut wants = Vec::new();
        while let Some(Reverse((now, _, number, event))) = self.events.pop() {
            if now > OUTAGE + HORIZON {
                break;
            }
            let Some(signal) = self.signal(now, number, event) else { continue };
            let Some(device) = self.devices.get_mut(number as usize) else { continue };
            match &mut device.behaviour {
                Behaviour::Ours(client) => client.handle(&self.setup, now, signal, &mut self.rng, &mut wants),
                Behaviour::Plain(plain) => plain.handle(self.scenario.policy, now, signal, &mut wants),
            }
            for want in wants.drain(..) {
                self.carry_out(now, number, want);
            }
        }
        self.run.delivered.sort_unstable();
        self.run
    }

    /// What an event means to its client, if it still means anything.
    fn signal(&mut self, now: u64, number: u32, event: Event) -> Option<Signal> {
        if event == Event::Queue {
            self.register(now, number);
        }
        let device = self.devices.get_mut(number as usize)?;
        Some(match event {
            Event::Queue => Signal::Queued,
            Event::Timer(timer) if timer != device.timer => return None,
            Event::Timer(_) => Signal::Timer,
            Event::Visit => {
                device.awake = true;
                Signal::Woken
            }
            Event::Sync => {
                device.firing = true;
                device.tag = device.tag.map(|fired| fired + 1);
                Signal::Woken
            }
            Event::AttemptResult { job, served, refused } => {
                let after_return = now >= OUTAGE;
                let asked =
                    self.scenario.retry_after.filter(|_| refused && after_return).map_or(0, |asked| u64::from(asked) * SECOND);
                if served {
                    self.run.note_delivery(now);
                }
                Signal::Answered { job, served, refused, asked }
            }
        })
    }

    fn carry_out(&mut self, now: u64, number: u32, want: Want) {
        match want {
            Want::Send(job) => {
                let verdict = self.server.take(now);
                self.run.note_arrival(now, verdict);
                let queued = if let Verdict::Served(queued) = verdict { queued } else { 0 };
                let at = now + queued + self.rng.between(50, 300);
                let (served, refused) = (matches!(verdict, Verdict::Served(_)), verdict == Verdict::Refused);
                self.plan(at, number, Event::AttemptResult { job, served, refused });
            }
            Want::Timer { at, asleep_too } => {
                let Some(device) = self.devices.get_mut(number as usize) else { return };
                device.timer += 1;
                if device.awake || asleep_too {
                    let timer = device.timer;
                    self.plan(at.max(now), number, Event::Timer(timer));
                }
            }
            Want::Rest { again } => self.rest(now, number, again),
            Want::Bury => self.run.dead += 1,
        }
    }

    /// A drain is over: a `sync` that leaves work is rejected, and without one the browser is asked to come.
    fn rest(&mut self, now: u64, number: u32, again: bool) {
        let Some(device) = self.devices.get_mut(number as usize) else { return };
        let fired = std::mem::take(&mut device.firing).then_some(device.tag).flatten();
        match fired {
            Some(fired) if again && fired < SYNC_TRIES => {
                let (first, factor) = SYNC_AGAIN;
                self.plan(now + first * factor.pow(fired - 1), number, Event::Sync);
            }
            Some(_) => {
                device.tag = None;
                if again && device.awake {
                    self.register(now, number);
                }
            }
            None if again => self.register(now, number),
            None => {}
        }
    }

    /// Has the browser fire `sync`, which it does at once where it believes in the network.
    fn register(&mut self, now: u64, number: u32) {
        let Some(device) = self.devices.get_mut(number as usize) else { return };
        if self.scenario.wakes == Wakes::Page || device.tag.is_some() {
            return;
        }
        device.tag = Some(0);
        let soon = whole(50.0 * self.rng.roll());
        self.plan(now + soon, number, Event::Sync);
    }
}
