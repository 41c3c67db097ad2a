//! Syncs collections: when a page asks, and on any wake that finds them due.
//!
//! Mutations are jobs, and go by the queue. A pull is a chain of requests, each sent as a job is (credentials, time limit, whose
//! it is), and of transactions that apply what came; the core says what comes next.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::Object;
use shearwater_core::{
    Error, JobId, Millis,
    collections::{
        indexes,
        listing::{self, Step},
        mutation::{self, config_of},
        pull::{self, Next},
        references,
    },
    drain::Dispatch,
    http::reply::AttemptResult,
    protocol::records::{Reconciled, Synced},
    queue::{
        job::{Job, Lease},
        last_error::LastError,
        request::RequestHead,
    },
    schedule::wakes::SkipBackoff,
    store::{Scope, Store},
    time::unit,
    wire::text::Text,
};
use wasm_bindgen::JsValue;
use web_sys::BroadcastChannel;

use crate::{
    clock,
    drain::{
        fetch,
        locks::{self, Held},
    },
    engine::Engine,
    js,
    store::Mode,
};

/// Milliseconds between two looks for what is due: wakes come often.
const LOOK_EVERY: u64 = 5 * unit::SECOND;

/// How far collections are synced, and who is signed in.
const STATES: Scope = Scope::of(&[Store::Collections, Store::Session]);

/// What is to be known between wakes.
#[derive(Default)]
pub struct Collections {
    looked: Cell<Millis>,
    /// When the indexes were looked at.
    indexed: Cell<Millis>,
    /// Records are being written with other indexes.
    is_indexing: Cell<bool>,
    /// Dirty records without a mutation were looked for, since the worker's start and whatever may leave some.
    has_requeued: Cell<bool>,
    channel: RefCell<Option<BroadcastChannel>>,
    /// Collections that are being pulled or listed.
    under_way: RefCell<Vec<String>>,
}

/// A collection that is pulled or listed, or waits for that.
struct UnderWay<'e> {
    engine: &'e Engine,
    name: &'e str,
}

impl<'e> UnderWay<'e> {
    fn new(engine: &'e Engine, name: &'e str) -> Self {
        engine.collections.under_way.borrow_mut().push(name.to_owned());
        Self { engine, name }
    }

    /// Waits until nobody else pulls or lists `owner`'s share of it.
    async fn lock(&self, owner: &str) -> Held {
        let name = ["shearwater-pull:", &self.engine.config.name, ":", self.name, ":", owner].text();
        locks::ask(&self.engine.host, &name).granted().await
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut under_way = self.engine.collections.under_way.borrow_mut();
        if let Some(at) = under_way.iter().position(|name| *name == self.name) {
            under_way.swap_remove(at);
        }
    }
}

fn is_under_way(engine: &Engine, name: &str) -> bool {
    engine.collections.under_way.borrow().iter().any(|other| other == name)
}

/// The queue of a collection's mutations.
fn queue_of(engine: &Engine, collection: &str) -> String {
    config_of(&engine.config, collection).map_or_else(|_| collection.to_owned(), |config| mutation::queue_of(config, collection))
}

/// The queues in which a change of a collection's records may have put something: its own, and those of the records that refer
/// to them.
pub fn queues_of(engine: &Engine, collection: &str) -> Vec<String> {
    let referring = references::referring(&engine.config, collection).map(|(name, config)| mutation::queue_of(config, name));
    std::iter::once(queue_of(engine, collection)).chain(referring).collect()
}

/// The queues of these collections and of those that their records refer to, which go first.
fn queues_before(engine: &Engine, names: &[String]) -> Vec<String> {
    let mut names = names.to_owned();
    let mut at = 0;
    while let Some(name) = names.get(at) {
        let references = config_of(&engine.config, name).map_or(&[][..], |config| &config.references);
        let more: Vec<String> = references.iter().map(|(_, name)| name).filter(|name| !names.contains(name)).cloned().collect();
        names.extend(more);
        at += 1;
    }
    names.iter().map(|name| queue_of(engine, name)).collect()
}

fn start_all(engine: &Rc<Engine>, collection: &str) {
    for queue in queues_of(engine, collection) {
        engine.start(&queue, SkipBackoff::None);
    }
}

/// Tells pages that records of these collections changed; of all, where another user signs in or a person removes jobs.
pub fn tell(engine: &Engine, names: Option<&[String]>) {
    if engine.config.collections.is_empty() || names.is_some_and(<[String]>::is_empty) {
        return;
    }
    if names.is_none() {
        // Another user's, or those whose jobs a person removed.
        engine.collections.has_requeued.set(false);
        engine.collections.looked.set(Millis::default());
    }
    let mut channel = engine.collections.channel.borrow_mut();
    if channel.is_none() {
        *channel = BroadcastChannel::new(&["shearwater:", &engine.config.name, ":records"].text()).ok();
    }
    let Some(channel) = &*channel else { return };
    let message = Object::new();
    js::set(&message, "shearwater", &JsValue::from_f64(1.0));
    let names = names.map_or(JsValue::NULL, |names| js::array(names.iter().map(|name| JsValue::from_str(name))).into());
    js::set(&message, "collections", &names);
    // A page that hears nothing looks when it is next asked.
    let _ = channel.post_message(&message);
}

/// Pushes what is dirty, pulls, and pushes what that has left to do.
///
/// # Errors
/// What the store returns.
pub async fn sync(engine: &Rc<Engine>, names: &[String]) -> Result<Vec<Synced>, Error> {
    requeue(engine).await?;
    let queues = queues_before(engine, names);
    let mut pushed = engine.drain_now(&queues, SkipBackoff::All).await?.delivered;
    // What was delivered may have freed what waited in a queue that was at rest by then. What failed has had its try.
    for _ in 1..queues.len() {
        if pushed == 0 {
            break;
        }
        pushed = engine.drain_now(&queues, SkipBackoff::None).await?.delivered;
    }
    let mut all = Vec::new();
    for name in names {
        all.push(pulled(engine, name).await?);
    }
    engine.drain_now(&queues, SkipBackoff::All).await?;
    Ok(all)
}

/// Before the first answer that a page gets from this worker: what the configuration declares stands in the store, where the
/// page reads it.
pub async fn declare(engine: &Rc<Engine>) {
    let has_indexes = engine.config.collections.iter().any(|(_, config)| !config.indexes.is_empty());
    if has_indexes && engine.collections.indexed.get() == Millis::default() {
        engine.collections.indexed.set(Millis(1));
        if let Err(error) = adopt(engine).await {
            engine.log_error(&error.message);
        }
    }
}

async fn adopt(engine: &Rc<Engine>) -> Result<(String, Vec<String>), Error> {
    engine.store.run(Mode::Relaxed.on(STATES), async |db| indexes::adopt(db, &engine.config).await).await
}

/// Writes records with the indexes that the configuration declares, where they have others.
async fn index(engine: &Rc<Engine>) -> Result<(), Error> {
    let (owner, pending) = adopt(engine).await?;
    for name in pending {
        let page = async || {
            let scope = Mode::Relaxed.on(Scope::RECORDS);
            engine.store.run(scope, async |db| indexes::rebuild(db, &name, &owner).await).await
        };
        while page().await? {}
    }
    Ok(())
}

/// Whether it is time to look again.
fn is_due(last: &Cell<Millis>) -> bool {
    let (now, last_at) = (clock::now(), last.get());
    let is_due = last_at > now || now.since(last_at) >= LOOK_EVERY;
    if is_due {
        last.set(now);
    }
    is_due
}

/// Pulls what is due, and brings indexes up to date.
pub async fn catch_up(engine: &Rc<Engine>) {
    let collections = &engine.collections;
    if engine.config.collections.is_empty() {
        return;
    }
    if !collections.is_indexing.get() && is_due(&collections.indexed) {
        collections.is_indexing.set(true);
        let indexed = index(engine).await;
        collections.is_indexing.set(false);
        if let Err(error) = indexed {
            engine.log_error(&error.message);
        }
    }
    if !engine.is_online() || !is_due(&collections.looked) {
        return;
    }
    if let Err(error) = look(engine).await {
        engine.log_error(&error.message);
    }
}

async fn look(engine: &Rc<Engine>) -> Result<(), Error> {
    requeue(engine).await?;
    let owner = engine.ledger().await?.owner;
    for (name, _) in engine.config.collections.iter().filter(|(name, _)| !is_under_way(engine, name)) {
        let due = engine
            .store
            .run(Mode::Read.on(Scope::RECORDS), async |db| pull::is_due(db, clock::now(), name, &owner, &engine.config).await)
            .await?;
        if due {
            pulled(engine, name).await?;
        }
        let due = engine
            .store
            .run(Mode::Read.on(Scope::RECORDS), async |db| listing::is_due(db, clock::now(), name, &owner, &engine.config).await)
            .await?;
        if due {
            listed(engine, name, &[]).await?;
        }
    }
    Ok(())
}

/// Queues the mutations of dirty records that have none.
async fn requeue(engine: &Rc<Engine>) -> Result<(), Error> {
    if engine.collections.has_requeued.replace(true) {
        return Ok(());
    }
    let owner = engine.ledger().await?.owner;
    for (name, _) in &engine.config.collections {
        let requeued = engine
            .store
            .run(Mode::Relaxed, async |db| mutation::requeue(db, clock::now(), name, &owner, &engine.config).await)
            .await?;
        if requeued > 0 {
            engine.start(&queue_of(engine, name), SkipBackoff::None);
        }
    }
    Ok(())
}

/// Pulls all collections but those that are being pulled, and says in a sentence what came of it.
///
/// # Errors
/// Why some could not be pulled; the others were.
pub async fn pull_each(engine: &Rc<Engine>) -> Result<String, String> {
    let (mut applied, mut errors) = (0, Vec::new());
    for (name, _) in engine.config.collections.iter().filter(|(name, _)| !is_under_way(engine, name)) {
        let error = match pulled(engine, name).await {
            Ok(Synced { applied: more, error, .. }) => {
                applied += more;
                error
            }
            Err(error) => Some(error.into_message()),
        };
        errors.extend(error.map(|error| [name, ": ", &error].text()));
    }
    if errors.is_empty() { Ok([&applied.to_string(), " rows changed"].text()) } else { Err(errors.join("; ")) }
}

async fn pulled(engine: &Rc<Engine>, name: &str) -> Result<Synced, Error> {
    let mut synced = Synced { collection: name.to_owned(), ..Synced::default() };
    match pull_all(engine, name).await? {
        Next::Done { applied, trouble } => {
            (synced.applied, synced.error) = (applied, trouble);
            engine.log_info(&["collection \"", name, "\": ", &applied.to_string(), " rows changed"].text());
        }
        Next::Failed(why) => {
            engine.log_error(&["collection \"", name, "\" was not pulled: ", &why].text());
            synced.error = Some(why);
        }
        Next::Lost => synced.error = Some("another pull runs, or another user signed in".to_owned()),
        Next::Page(_) => {}
    }
    Ok(synced)
}

async fn pull_all(engine: &Rc<Engine>, name: &str) -> Result<Next, Error> {
    let holder = clock::unique_name();
    let under_way = UnderWay::new(engine, name);
    let session = session_of(engine).await?;
    let lock = under_way.lock(&session.owner).await;
    let mut head = engine
        .store
        .run(Mode::Relaxed.on(Scope::RECORDS), async |db| {
            pull::begin(db, clock::now(), name, &holder, &session.owner, lock.exclusive, &engine.config).await
        })
        .await?;
    while let Some(page) = head.take() {
        let body = page_of(engine, name, page, &session).await;
        let next = engine
            .store
            .run(Mode::Relaxed, async |db| match &body {
                Ok(body) => pull::apply(db, clock::now(), name, &holder, &session.owner, body, &engine.config).await,
                Err(why) => pull::failed(db, clock::now(), name, &holder, &session.owner, why).await,
            })
            .await?;
        tell(engine, Some(&[name.to_owned()]));
        match next {
            Next::Page(next) => head = Some(next),
            other => {
                // A row may have left something to be pushed.
                start_all(engine, name);
                return Ok(other);
            }
        }
    }
    Ok(Next::Lost)
}

/// Lists a collection's rows, all of them or those of a scope.
///
/// # Errors
/// What the store returns.
pub async fn listed(engine: &Rc<Engine>, name: &str, scope: &[(String, String)]) -> Result<Reconciled, Error> {
    if is_under_way(engine, name) {
        return Ok(listing::in_progress());
    }
    let holder = clock::unique_name();
    let under_way = UnderWay::new(engine, name);
    let session = session_of(engine).await?;
    let lock = under_way.lock(&session.owner).await;
    let mut step = engine
        .store
        .run(Mode::Relaxed.on(Scope::RECORDS), async |db| {
            listing::begin(db, clock::now(), name, &holder, &session.owner, lock.exclusive, scope, &engine.config).await
        })
        .await?;
    let mut has_begun = false;
    loop {
        let (listing, page) = match step {
            Step::Page(listing, page) => (listing, page),
            Step::Done(report) => {
                if has_begun {
                    start_all(engine, name);
                    tell_of(engine, name, &report);
                }
                return Ok(report);
            }
        };
        has_begun = true;
        let body = page_of(engine, name, page, &session).await;
        step = engine
            .store
            .run(Mode::Relaxed, async |db| match &body {
                Ok(body) => listing::apply(db, clock::now(), &listing, body, &engine.config).await,
                Err(why) => listing::failed(db, clock::now(), &listing, why, &engine.config).await,
            })
            .await?;
        tell(engine, Some(&[name.to_owned()]));
    }
}

fn tell_of(engine: &Engine, name: &str, report: &Reconciled) {
    let Reconciled { added, updated, expired, unchanged, errors, .. } = report;
    let counts =
        [("+", added, " added ~"), ("", updated, " updated -"), ("", expired, " expired ="), ("", unchanged, " unchanged")];
    let counts = counts.map(|(before, count, after)| [before, &count.to_string(), after].text()).concat();
    engine.log_info(&["collection \"", name, "\": ", &counts].text());
    for error in errors {
        engine.log_error(&["collection \"", name, "\" was not reconciled: ", error].text());
    }
}

/// Whose rows are fetched.
struct Session {
    owner: String,
    number: u64,
}

async fn session_of(engine: &Rc<Engine>) -> Result<Session, Error> {
    // A new database has no session yet, and a page of records none that is written with it.
    Ok(match engine.store.session().await? {
        Some(session) => Session { owner: session.owner, number: session.number },
        None => Session { owner: engine.ledger().await?.owner, number: 0 },
    })
}

/// The body of a page, or why there is none.
async fn page_of(engine: &Rc<Engine>, name: &str, page: RequestHead, session: &Session) -> Result<String, String> {
    let dispatch = Dispatch::of(as_job(page, name, engine, &session.owner, session.number));
    let body = match fetch::send(engine, &dispatch, &[None]).await {
        AttemptResult::Status(response) if (200..300).contains(&response.status) => response.body,
        other => {
            let queue = engine.config.queue_or_default(&queue_of(engine, name));
            let LastError { status, message, .. } = LastError::of(&other, &queue);
            return Err(status.map_or(message.clone(), |status| [&message, " (", &status.to_string(), ")"].text()));
        }
    };
    body.ok_or_else(|| "the page is no JSON, or more than 16 MiB".to_owned())
}

/// A page's request as a job that is stored nowhere: it is sent as all others are.
fn as_job(head: RequestHead, name: &str, engine: &Engine, owner: &str, session: u64) -> Job {
    let (now, id) = (clock::now(), JobId::from_random(js::random::bytes()));
    let mut job = Job::unstored(id, head, queue_of(engine, name), owner.to_owned(), now);
    let limit = engine.config.queue_or_default(&job.queue).timeout;
    let lease = Lease { holder: String::new(), until: now.after(4 * limit), session };
    job.claim(now, lease);
    job.record = Some(name.to_owned());
    job
}
