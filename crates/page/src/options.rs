//! The options of `connect()`.

use shearwater_core::{Error, time::unit};

/// `ConnectOptions` of the public surface.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// URL of the app's service worker.
    pub worker: String,
    /// Scope of the registration.
    pub scope: Option<String>,
    /// `classic` or `module`.
    pub r#type: Option<String>,
    /// The `name` of the worker's configuration.
    pub name: String,
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
            worker: "/sw.js".to_owned(),
            scope: None,
            r#type: None,
            name: "shearwater".to_owned(),
            sync_on_mount: true,
            sync_on_online: true,
            sync_on_visibility: true,
            auto_sync_interval: u32::try_from(unit::MINUTE).unwrap_or(u32::MAX),
            timeout: u32::try_from(unit::MINUTE).unwrap_or(u32::MAX),
        }
    }
}

impl ConnectOptions {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// `invalid-config` naming the option.
    pub fn check(&self) -> Result<(), Error> {
        if self.r#type.as_deref().is_some_and(|kind| kind != "classic" && kind != "module") {
            return Err(Error::invalid_config("connect(): type is \"classic\" or \"module\""));
        }
        if self.timeout < 1_000 {
            return Err(Error::invalid_config("connect(): timeout is at least 1000 ms"));
        }
        Ok(())
    }
}

shearwater_core::record!(strict ConnectOptions {
    worker: "worker" = Self::default().worker,
    scope: "scope",
    r#type: "type",
    name: "name" = Self::default().name,
    sync_on_mount: "syncOnMount" = true,
    sync_on_online: "syncOnOnline" = true,
    sync_on_visibility: "syncOnVisibility" = true,
    auto_sync_interval: "autoSyncInterval" = Self::default().auto_sync_interval,
    timeout: "timeout" = Self::default().timeout,
});
