use super::*;

const START: Millis = Millis(1_800_000_000_000);
const ALL: Triggers = Triggers { mount: true, online: true, visibility: true };

/// A page in virtual time: what happens to it, and when it wakes the worker.
struct Page {
    now: Millis,
    sync: AutoSync,
    woken: Vec<(u64, WakeReason)>,
}

impl Page {
    fn new(schedule: Schedule, fixed: u64) -> Self {
        let sync = AutoSync::new(START, schedule, fixed, ALL, true).unwrap();
        let mut page = Self { now: START, sync, woken: Vec::new() };
        page.happens(Input::Mounted);
        page.happens(Input::Waiting(true));
        page.woken.clear();
        page
    }

    fn of(profile: Profile) -> Self {
        Self::new(Schedule { profile, ..Schedule::default() }, unit::MINUTE)
    }

    fn happens(&mut self, input: Input) {
        if let Some(reason) = self.sync.handle(self.now, input) {
            self.woken.push((self.now.since(START) / unit::SECOND, reason));
        }
    }

    /// Lets time pass, with a tick whenever one is due.
    fn passes(&mut self, ms: u64) {
        let end = self.now.after(ms);
        while let Some(at) = self.sync.next(self.now).filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.happens(Input::Tick);
        }
        self.now = end;
    }

    /// As [`Page::passes`], with a person who uses the page every ten seconds.
    fn passes_in_use(&mut self, ms: u64) {
        for _ in 0..ms / (10 * unit::SECOND) {
            self.happens(Input::Activity);
            self.passes(10 * unit::SECOND);
        }
    }

    /// Seconds at which it woke the worker since the last call.
    fn times(&mut self) -> Vec<u64> {
        self.woken.drain(..).map(|(at, _)| at).collect()
    }
}

fn battery(level: f64, charging: bool) -> Input {
    Input::Battery(Battery { level, charging })
}

#[test]
fn an_adaptive_page_syncs_every_5_min_in_use_every_15_idle_and_never_hidden() {
    let mut page = Page::of(Profile::Adaptive);
    page.passes_in_use(16 * unit::MINUTE);
    assert_eq!(page.times(), [300, 600, 900]);
    page.passes(32 * unit::MINUTE);
    assert_eq!(page.times(), [1_800, 2_700]);
    page.happens(Input::Visible(false));
    page.passes(24 * unit::HOUR);
    assert_eq!(page.times(), [0; 0]);
}

#[test]
fn a_page_that_is_used_again_syncs_at_once_when_its_interval_has_passed() {
    let mut page = Page::of(Profile::Adaptive);
    page.passes(10 * unit::MINUTE);
    assert_eq!(page.times(), [0; 0]);
    page.happens(Input::Activity);
    page.passes(0);
    assert_eq!(page.times(), [600]);
}

#[test]
fn a_frequent_page_syncs_every_30_s_and_hidden_every_5_min() {
    let mut page = Page::of(Profile::Frequent);
    page.passes(95 * unit::SECOND);
    assert_eq!(page.times(), [30, 60, 90]);
    page.happens(Input::Visible(false));
    page.passes(10 * unit::MINUTE);
    assert_eq!(page.times(), [390, 690]);
    page.happens(battery(0.2, false));
    page.passes(20 * unit::MINUTE);
    assert_eq!(page.times(), [1_590]);
}

#[test]
fn a_page_of_a_fixed_interval_keeps_it_while_it_is_visible() {
    let mut page = Page::of(Profile::Fixed);
    page.happens(battery(0.01, false));
    page.passes(150 * unit::SECOND);
    assert_eq!(page.times(), [60, 120]);
    page.happens(Input::Visible(false));
    page.passes(unit::HOUR);
    assert_eq!(page.times(), [0; 0]);
    let mut off = Page::new(Schedule::default(), 0);
    off.passes(unit::HOUR);
    assert_eq!(off.times(), [0; 0]);
}

#[test]
fn a_low_battery_stretches_the_interval_and_under_15_percent_there_is_none_unless_it_charges() {
    let mut page = Page::of(Profile::Adaptive);
    page.happens(battery(0.29, false));
    page.passes_in_use(31 * unit::MINUTE);
    assert_eq!(page.times(), [900, 1_800]);
    page.happens(battery(0.149, false));
    page.passes_in_use(unit::HOUR);
    assert_eq!(page.times(), [0; 0]);
    page.happens(battery(0.149, true));
    page.passes(0);
    assert_eq!(page.times(), [1_860 + 3_600]);
}

#[test]
fn what_a_browser_does_not_tell_restricts_nothing() {
    let mut page = Page::of(Profile::Adaptive);
    page.passes_in_use(5 * unit::MINUTE);
    assert_eq!(page.times(), [300]);
}

#[test]
fn a_page_that_becomes_visible_syncs_at_once_when_jobs_wait_or_the_last_sync_is_old() {
    let mut page = Page::of(Profile::Adaptive);
    page.happens(Input::Visible(false));
    page.passes(unit::MINUTE);
    page.happens(Input::Visible(true));
    assert_eq!(page.woken, [(60, WakeReason::Visible)]);
    page.happens(Input::Waiting(false));
    page.happens(Input::Visible(false));
    page.passes(4 * unit::MINUTE);
    page.happens(Input::Visible(true));
    page.happens(Input::Focused);
    assert_eq!(page.times(), [60]);
    page.happens(Input::Visible(false));
    page.passes(2 * unit::MINUTE);
    page.happens(Input::Visible(true));
    page.happens(Input::Focused);
    assert_eq!(page.woken, [(420, WakeReason::Visible)]);
}

#[test]
fn a_network_that_is_back_is_a_reason_and_without_one_there_is_none() {
    let mut page = Page::of(Profile::Frequent);
    page.happens(Input::Online(false));
    page.happens(Input::Visible(false));
    page.happens(Input::Visible(true));
    page.passes(unit::HOUR);
    assert_eq!(page.times(), [0; 0]);
    page.happens(Input::Online(true));
    page.happens(Input::Online(true));
    assert_eq!(page.woken, [(3_600, WakeReason::Online)]);
}

#[test]
fn a_prerendered_page_does_nothing_until_it_is_shown() {
    let mut sync = AutoSync::new(START, Schedule::default(), unit::MINUTE, ALL, true).unwrap();
    sync.handle(START, Input::Waiting(true));
    for input in [Input::Visible(false), Input::Visible(true), Input::Focused, Input::Online(false), Input::Online(true)] {
        assert_eq!(sync.handle(START, input), None);
    }
    assert_eq!(sync.next(START.after(unit::HOUR)), None);
    assert_eq!(sync.handle(START.after(unit::HOUR), Input::Mounted), Some(WakeReason::Load));
}

#[test]
fn a_stopped_page_does_nothing_until_it_is_started_and_then_syncs_what_waits() {
    let mut page = Page::of(Profile::Frequent);
    page.happens(Input::Stop);
    page.happens(Input::Online(false));
    page.happens(Input::Online(true));
    page.happens(Input::Focused);
    page.passes(unit::HOUR);
    assert_eq!(page.times(), [0; 0]);
    page.happens(Input::Start);
    page.happens(Input::Start);
    page.passes(30 * unit::SECOND);
    assert_eq!(page.times(), [3_600, 3_630]);
}

#[test]
fn a_sync_of_whomever_starts_the_interval_anew() {
    let mut page = Page::of(Profile::Frequent);
    page.passes(20 * unit::SECOND);
    page.happens(Input::Synced(page.now));
    page.passes(29 * unit::SECOND);
    assert_eq!(page.times(), [0; 0]);
    page.passes(unit::SECOND);
    assert_eq!(page.times(), [50]);
    // Of another device's clock, or stored before this one was set back.
    page.happens(Input::Synced(page.now.after(unit::DAY)));
    page.passes(30 * unit::SECOND);
    assert_eq!(page.times(), [80]);
}

#[test]
fn a_clock_that_is_set_back_delays_no_sync_by_more_than_its_interval() {
    let mut page = Page::of(Profile::Adaptive);
    page.passes_in_use(unit::MINUTE);
    page.now = Millis(START.0 - unit::DAY);
    page.happens(Input::Activity);
    let at = page.sync.next(page.now).unwrap();
    assert!(at <= page.now.after(15 * unit::MINUTE), "{at:?}");
}

#[test]
fn a_clock_that_jumps_ahead_causes_one_wake() {
    let mut page = Page::of(Profile::Frequent);
    page.now = page.now.after(400 * unit::DAY);
    page.passes(0);
    assert_eq!(page.times().len(), 1);
}

#[test]
fn with_nothing_that_waits_no_timer_is_set() {
    let mut page = Page::of(Profile::Frequent);
    page.happens(Input::Waiting(false));
    assert_eq!(page.sync.next(page.now), None);
}

#[test]
fn triggers_that_are_off_wake_nobody() {
    let off = Triggers { mount: false, online: false, visibility: false };
    let mut sync = AutoSync::new(START, Schedule::default(), 0, off, true).unwrap();
    sync.handle(START, Input::Waiting(true));
    for input in [
        Input::Mounted,
        Input::Visible(false),
        Input::Visible(true),
        Input::Focused,
        Input::Online(false),
        Input::Online(true),
        Input::Tick,
    ] {
        assert_eq!(sync.handle(START, input), None);
    }
}

#[test]
fn an_interval_or_level_out_of_range_is_refused_by_its_name() {
    let refused = |schedule: Schedule, fixed| AutoSync::new(START, schedule, fixed, ALL, true).unwrap_err().into_message();
    let year = 365 * unit::DAY;
    assert!(refused(Schedule::default(), 10 * year).starts_with("autoSyncInterval is 0"));
    assert!(refused(Schedule::default(), 1).starts_with("autoSyncInterval is 0"));
    let active = Schedule { active: Some(year), ..Schedule::default() };
    assert!(refused(active, 0).starts_with("schedule.active is 0"));
    for level in [1.1, -0.1, f64::NAN] {
        assert_eq!(refused(Schedule { low_level: level, ..Schedule::default() }, 0), "schedule.lowLevel is 0 to 1");
    }
}
