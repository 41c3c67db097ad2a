//! Who is signed in, and what they paused.

use serde::{Deserialize, Serialize};

use crate::{
    queue::job::Job,
    schedule::network::NetworkChoices,
    store::ledger::{Ledger, OwnerState},
};

/// Who is signed in and what they paused: what no row tells, should the ledger be lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// As [`Ledger::owner`].
    pub owner: String,
    /// As [`Ledger::session`].
    #[serde(default)]
    pub number: u64,
    /// As [`Ledger::paused`].
    #[serde(default)]
    pub paused: bool,
    /// As [`Ledger::paused_queues`].
    #[serde(default)]
    pub paused_queues: Vec<String>,
    /// Of those who are not signed in.
    #[serde(default)]
    pub others: Vec<OwnerState>,
    /// As [`Ledger::network`].
    pub network: Option<NetworkChoices>,
}

impl Session {
    /// Whether a claimed job may still be sent, as `session` is stored: nobody has signed in or out since, on whose behalf it
    /// may have been purged.
    ///
    /// A lease without a session is of a release that knew none, or of its ledger: the owner alone decides. Where there is no
    /// session any more though the lease names one, the database is another than it was claimed in.
    #[must_use]
    pub fn covers(session: Option<&Self>, job: &Job) -> bool {
        let Some(lease) = &job.lease else { return false };
        match session {
            None => lease.session == 0,
            Some(session) => session.owner == job.owner && (lease.session == 0 || lease.session == session.number),
        }
    }

    /// The session that this ledger stands for.
    #[must_use]
    pub fn of(ledger: &Ledger) -> Self {
        Self {
            owner: ledger.owner.clone(),
            number: ledger.session,
            paused: ledger.paused,
            paused_queues: ledger.paused_queues.clone(),
            others: ledger.others.clone(),
            network: ledger.network,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{queue::job::Lease, time::Millis, wire::testing::parse};

    #[test]
    fn a_claim_is_covered_by_the_session_that_it_was_made_in() {
        let session = |owner: &str, number| Some(Session { owner: owner.to_owned(), number, ..Session::default() });
        let covers = |session: Option<Session>, lease| {
            let row = r#"{"v":2,"id":"11111111-1111-4111-8111-111111111111","seq":1,"queue":"q","owner":"ada","origin":"https://a.example",
                "priority":5,"rank":0,"request":{"url":"https://a.example/","method":"POST"},"idempotencyKey":"k",
                "state":"syncing","place":"out","line":false,"queuedAt":1,"expiresAt":2,"attempts":0,"unreachable":0,
                "interruptions":0,"nextAttemptAt":1,"holdUntil":0,"lastDelay":0}"#;
            let mut job = parse::<Job>(row).unwrap();
            job.lease = Some(Lease { holder: "drain".to_owned(), until: Millis(1), session: lease });
            Session::covers(session.as_ref(), &job)
        };
        assert!(covers(session("ada", 7), 7));
        assert!(!covers(session("ada", 8), 7), "signed out and in again");
        assert!(!covers(session("bob", 7), 7));
        assert!(!covers(None, 7), "the database was deleted");
        // By a release without sessions, or by its ledger.
        assert!(covers(session("ada", 7), 0) && covers(None, 0) && !covers(session("bob", 7), 0));
    }
}
