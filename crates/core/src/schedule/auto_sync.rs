//! Decides when a page syncs by itself: how often, and upon what (C3).
//!
//! A state machine of one page. What happens to the page goes in by [`AutoSync::handle`], which returns a reason to wake the
//! worker at once, if there is one; [`AutoSync::next`] says when [`Input::Tick`] is due.
//!
//! | what happens | what follows |
//! |---|---|
//! | the page opens | a wake (`load`), if `syncOnMount` |
//! | the network is back | a wake (`online`), if `syncOnOnline` |
//! | the page becomes visible or gets the focus | a wake, if `syncOnVisibility`, and jobs wait or the last sync is older than `stale_after` |
//! | the network is of another kind (cellular, metered, saving data) | a wake (`interval`), if jobs wait |
//! | time passes | a wake (`interval`) one interval after the last sync or wake |
//! | a person uses the page (pointer, key, scroll) | it counts as active for `idle_after` |
//! | the battery runs down | longer intervals, then none, unless it is charging |
//! | `startAutoSync`, `stopAutoSync` | all of the above, or nothing of it |
//! | the page is prerendered | nothing, until it is shown |
//!
//! The interval is that of the [`Profile`]: one for a visible page that is used, one for a visible page that is idle, one for
//! a hidden page. `syncNow` is a person's own doing: it asks nobody here, and counts as a sync.
//!
//! What always holds: nothing is woken while the page is prerendered, stopped or without a network; between two wakes by
//! `interval` lies at least the interval that applies at the second of them; a battery that a browser does not tell of is
//! full. A wake for a job whose time has come is not of this module but of [`super::wakes`].

use serde::{Deserialize, Serialize};

use super::wakes::WakeReason;
use crate::{
    error::Error,
    time::{Millis, unit},
    wire::text::Text,
};

/// The longest interval: what a browser's timer holds.
pub const LONGEST_INTERVAL: u64 = 0x7fff_ffff;

/// The shortest interval but 0.
pub const SHORTEST_INTERVAL: u64 = 100;

/// Intervals in milliseconds; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// Of a visible page that a person uses.
    pub active: u64,
    /// Of a visible page that nobody uses.
    pub idle: u64,
    /// Of a page that cannot be seen.
    pub hidden: u64,
    /// At least this long while the battery is low.
    pub low_battery: u64,
    /// At least this long while it is critical; 0 for no wake by time.
    pub critical_battery: u64,
}

/// A named set of intervals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// One interval, `autoSyncInterval`, while the page is visible, whatever the battery.
    #[default]
    Fixed,
    /// 5 min for an active page, 15 min for an idle one, none for a hidden one; 15 min at a low battery, none under 15 %.
    Adaptive,
    /// 30 s for a visible page, 5 min for a hidden one, 15 min at a low battery.
    Frequent,
}

impl Profile {
    /// Its intervals, where `fixed` is that of [`Profile::Fixed`].
    #[must_use]
    pub const fn intervals(self, fixed: u64) -> Intervals {
        match self {
            Self::Fixed => Intervals { active: fixed, idle: fixed, hidden: 0, low_battery: 1, critical_battery: 1 },
            Self::Adaptive => Intervals {
                active: 5 * unit::MINUTE,
                idle: 15 * unit::MINUTE,
                hidden: 0,
                low_battery: 15 * unit::MINUTE,
                critical_battery: 0,
            },
            Self::Frequent => Intervals {
                active: 30 * unit::SECOND,
                idle: 30 * unit::SECOND,
                hidden: 5 * unit::MINUTE,
                low_battery: 15 * unit::MINUTE,
                critical_battery: 15 * unit::MINUTE,
            },
        }
    }
}

/// A schedule as an app gives it: a profile, and what differs from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "!Schedule", rename_all = "camelCase", default)]
pub struct Schedule {
    /// The profile.
    pub profile: Profile,
    /// In place of [`Intervals::active`].
    pub active: Option<u64>,
    /// In place of [`Intervals::idle`].
    pub idle: Option<u64>,
    /// In place of [`Intervals::hidden`].
    pub hidden: Option<u64>,
    /// In place of [`Intervals::low_battery`].
    pub low_battery: Option<u64>,
    /// In place of [`Intervals::critical_battery`].
    pub critical_battery: Option<u64>,
    /// A battery below this is low, 0 to 1.
    pub low_level: f64,
    /// A battery below this is critical, 0 to 1.
    pub critical_level: f64,
    /// Milliseconds without pointer, key or scroll after which a page is idle.
    pub idle_after: u64,
    /// A page that becomes visible syncs at once when its last sync is older than this.
    pub stale_after: u64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            profile: Profile::Fixed,
            active: None,
            idle: None,
            hidden: None,
            low_battery: None,
            critical_battery: None,
            low_level: 0.3,
            critical_level: 0.15,
            // The shortest that the Idle Detection API knows.
            idle_after: unit::MINUTE,
            stale_after: 5 * unit::MINUTE,
        }
    }
}

impl Schedule {
    /// The intervals, with `fixed` for [`Profile::Fixed`].
    ///
    /// # Errors
    /// `invalid-config`, naming what is out of range.
    pub fn intervals(&self, fixed: u64) -> Result<Intervals, Error> {
        let of = self.profile.intervals(fixed);
        let level = |name: &str, level: f64| {
            (0.0..=1.0).contains(&level).then_some(()).ok_or_else(|| bad(&["schedule.", name, " is 0 to 1"]))
        };
        level("lowLevel", self.low_level)?;
        level("criticalLevel", self.critical_level)?;
        for (name, value) in [
            ("autoSyncInterval", Some(fixed)),
            ("schedule.active", self.active),
            ("schedule.idle", self.idle),
            ("schedule.hidden", self.hidden),
            ("schedule.lowBattery", self.low_battery),
            ("schedule.criticalBattery", self.critical_battery),
            ("schedule.idleAfter", Some(self.idle_after)),
            ("schedule.staleAfter", Some(self.stale_after)),
        ] {
            if value.is_some_and(|ms| ms != 0 && !(SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&ms)) {
                return Err(bad(&[name, " is 0 for none, or 100 to 2147483647 ms (24 days)"]));
            }
        }
        Ok(Intervals {
            active: self.active.unwrap_or(of.active),
            idle: self.idle.unwrap_or(of.idle),
            hidden: self.hidden.unwrap_or(of.hidden),
            low_battery: self.low_battery.unwrap_or(of.low_battery),
            critical_battery: self.critical_battery.unwrap_or(of.critical_battery),
        })
    }
}

#[cold]
fn bad(texts: &[&str]) -> Error {
    Error::invalid_config(texts.text())
}

/// What a browser tells of the battery.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Battery {
    /// 0 to 1.
    pub level: f64,
    /// Whether it is being charged.
    pub charging: bool,
}

/// What happens to a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input {
    /// It was opened, or is shown after it was prerendered.
    Mounted,
    /// It can be seen, or no more.
    Visible(bool),
    /// It has the focus.
    Focused,
    /// A person uses it.
    Activity,
    /// The browser says that there is a network, or none.
    Online(bool),
    /// It is on another kind of network, over which other jobs may go.
    Connection,
    /// The battery, as the browser tells it.
    Battery(Battery),
    /// Jobs wait, or none does.
    Waiting(bool),
    /// The queue was last synced then, by whomever.
    Synced(Millis),
    /// The time that [`AutoSync::next`] returned has come.
    Tick,
    /// `startAutoSync`.
    Start,
    /// `stopAutoSync`.
    Stop,
}

/// What a page syncs upon, besides time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triggers {
    /// `syncOnMount`.
    pub mount: bool,
    /// `syncOnOnline`.
    pub online: bool,
    /// `syncOnVisibility`.
    pub visibility: bool,
}

/// How one page syncs by itself; see the module.
#[derive(Clone, Debug)]
pub struct AutoSync {
    intervals: Intervals,
    schedule: Schedule,
    triggers: Triggers,
    running: bool,
    /// Prerendered, or not opened yet.
    mounted: bool,
    visible: bool,
    online: bool,
    waiting: bool,
    battery: Battery,
    /// When it was last used.
    used: Millis,
    /// The last sync or wake.
    last: Millis,
}

/// How much power there is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Power {
    Enough,
    Low,
    Critical,
}

impl AutoSync {
    /// A page that is not opened yet, of which nothing bad is known. `running` is `autoSync`.
    ///
    /// # Errors
    /// As [`Schedule::intervals`].
    pub fn new(now: Millis, schedule: Schedule, fixed: u64, triggers: Triggers, running: bool) -> Result<Self, Error> {
        Ok(Self {
            intervals: schedule.intervals(fixed)?,
            schedule,
            triggers,
            running,
            mounted: false,
            visible: true,
            online: true,
            waiting: false,
            battery: Battery { level: 1.0, charging: true },
            used: now,
            last: now,
        })
    }

    /// Whether the page was opened, and not merely prerendered.
    #[must_use]
    pub fn is_mounted(&self) -> bool {
        self.mounted
    }

    /// Whether it goes by what a person does, and by the battery: else nobody need look.
    #[must_use]
    pub fn looks_at(&self) -> (bool, bool) {
        let Intervals { active, idle, low_battery, critical_battery, .. } = self.intervals;
        (active != idle, low_battery != 1 || critical_battery != 1)
    }

    /// Whether it syncs by itself.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// Takes what happened; returns why the worker is to be woken now.
    pub fn handle(&mut self, now: Millis, input: Input) -> Option<WakeReason> {
        // A clock that was set back makes nothing happen later than it would have.
        self.used = self.used.min(now);
        self.last = self.last.min(now);
        let reason = match input {
            Input::Mounted => {
                self.mounted = true;
                self.used = now;
                self.triggers.mount.then_some(WakeReason::Load)
            }
            Input::Visible(visible) => {
                let appeared = visible && !self.visible;
                self.visible = visible;
                appeared.then(|| self.appear(now, WakeReason::Visible)).flatten()
            }
            Input::Focused => self.appear(now, WakeReason::Focus),
            Input::Activity => {
                self.used = now;
                None
            }
            Input::Online(online) => {
                let back = online && !self.online;
                self.online = online;
                (back && self.triggers.online).then_some(WakeReason::Online)
            }
            Input::Connection => self.waiting.then_some(WakeReason::Interval),
            Input::Battery(battery) => {
                self.battery = battery;
                None
            }
            Input::Waiting(waiting) => {
                self.waiting = waiting;
                None
            }
            Input::Synced(at) => {
                self.last = self.last.max(at.min(now));
                None
            }
            Input::Tick => self.next(now).filter(|at| *at <= now).map(|_| WakeReason::Interval),
            Input::Start | Input::Stop => {
                let begins = input == Input::Start && !self.running;
                self.running = input == Input::Start;
                (begins && self.waiting).then_some(WakeReason::Interval)
            }
        };
        let reason = reason.filter(|_| self.may_wake());
        if reason.is_some() {
            self.last = now;
        }
        reason
    }

    /// When the next [`Input::Tick`] is due; `None` while there is nothing to wake for.
    #[must_use]
    pub fn next(&self, now: Millis) -> Option<Millis> {
        if !self.may_wake() || !self.waiting {
            return None;
        }
        let after = |interval: u64| (interval > 0).then(|| self.last.after(interval));
        if !self.visible {
            return after(self.stretch(self.intervals.hidden));
        }
        let idle_from = self.used.after(self.schedule.idle_after);
        let (active, idle) = (after(self.stretch(self.intervals.active)), after(self.stretch(self.intervals.idle)));
        match active {
            Some(at) if at.max(now) < idle_from => Some(at),
            _ => idle.map(|at| at.max(idle_from.min(now.after(self.schedule.idle_after)))),
        }
    }

    fn may_wake(&self) -> bool {
        self.running && self.mounted && self.online
    }

    /// The page is looked at again.
    fn appear(&mut self, now: Millis, reason: WakeReason) -> Option<WakeReason> {
        self.used = now;
        let stale = now.since(self.last) >= self.schedule.stale_after;
        (self.triggers.visibility && (self.waiting || stale)).then_some(reason)
    }

    /// An interval, as the battery permits.
    fn stretch(&self, interval: u64) -> u64 {
        let least = match self.power() {
            Power::Enough => return interval,
            Power::Low => self.intervals.low_battery,
            Power::Critical => self.intervals.critical_battery,
        };
        if interval == 0 || least == 0 { 0 } else { interval.max(least) }
    }

    fn power(&self) -> Power {
        let Battery { level, charging } = self.battery;
        if charging || level >= self.schedule.low_level {
            Power::Enough
        } else if level < self.schedule.critical_level {
            Power::Critical
        } else {
            Power::Low
        }
    }
}

#[cfg(test)]
mod tests;
