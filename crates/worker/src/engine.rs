//! What one worker holds: the configuration, the store, and the parts that share them.
//!
//! Each part keeps its own state, in a file that has it to itself and gives [`Engine`] the methods that need it: drains,
//! broadcasts, sync tags, who is signed in, new jobs, sends, messages.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};

use shearwater_core::{
    Error, JobId, Millis,
    drain::Budget,
    queue::{
        config::{LogLevel, WorkerConfig},
        enqueue::NewJob,
        job::State,
    },
    schedule::{network::Permit, next_wake},
    store::{
        Scope,
        ledger::{Ledger, QueueLedger},
        read_ledger,
    },
    wire::text::Text,
};
use web_sys::Url;

use crate::{
    broadcast::Broadcaster,
    clock,
    drain::{auth::Auth, drains::Drains, fetch::Sends},
    host::Host,
    intake::Intake,
    js,
    periodic::Looked,
    reply::Rejections,
    serve::UnderWay,
    session::SessionState,
    store::{Mode, Store},
    tags::Tags,
};

/// See the module.
pub struct Engine {
    /// As given to `start()`.
    pub config: WorkerConfig,
    /// The app's own origin.
    pub origin: String,
    /// The script's side.
    pub host: Host,
    /// The database.
    pub store: Store,
    /// Drains at work.
    pub drains: Drains,
    /// The way to all pages.
    pub broadcaster: Broadcaster,
    /// Sync tags that the browser holds.
    pub tags: Tags,
    /// Who is signed in, and the ledger as it was seen last.
    pub session: SessionState,
    /// New jobs on their way to the disk.
    pub intake: Intake,
    /// Sends on their way.
    pub sends: Sends,
    /// Jobs to which others were bound by this worker: their responses are waited for, though they may be on their way already.
    pub bound: RefCell<BTreeSet<JobId>>,
    /// What is known of rejected sends.
    pub rejections: Rejections,
    /// Messages that are being served.
    pub under_way: UnderWay,
    /// The app's credentials.
    pub auth: Auth,
    /// When it was last looked for periodic tasks.
    pub looked: Looked,
    /// What is known of collections.
    #[cfg(feature = "full")]
    pub collections: crate::collections::Collections,
    resumed: Cell<bool>,
}

/// Jobs remembered that others were bound to; the rows of those that are claimed later say it themselves.
const MOST_BOUND: usize = 10_000;

/// The configuration with the addresses of its batches and collections as the platform spells them. A relative one is relative to the script.
///
/// # Errors
/// `invalid-config` for what is no address of a server.
pub fn with_addresses(mut config: WorkerConfig) -> Result<WorkerConfig, Error> {
    let base = js::scope::href();
    for (name, queue) in &mut config.queues {
        let Some(batch) = &mut queue.batch else { continue };
        let url = Url::new_with_base(&batch.url, &base).map(|url| url.href()).unwrap_or_default();
        if !url.starts_with("http") {
            return Err(Error::invalid_config(["queues.", name, ".batch.url is not an http(s) URL"].text()));
        }
        url.split('#').next().unwrap_or_default().clone_into(&mut batch.url);
    }
    #[cfg(feature = "full")]
    for (name, collection) in &mut config.collections {
        let url = Url::new_with_base(&collection.url, &base).map(|url| url.href()).unwrap_or_default();
        if !url.starts_with("http") {
            return Err(Error::invalid_config(["collections.", name, ".url is not an http(s) URL"].text()));
        }
        collection.url = url;
    }
    Ok(config)
}

impl Engine {
    /// An idle engine.
    pub fn new(config: WorkerConfig, host: Host) -> Rc<Self> {
        let origin = js::scope::origin();
        Rc::new(Self {
            origin,
            store: Store::new(&config.name, config.log_level >= LogLevel::Error, host.clone()),
            broadcaster: Broadcaster::new(&config.name),
            host,
            drains: Drains::default(),
            tags: Tags::default(),
            session: SessionState::default(),
            intake: Intake::default(),
            sends: Sends::default(),
            bound: RefCell::default(),
            rejections: Rejections::default(),
            under_way: UnderWay::default(),
            auth: Auth::default(),
            looked: Looked::default(),
            #[cfg(feature = "full")]
            collections: crate::collections::Collections::default(),
            resumed: Cell::new(false),
            config,
        })
    }

    /// Whether the browser believes that there is a network.
    pub fn is_online(&self) -> bool {
        js::scope::is_online()
    }

    /// Queues of the current owner that have jobs to send.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn queues(&self) -> Result<Vec<String>, Error> {
        let ledger = self.ledger().await?;
        let live = |queue: &&QueueLedger| {
            let mut counts = queue.counts;
            *counts.of(State::Pending) + *counts.of(State::Syncing) > 0
        };
        Ok(ledger.own_queues().filter(live).map(|queue| queue.queue.clone()).collect())
    }

    /// The ledger as stored.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn ledger(&self) -> Result<Ledger, Error> {
        let ledger = self.store.run(Mode::Read.on(Scope::STATUS), async |db| read_ledger(db).await).await?;
        self.saw(&ledger);
        Ok(ledger)
    }

    /// The ledger and the time of the next wake, as stored.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn ledger_and_next_wake(&self) -> Result<(Ledger, Option<Millis>), Error> {
        self.store
            .run(Mode::Read.on(Scope::VIEW), async |db| {
                let ledger = read_ledger(db).await?;
                let next = next_wake::next_wake(db, &ledger, clock::now(), self.permit(&ledger)).await?;
                Ok((ledger, next))
            })
            .await
    }

    /// Whether new jobs in these queues are held, by a pause or for the network.
    pub fn is_held(&self, queues: &[String]) -> bool {
        queues.iter().all(|queue| self.is_paused(queue)) || self.permit(&self.latest()) != Permit::All
    }

    /// What the owner's policy lets go over the connection that there is.
    pub fn permit(&self, ledger: &Ledger) -> Permit {
        ledger.network_policy(&self.config).permit(js::scope::connection())
    }

    /// Notes whom a new job is bound to, before it is stored: a response that comes meanwhile is read.
    pub fn note_bound(&self, job: &NewJob) {
        let mut bound = self.bound.borrow_mut();
        if bound.len() > MOST_BOUND {
            bound.clear();
        }
        bound.extend(job.options.bind.iter().map(|binding| binding.job.clone()));
    }

    /// Whether this is the first wake of this worker.
    pub fn first_wake(&self) -> bool {
        !self.resumed.replace(true)
    }

    /// What a wake may spend.
    pub fn budget(&self) -> Budget {
        Budget::default()
    }

    /// Writes to the console what a developer must know.
    pub fn log_error(&self, text: &str) {
        if self.config.log_level >= LogLevel::Error {
            js::console::error(text);
        }
    }

    /// Writes to the console each step of a job.
    pub fn log_debug(&self, step: &str, id: &JobId) {
        if self.config.log_level >= LogLevel::Debug {
            js::console::info(&[step, " ", id.as_str()].text());
        }
    }

    /// Writes to the console what a developer may want to follow.
    pub fn log_info(&self, text: &str) {
        if self.config.log_level >= LogLevel::Info {
            js::console::info(text);
        }
    }
}
