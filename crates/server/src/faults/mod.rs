//! Decides what shall go wrong: the fault set, as tests send it, and the requests it holds back.
//!
//! A rule applies to the requests that match it, after the first `skip` of them and for `times` of them. The
//! first rule that applies to a request decides; without one, the request is simply handled. Preflights are
//! matched only by rules that name the method `OPTIONS`.

mod answer;
mod rule;

pub(crate) use rule::{Conduct, FaultSet, Plan};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::problem::Problem;

/// What a rule is matched against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) method: &'a str,
    /// With its query.
    pub(crate) path: &'a str,
    /// The body, or its first mebibyte.
    pub(crate) body: &'a [u8],
    pub(crate) preflight: bool,
}

/// The faults in force, and the requests that wait for their release.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    set: Mutex<FaultSet>,
    held: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Faults {
    /// The set, with how often each rule matched and applied.
    pub(crate) fn current(&self) -> FaultSet {
        self.set.lock().clone()
    }

    /// Replaces the whole set; counts begin at 0. What is held stays held.
    ///
    /// # Errors
    /// [`Problem::FaultSetInvalid`] when a rule could not be carried out; the old set stays.
    pub(crate) fn replace(&self, set: FaultSet) -> Result<(), Problem> {
        let set = set.checked()?;
        *self.set.lock() = set;
        Ok(())
    }

    pub(crate) fn is_down(&self) -> bool {
        self.set.lock().down
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.set.lock().down = down;
    }

    /// Takes the plan for a request, counting it against the rules it matches.
    pub(crate) fn plan(&self, subject: Subject<'_>) -> Option<Plan> {
        let mut set = self.set.lock();
        set.rules.iter_mut().enumerate().find_map(|(index, rule)| rule.take(subject).then(|| rule.plan(index)))
    }

    /// Waits for the release. False if the set was reset instead: the request is to be given up.
    pub(crate) async fn hold(&self) -> bool {
        let (release, released) = oneshot::channel();
        self.held.lock().push(release);
        released.await.is_ok()
    }

    /// Lets everything held go on, and tells how many that were.
    pub(crate) fn release(&self) -> usize {
        let held = std::mem::take(&mut *self.held.lock());
        held.into_iter().filter_map(|release| release.send(()).ok()).count()
    }

    pub(crate) fn held(&self) -> usize {
        let mut held = self.held.lock();
        held.retain(|release| !release.is_closed());
        held.len()
    }

    /// Removes all faults and gives up everything held.
    pub(crate) fn reset(&self) {
        *self.set.lock() = FaultSet::default();
        self.held.lock().clear();
    }
}
