//! Says what may be sent over the network that there is, by the policy of the person whose device it is (C5).
//!
//! | setting | off means | what a browser must tell |
//! |---|---|---|
//! | `autoSync` | nothing is sent but by `syncNow` | nothing |
//! | `syncOnMobileData` | nothing over a cellular connection | the connection's type |
//! | `syncOnMeteredConnection` | nothing over a connection that is paid for by volume | whether it is metered; a cellular one counts as metered |
//! | `saveData` (on) | nothing while the browser asks to save data | the `Save-Data` preference |
//!
//! An app gives a policy in its configuration; each owner's own choices are stored beside their pauses, and go with a purge. A
//! cycle looks at it in its own transaction, over the connection that the shell saw last: what is claimed is permitted then.
//!
//! Critical jobs (priority 10) go over any connection, unless `criticalOverride` is off; `autoSync: false` holds them too. A
//! `syncNow` asks nobody. What a browser does not tell counts as unrestricted: only Chromium tells anything (Network
//! Information API), so elsewhere `autoSync` is the only setting that has an effect.

use serde::{Deserialize, Serialize};

use crate::{queue::job::Job, wire::text::Text};

/// The priority of jobs that a restricted network does not hold.
pub const CRITICAL: u8 = 10;

/// What a person permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicy {
    /// Send without being asked.
    pub auto_sync: bool,
    /// Send over cellular connections.
    #[serde(rename = "syncOnMobileData")]
    pub mobile_data: bool,
    /// Send over connections that are paid for by volume.
    #[serde(rename = "syncOnMeteredConnection")]
    pub metered: bool,
    /// Send nothing while the browser asks to save data.
    pub save_data: bool,
    /// Let critical jobs go over any connection.
    pub critical_override: bool,
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        Self { auto_sync: true, mobile_data: true, metered: true, save_data: false, critical_override: true }
    }
}

/// What a browser tells of its connection; `None` is untold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// It is a cellular one.
    pub cellular: Option<bool>,
    /// It is paid for by volume.
    pub metered: Option<bool>,
    /// The browser asks to save data.
    pub save_data: Option<bool>,
}

/// A change of what a person permits; what it does not name stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!NetworkChange", rename_all = "camelCase")]
pub struct NetworkChange {
    /// As [`NetworkPolicy::auto_sync`].
    pub auto_sync: Option<bool>,
    /// As [`NetworkPolicy::mobile_data`].
    #[serde(rename = "syncOnMobileData")]
    pub mobile_data: Option<bool>,
    /// As [`NetworkPolicy::metered`].
    #[serde(rename = "syncOnMeteredConnection")]
    pub metered: Option<bool>,
    /// As [`NetworkPolicy::save_data`].
    pub save_data: Option<bool>,
    /// As [`NetworkPolicy::critical_override`].
    pub critical_override: Option<bool>,
}

/// What a person has chosen, as it is stored; what they have not chosen is the app's to say.
///
/// Apart from [`NetworkChange`], which refuses a member that it does not know: what a later version has stored is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkChoices {
    /// As [`NetworkPolicy::auto_sync`].
    pub auto_sync: Option<bool>,
    /// As [`NetworkPolicy::mobile_data`].
    #[serde(rename = "syncOnMobileData")]
    pub mobile_data: Option<bool>,
    /// As [`NetworkPolicy::metered`].
    #[serde(rename = "syncOnMeteredConnection")]
    pub metered: Option<bool>,
    /// As [`NetworkPolicy::save_data`].
    pub save_data: Option<bool>,
    /// As [`NetworkPolicy::critical_override`].
    pub critical_override: Option<bool>,
}

impl NetworkChoices {
    /// These with a change.
    #[must_use]
    pub fn with(self, change: NetworkChange) -> Self {
        Self {
            auto_sync: change.auto_sync.or(self.auto_sync),
            mobile_data: change.mobile_data.or(self.mobile_data),
            metered: change.metered.or(self.metered),
            save_data: change.save_data.or(self.save_data),
            critical_override: change.critical_override.or(self.critical_override),
        }
    }

    /// These as a change of the app's policy.
    #[must_use]
    pub fn change(self) -> NetworkChange {
        let Self { auto_sync, mobile_data, metered, save_data, critical_override } = self;
        NetworkChange { auto_sync, mobile_data, metered, save_data, critical_override }
    }
}

/// Why jobs are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restriction {
    /// `autoSync` is off.
    AutoSync,
    /// The connection is a cellular one.
    MobileData,
    /// It is metered.
    Metered,
    /// The browser asks to save data.
    SaveData,
}

/// What may be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Permit {
    /// Everything.
    #[default]
    All,
    /// Critical jobs; the others wait, for this reason.
    Critical(Restriction),
    /// Nothing, for this reason.
    Nothing(Restriction),
}

impl Permit {
    /// Whether this job may be sent.
    #[must_use]
    pub fn allows(self, job: &Job) -> bool {
        match self {
            Self::All => true,
            Self::Critical(_) => job.order.priority >= CRITICAL,
            Self::Nothing(_) => false,
        }
    }

    /// Why not everything may be sent.
    #[must_use]
    pub const fn restriction(self) -> Option<Restriction> {
        match self {
            Self::All => None,
            Self::Critical(restriction) | Self::Nothing(restriction) => Some(restriction),
        }
    }
}

impl NetworkPolicy {
    /// This policy with a change.
    #[must_use]
    pub fn with(self, change: NetworkChange) -> Self {
        Self {
            auto_sync: change.auto_sync.unwrap_or(self.auto_sync),
            mobile_data: change.mobile_data.unwrap_or(self.mobile_data),
            metered: change.metered.unwrap_or(self.metered),
            save_data: change.save_data.unwrap_or(self.save_data),
            critical_override: change.critical_override.unwrap_or(self.critical_override),
        }
    }

    /// What may be sent over this connection.
    #[must_use]
    pub fn permit(self, connection: Connection) -> Permit {
        let is = |told: Option<bool>| told == Some(true);
        let cellular = is(connection.cellular);
        let restriction = if !self.auto_sync {
            return Permit::Nothing(Restriction::AutoSync);
        } else if cellular && !self.mobile_data {
            Restriction::MobileData
        } else if connection.metered.unwrap_or(cellular) && !self.metered {
            Restriction::Metered
        } else if is(connection.save_data) && self.save_data {
            Restriction::SaveData
        } else {
            return Permit::All;
        };
        if self.critical_override { Permit::Critical(restriction) } else { Permit::Nothing(restriction) }
    }
}

impl Restriction {
    /// A sentence for people.
    #[must_use]
    pub fn message(self) -> String {
        let (what, setting) = match self {
            Self::AutoSync => ("automatic sync is off", "syncNow() sends all the same"),
            Self::MobileData => ("the connection is a mobile one", "syncOnMobileData is off"),
            Self::Metered => ("the connection is metered", "syncOnMeteredConnection is off"),
            Self::SaveData => ("the browser asks to save data", "saveData is on"),
        };
        [what, ", and ", setting].text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: NetworkPolicy =
        NetworkPolicy { auto_sync: true, mobile_data: true, metered: true, save_data: false, critical_override: true };
    const CELLULAR: Connection = Connection { cellular: Some(true), metered: None, save_data: None };

    #[test]
    fn by_default_everything_is_sent_over_everything() {
        assert_eq!(NetworkPolicy::default(), OPEN);
        let costly = Connection { cellular: Some(true), metered: Some(true), save_data: Some(true) };
        assert_eq!(OPEN.permit(costly), Permit::All);
    }

    #[test]
    fn each_setting_holds_what_it_says() {
        for (policy, connection, permit) in [
            (NetworkPolicy { auto_sync: false, ..OPEN }, Connection::default(), Permit::Nothing(Restriction::AutoSync)),
            (NetworkPolicy { mobile_data: false, ..OPEN }, CELLULAR, Permit::Critical(Restriction::MobileData)),
            (NetworkPolicy { metered: false, ..OPEN }, CELLULAR, Permit::Critical(Restriction::Metered)),
            (
                NetworkPolicy { metered: false, ..OPEN },
                Connection { metered: Some(true), ..Connection::default() },
                Permit::Critical(Restriction::Metered),
            ),
            (NetworkPolicy { metered: false, ..OPEN }, Connection { metered: Some(false), ..CELLULAR }, Permit::All),
            (
                NetworkPolicy { save_data: true, ..OPEN },
                Connection { save_data: Some(true), ..Connection::default() },
                Permit::Critical(Restriction::SaveData),
            ),
            (
                NetworkPolicy { mobile_data: false, critical_override: false, ..OPEN },
                CELLULAR,
                Permit::Nothing(Restriction::MobileData),
            ),
        ] {
            assert_eq!(policy.permit(connection), permit, "{policy:?} {connection:?}");
        }
    }

    #[test]
    fn what_a_browser_does_not_tell_holds_nothing() {
        let strict =
            NetworkPolicy { auto_sync: true, mobile_data: false, metered: false, save_data: true, critical_override: false };
        assert_eq!(strict.permit(Connection::default()), Permit::All);
    }
}
