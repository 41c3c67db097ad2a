//! The options of a client.

use serde::{Deserialize, Serialize};

use shearwater_core::{schedule::auto_sync::Schedule, time::unit};

/// Which worker a page uses, and how. All of it has defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectOptions {
    /// URL of the app's service worker, relative to the page. Default: `/sw.js`.
    pub worker: String,
    /// Scope of the registration. Default: the worker's folder.
    pub scope: Option<String>,
    /// Whether it is a module worker. Default: false.
    pub module: bool,
    /// What the client does.
    pub client: ClientOptions,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { worker: "/sw.js".to_owned(), scope: None, module: false, client: ClientOptions::default() }
    }
}

/// When a client wakes the worker, and how long it waits for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "!ClientOptions", rename_all = "camelCase", default)]
pub struct ClientOptions {
    /// Wake the worker when a page is opened. Default: true.
    pub sync_on_mount: bool,
    /// Wake it when the network is back. Default: true.
    pub sync_on_online: bool,
    /// Wake it when the page becomes visible. Default: true.
    pub sync_on_visibility: bool,
    /// Do all of this from the beginning; else from [`Client::start_auto_sync`](crate::Client::start_auto_sync) on. Default:
    /// true.
    pub auto_start: bool,
    /// Milliseconds between wakes of a visible page while jobs wait, by the profile `fixed`; 0 for none. Default: 60,000.
    pub auto_sync_interval: u32,
    /// How often, by what the person does and the battery has. Default: the profile `fixed`.
    pub schedule: Schedule,
    /// Milliseconds to wait for an answer of the worker, and for all of [`Client::connect`](crate::Client::connect).
    /// Default: 60,000.
    pub timeout: u32,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            sync_on_mount: true,
            sync_on_online: true,
            sync_on_visibility: true,
            auto_start: true,
            schedule: Schedule::default(),
            auto_sync_interval: u32::try_from(unit::MINUTE).unwrap_or(u32::MAX),
            timeout: u32::try_from(unit::MINUTE).unwrap_or(u32::MAX),
        }
    }
}
