//! Starts the two listeners over one database, and stops them.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::{App, main_router};
use crate::guard::ControlToken;
use crate::store::{Store, StoreError};
use crate::{Options, control, serve};

/// How long a stopping server leaves the reply to `POST /shutdown` to get out.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// A running server; [`stop`](Server::stop) it to have everything on disk.
#[derive(Debug)]
pub struct Server {
    listen: SocketAddr,
    control: SocketAddr,
    token: ControlToken,
    store: Arc<Store>,
    stop: CancellationToken,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database could not be opened; most often a folder that is not there.
    #[error("cannot open the database {}", path.display())]
    Database {
        /// The file that was asked for.
        path: PathBuf,
        /// What SQLite said.
        source: StoreError,
    },
    /// The control listener can stop the server and shows all that is stored: it is for this machine only.
    #[error("--control {address} is not a loopback address; use 127.0.0.1:PORT or [::1]:PORT")]
    ControlNotLoopback {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The system gave no randomness for the control token.
    #[error("cannot make the control token: {0}")]
    Randomness(getrandom::Error),
    /// An address could not be bound; most often another server has it.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl Server {
    /// Opens the database, binds both listeners and serves in the background.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running then.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        if !options.control.ip().is_loopback() {
            return Err(StartError::ControlNotLoopback { address: options.control });
        }
        let token = ControlToken::random().map_err(StartError::Randomness)?;
        let (store, last_arrival) = Store::open(&options.db, options.durability)
            .map_err(|source| StartError::Database { path: options.db.clone(), source })?;
        let (main, listen) = bind(options.listen).await?;
        let (controls, control) = bind(options.control).await?;

        let store = Arc::new(store);
        let stop = CancellationToken::new();
        let app = App::new(Arc::clone(&store), last_arrival, stop.clone());
        tokio::spawn(serve::serve(main, main_router(app.clone(), &options), options.keep_alive, stop.clone()));
        tokio::spawn(serve::serve(controls, control::router(app, token.clone()), true, stop.clone()));
        Ok(Self { listen, control, token, store, stop })
    }

    /// Where the app and the API are, without a slash at the end.
    #[must_use]
    pub fn listen_url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Where the control API is, without a slash at the end.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// What the control API wants as `Authorization: Bearer …`; made anew at each start.
    #[must_use]
    pub fn control_token(&self) -> &str {
        self.token.as_str()
    }

    /// Waits until someone asked for the end by `POST /shutdown`.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Accepts nothing more, writes what is queued for the database, and closes it.
    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::sleep(LAST_WORDS).await;
        let store = self.store;
        // Joining a thread blocks. If the task itself fails there is nothing left to close.
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
