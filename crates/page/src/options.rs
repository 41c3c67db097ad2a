//! The options of `connect()` that concern the client; `sw/page` checks and takes those of the registration.

use shearwater_core::time::unit;

/// What is left of `ConnectOptions` of the public surface once the worker has been found.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Wake the worker when a page is opened.
    pub sync_on_mount: bool,
    /// Wake it when the network is back.
    pub sync_on_online: bool,
    /// Wake it when the page becomes visible.
    pub sync_on_visibility: bool,
    /// Milliseconds between wakes of a visible page while jobs wait; 0 for none.
    pub auto_sync_interval: u32,
    /// Milliseconds to wait for an answer.
    pub timeout: u32,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            sync_on_mount: true,
            sync_on_online: true,
            sync_on_visibility: true,
            auto_sync_interval: u32::try_from(unit::MINUTE).unwrap_or(u32::MAX),
            timeout: u32::try_from(unit::MINUTE).unwrap_or(u32::MAX),
        }
    }
}

shearwater_core::record!(strict ConnectOptions {
    sync_on_mount: "syncOnMount" = true,
    sync_on_online: "syncOnOnline" = true,
    sync_on_visibility: "syncOnVisibility" = true,
    auto_sync_interval: "autoSyncInterval" = Self::default().auto_sync_interval,
    timeout: "timeout" = Self::default().timeout,
});
