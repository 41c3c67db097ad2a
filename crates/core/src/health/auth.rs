//! Decides when a send asks for credentials, refreshes them, goes out, and gives up (Q14).
//!
//! Credentials come from the app's `auth` hook when a job is sent and are never stored. A server that refuses them
//! (401, 419, 440) has them refreshed once for all sends of the worker.
//!
//! ```text
//!            ┌────────── refreshed meanwhile ──────────┐
//!            ▼                                         │
//!   Waiting ──▶ Asking ──▶ Ready ──▶ Sent ──┬─ not refused, nothing to refresh, or the third send ─▶ Done
//!      ▲        (hook)                 ▲    │
//!      │                               │    └─ refused ─┬─ a refresh is under way, or over since ─▶ Waiting
//!      └───────────────────────────────┼────────────────┤
//!                                      │                ├─ this send has refreshed before ─▶ Done
//!                     new credentials ─┤                └─ otherwise ─▶ Refreshing (hook)
//!                                      └────────────────────────────────────┤
//!                                                       none, or it failed ─┴─▶ Done
//! ```
//!
//! # What always holds
//!
//! - At most one refresh is under way in a worker.
//! - Credentials that were asked for before a refresh ended are not sent after it, nor while it is under way.
//! - In one claim a job is sent at most [`MOST_SENDS`] times, and refreshes credentials at most once.

/// Sends of one job within one claim.
pub const MOST_SENDS: u32 = 3;

/// What the sends of one worker know together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Refreshes that are over.
    generation: u64,
    /// One is under way.
    refreshing: bool,
}

impl Credentials {
    /// Whether a refresh is under way, for whose end sends wait.
    #[must_use]
    pub const fn is_refreshing(&self) -> bool {
        self.refreshing
    }

    fn end_refresh(&mut self) {
        self.refreshing = false;
        self.generation += 1;
    }
}

/// What the hook came back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supplied {
    /// Headers.
    Credentials,
    /// No headers: there is nobody signed in, or nothing to refresh with.
    Nothing,
    /// It threw, or took too long.
    Failed,
}

/// What a send does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Wait until no refresh is under way, then take the next step.
    Wait,
    /// Call the hook, then [`Authorization::supplied`].
    Ask {
        /// The credentials of before were refused.
        refresh: bool,
    },
    /// Send with what was supplied last, then [`Authorization::replied`].
    Send,
    /// It is over: the last result stands.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Asking { generation: u64 },
    Ready { generation: u64, has_credentials: bool },
    Sent { generation: u64, has_credentials: bool },
    RefreshDue,
    Refreshing,
    Done,
}

/// One job's way from its claim to its last send; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Whether the hook is for the job's origin at all.
    asks: bool,
    state: State,
    sends: u32,
    has_refreshed: bool,
}

impl Authorization {
    /// A job that is about to be sent. `asks` says whether the hook is for its origin.
    #[must_use]
    pub const fn new(asks: bool) -> Self {
        let state = if asks { State::Waiting } else { State::Ready { generation: 0, has_credentials: false } };
        Self { asks, state, sends: 0, has_refreshed: false }
    }

    /// Whether the next step may be to send: what else speaks against it is looked at now.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    /// The next step.
    pub const fn step(&mut self, shared: &Credentials) -> Step {
        if let State::Ready { generation, .. } = self.state
            && self.asks
            && (shared.refreshing || shared.generation != generation)
        {
            self.state = State::Waiting;
        }
        match self.state {
            State::Waiting if shared.refreshing => Step::Wait,
            State::Waiting => {
                self.state = State::Asking { generation: shared.generation };
                Step::Ask { refresh: false }
            }
            State::Ready { generation, has_credentials } => {
                self.state = State::Sent { generation, has_credentials };
                self.sends += 1;
                Step::Send
            }
            State::RefreshDue => {
                self.state = State::Refreshing;
                Step::Ask { refresh: true }
            }
            // Of these a hook or a server knows the end; who asks all the same is done.
            State::Asking { .. } | State::Refreshing | State::Sent { .. } | State::Done => Step::Done,
        }
    }

    /// The hook came back.
    pub fn supplied(&mut self, shared: &mut Credentials, supplied: Supplied) {
        let has_credentials = supplied == Supplied::Credentials;
        match self.state {
            State::Asking { .. } if supplied == Supplied::Failed => self.state = State::Done,
            State::Asking { generation } => self.state = State::Ready { generation, has_credentials },
            State::Refreshing => {
                shared.end_refresh();
                self.state =
                    if has_credentials { State::Ready { generation: shared.generation, has_credentials } } else { State::Done };
            }
            _ => {}
        }
    }

    /// The send is over; `refused` says whether the server wants other credentials.
    pub fn replied(&mut self, shared: &mut Credentials, refused: bool) {
        let State::Sent { generation, has_credentials } = self.state else { return };
        self.state = if !refused || !has_credentials || self.sends >= MOST_SENDS {
            State::Done
        } else if shared.refreshing || shared.generation != generation {
            State::Waiting
        } else if self.has_refreshed {
            State::Done
        } else {
            self.has_refreshed = true;
            shared.refreshing = true;
            State::RefreshDue
        };
    }

    /// Nobody waits for this send any more. A refresh that it began is over.
    pub fn abandon(&mut self, shared: &mut Credentials) {
        if matches!(self.state, State::RefreshDue | State::Refreshing) {
            shared.end_refresh();
        }
        self.state = State::Done;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps until the send needs somebody; replies as the server does by the hook's generation of tokens.
    fn sent(send: &mut Authorization, shared: &Credentials) {
        assert_eq!(send.step(shared), Step::Send);
    }

    fn asked(send: &mut Authorization, shared: &mut Credentials, refresh: bool, supplied: Supplied) {
        assert_eq!(send.step(shared), Step::Ask { refresh });
        send.supplied(shared, supplied);
    }

    #[test]
    fn without_a_hook_a_refusal_stands() {
        let (mut shared, mut send) = (Credentials::default(), Authorization::new(false));
        sent(&mut send, &shared);
        send.replied(&mut shared, true);
        assert_eq!(send.step(&shared), Step::Done);
    }

    #[test]
    fn refused_credentials_are_refreshed_once_and_the_job_is_sent_again() {
        let (mut shared, mut send) = (Credentials::default(), Authorization::new(true));
        asked(&mut send, &mut shared, false, Supplied::Credentials);
        sent(&mut send, &shared);
        send.replied(&mut shared, true);
        asked(&mut send, &mut shared, true, Supplied::Credentials);
        sent(&mut send, &shared);
        send.replied(&mut shared, true);
        assert_eq!(
            (send.step(&shared), shared.is_refreshing()),
            (Step::Done, false),
            "refreshed before, and refused all the same"
        );
    }

    #[test]
    fn sends_that_are_refused_together_share_one_refresh() {
        let mut shared = Credentials::default();
        let mut sends = [Authorization::new(true); 3];
        for send in &mut sends {
            asked(send, &mut shared, false, Supplied::Credentials);
            sent(send, &shared);
        }
        let [first, second, third] = &mut sends;
        first.replied(&mut shared, true);
        assert_eq!(first.step(&shared), Step::Ask { refresh: true });
        second.replied(&mut shared, true);
        assert_eq!(second.step(&shared), Step::Wait);
        first.supplied(&mut shared, Supplied::Credentials);
        third.replied(&mut shared, true);
        for send in [second, third] {
            asked(send, &mut shared, false, Supplied::Credentials);
            sent(send, &shared);
        }
        sent(first, &shared);
    }

    #[test]
    fn what_was_supplied_before_a_refresh_is_not_sent_after_it() {
        let mut shared = Credentials::default();
        let [mut slow, mut other] = [Authorization::new(true); 2];
        assert_eq!(slow.step(&shared), Step::Ask { refresh: false });
        asked(&mut other, &mut shared, false, Supplied::Credentials);
        sent(&mut other, &shared);
        other.replied(&mut shared, true);
        slow.supplied(&mut shared, Supplied::Credentials);
        assert_eq!(slow.step(&shared), Step::Wait);
        asked(&mut other, &mut shared, true, Supplied::Credentials);
        asked(&mut slow, &mut shared, false, Supplied::Credentials);
        sent(&mut slow, &shared);
    }

    #[test]
    fn three_sends_are_the_most() {
        let mut shared = Credentials::default();
        let mut send = Authorization::new(true);
        for _ in 0..MOST_SENDS {
            asked(&mut send, &mut shared, false, Supplied::Credentials);
            sent(&mut send, &shared);
            // Somebody else refreshes, and the new ones are refused as well.
            shared.end_refresh();
            send.replied(&mut shared, true);
        }
        assert_eq!(send.step(&shared), Step::Done);
    }

    #[test]
    fn a_refresh_that_fails_brings_nothing_or_is_abandoned_holds_nobody_up() {
        for supplied in [Some(Supplied::Failed), Some(Supplied::Nothing), None] {
            let mut shared = Credentials::default();
            let [mut send, mut waiting] = [Authorization::new(true); 2];
            asked(&mut send, &mut shared, false, Supplied::Credentials);
            sent(&mut send, &shared);
            send.replied(&mut shared, true);
            assert_eq!(send.step(&shared), Step::Ask { refresh: true });
            assert_eq!(waiting.step(&shared), Step::Wait);
            match supplied {
                Some(supplied) => send.supplied(&mut shared, supplied),
                None => send.abandon(&mut shared),
            }
            assert_eq!((send.step(&shared), waiting.step(&shared)), (Step::Done, Step::Ask { refresh: false }));
        }
    }
}
