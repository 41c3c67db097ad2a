//! The one owner of the database: connects, runs transactions, quarantines what does not parse.
//!
//! # A full disk
//!
//! To send a job it is claimed, and to discard one the ledger is written: on a disk that takes no more
//! bytes, what is stored could neither leave nor be given up, for ever. So a reserve is laid in with the
//! first job: a record of random bytes (zeros would be compressed), beside the ledger. A write that is
//! refused for want of room gives it up, in a transaction that only deletes, and is tried once more.
//! What takes in new work ([`Mode::Intake`]) never does: it is refused with `quota-exceeded`, and is not
//! taken in before there is a reserve again, a small one at least. The larger jobs that are delivered
//! meanwhile free their room.
//!
//! It has its limit: Chromium looks at what is really used every half minute only, counts the values in
//! between and not the index entries, and so lets a burst of some hundred small jobs overshoot by more. It
//! also writes what it refuses, takes it back by writing more, and gives the room of both back only when
//! LevelDB compacts. So on a full disk little is tried: see [`Store::expect_room`] and `drain`'s `tight`.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
};

use js_sys::Promise;
use shearwater_bridge::{decode, encode};
use shearwater_core::{
    Error, ErrorCode, JobId, Millis,
    queue::{history::Outcome, job::Job},
    store::{Answer, Caller, Scan, Session, Tx, ledger::Ledger, receipts},
    wire::{Wire, text::Text},
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{
    clock,
    codec::encode_job,
    host::Host,
    idb::{self, Connection, Mode, Transaction},
    js,
    migrations::{self, BY_REMOVAL, BY_TIME, stores},
};

/// What the keys of packs begin with, and what they all come before.
const PACK: &str = "pack ";
const PACK_END: &str = "pack!";

/// Tombstones that are cleared away in one transaction.
const PRUNED_AT_ONCE: u32 = 1_000;

/// Entries of the quarantine that are listed.
const QUARANTINED: u32 = 100;

/// The key of the ledger in `meta`.
const LEDGER: &str = "ledger";

/// The key of the one value in `session`.
const SESSION: &str = "session";

/// The key of the reserve in `meta`.
const RESERVE: &str = "reserve";

/// Bytes of the reserve: what some hundred small jobs take to be claimed and settled. Chromium keeps values over
/// 64 KiB in files of their own, whose room is there again at once.
const RESERVED: u32 = 1024 * 1024;

/// Milliseconds for which a store without room is believed to have none.
const FULL_FOR: u64 = 10_000;

/// Bytes of the reserve where there is no room for so much. With less, small jobs fill what the claims of those before them
/// need: at 96 KiB a quota of 3 MB took a dozen more jobs and then sent none.
const RESERVED_AT_LEAST: u32 = 512 * 1024;

/// Versions of ledgers that one millisecond has room for; see [`Tx::first_version`]. 2⁵³ of them, which is as far as numbers
/// in JavaScript are exact, last until the year 2248.
const VERSIONS_PER_MILLISECOND: u64 = 1024;

/// Why a transaction on the stores of a drain finds no ledger.
const LEDGER_LOST: &str = "the ledger is missing";

/// One transaction's work.
type Work<'w> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'w>>;

/// The database of one app.
pub struct Store {
    name: String,
    connection: RefCell<Option<Rc<Connection>>>,
    host: Host,
    /// What was opened while the wasm was loaded, to be used once.
    opened: Cell<Option<Promise>>,
    /// To be waited for before the first write.
    renewed: RefCell<Option<Promise>>,
    quarantined: Cell<u64>,
    /// Whether the reserve is known to be there.
    reserved: Cell<bool>,
    /// Whether the ledger is known to be there: one that is lost is made anew from more stores than a drain works on.
    has_ledger: Rc<Cell<bool>>,
    /// The highest version of a ledger that this worker has read or written, whichever database it was in.
    latest: Rc<Cell<u64>>,
    /// The smallest size that was refused lately for want of room, and when.
    full: Cell<Option<(u64, Millis)>>,
    /// Whether the console is told of what goes to quarantine.
    tells: bool,
}

impl Store {
    /// A store that connects when it is first used.
    pub fn new(name: &str, tells: bool, host: Host) -> Self {
        Self {
            name: name.to_owned(),
            connection: RefCell::default(),
            opened: Cell::new(host.opened()),
            renewed: RefCell::default(),
            host,
            quarantined: Cell::new(0),
            reserved: Cell::new(false),
            has_ledger: Rc::default(),
            latest: Rc::default(),
            full: Cell::new(None),
            tells,
        }
    }

    /// Rows moved to quarantine, or found in need of it, since this worker started.
    pub fn quarantined(&self) -> u64 {
        self.quarantined.get()
    }

    /// Runs `work` in one transaction and commits it. A lost connection is opened anew, once: what was
    /// begun on the old one is aborted by then, so that running `work` again doubles nothing.
    ///
    /// # Errors
    /// What `work` answers, then nothing is stored; or why the commit failed, then nothing is stored.
    pub async fn run<R>(&self, mode: Mode, work: impl AsyncFn(&Db) -> Result<R, Error>) -> Result<R, Error> {
        let answer = RefCell::new(None);
        let work = |db: Rc<Db>| -> Work<'_> {
            Box::pin(async {
                let db = db;
                answer.replace(Some(work(&db).await?));
                Ok(())
            })
        };
        self.run_boxed(mode, &work).await?;
        answer.take().ok_or_else(|| Error::internal("a transaction without an answer"))
    }

    /// Carries out an operation, once however often its message comes: see [`receipts`]. Returns its answer, whether that
    /// is the answer of an earlier time, and the ledger.
    ///
    /// # Errors
    /// As [`Store::run`].
    pub async fn once<'w>(
        &'w self,
        mode: Mode,
        caller: &'w Caller,
        work: &'w (dyn Fn(Rc<Db>) -> receipts::Work<'w> + 'w),
    ) -> Result<(Answer, bool, Ledger), Error> {
        let answer = RefCell::new(None);
        let work = |db: Rc<Db>| -> Work<'_> {
            Box::pin(async {
                let db = db;
                let carried_out = receipts::once(&*db, clock::now(), caller, work(Rc::clone(&db))).await?;
                answer.replace(Some((carried_out.0, carried_out.1, shearwater_core::store::read_ledger(&*db).await?)));
                Ok(())
            })
        };
        self.run_boxed(mode, &work).await?;
        answer.take().ok_or_else(|| Error::internal("a transaction without an answer"))
    }

    /// The machinery of [`Store::run`], once for all kinds of work: each would bring 5 KB of it.
    async fn run_boxed<'w>(&'w self, mode: Mode, work: &'w (dyn Fn(Rc<Db>) -> Work<'w> + 'w)) -> Result<(), Error> {
        let mut again = true;
        let mut reserve = RESERVED;
        loop {
            match self.attempt(mode, work, reserve).await {
                Err(error) if reserve == RESERVED && error.code == ErrorCode::QuotaExceeded => {
                    reserve = RESERVED_AT_LEAST;
                    let room = if mode == Mode::Intake { !self.reserved.get() } else { self.give_up_reserve().await };
                    if !room {
                        return Err(error);
                    }
                }
                // The ledger is missing, and was thought to be there: once more, on all stores.
                Err(error) if error.code == ErrorCode::Internal && error.message == LEDGER_LOST => {}
                Err(error) if again && error.code == ErrorCode::StorageUnavailable => {
                    again = false;
                    self.connection.take();
                }
                outcome => return outcome,
            }
        }
    }

    /// Refuses at once what is as large as something that found no room a moment ago. Chromium writes what it
    /// then refuses, and takes it back by writing more: an app that asks again and again would fill with it what
    /// room the reserve has kept.
    ///
    /// # Errors
    /// `quota-exceeded`.
    pub fn expect_room(&self, size: u64) -> Result<(), Error> {
        match self.full.get() {
            Some((least, at)) if size >= least && clock::now().0.abs_diff(at.0) < FULL_FOR => Err(Error::new(
                ErrorCode::QuotaExceeded,
                "the disk or the origin's quota is full; nothing was stored: free space and try again",
            )),
            _ => Ok(()),
        }
    }

    /// There was no room for so many bytes.
    pub fn note_full(&self, size: u64) {
        let least =
            self.full.get().filter(|(_, at)| clock::now().0.abs_diff(at.0) < FULL_FOR).map_or(size, |(least, _)| least.min(size));
        self.full.set(Some((least, clock::now())));
    }

    /// Something has left the store.
    pub fn note_room(&self) {
        self.full.set(None);
    }

    /// Who is signed in, as stored at this moment; `None` while the store does not say and the ledger's word holds.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn session(&self) -> Result<Option<Session>, Error> {
        self.run(Mode::Session, async |db| db.session().await).await
    }

    /// What lies in quarantine of `owner`'s, and of nobody knows whose: where it lay, why, since when; the latest hundred.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn quarantine(&self, owner: &str) -> Result<JsValue, Error> {
        let rows = self
            .run(Mode::Read, async |db| db.tx.get_all(stores::QUARANTINE, None, &JsValue::UNDEFINED, QUARANTINED).await)
            .await?;
        let is_ours = |row: &JsValue| js::get2(row, "row", "owner").as_string().is_none_or(|of| of == owner);
        let list = rows.iter().filter(is_ours).map(|row| {
            let entry = js_sys::Object::new();
            for name in ["store", "reason", "at"] {
                js::set(&entry, name, &js::get(&row, name));
            }
            js::set(&entry, "id", &js::get2(&row, "row", "id"));
            entry.into()
        });
        Ok(js::array(list).into())
    }

    async fn attempt<'w>(&'w self, mode: Mode, work: &'w (dyn Fn(Rc<Db>) -> Work<'w> + 'w), reserve: u32) -> Result<(), Error> {
        let db = Rc::new(self.begin(mode).await?);
        let lays_in = mode == Mode::Intake && !self.reserved.get();
        if lays_in && !db.has_reserve().await? {
            db.tx.put(stores::META, &js::random_array(reserve), Some(RESERVE))?;
        }
        work(Rc::clone(&db)).await?;
        // Dropped instead, it is aborted.
        match Rc::into_inner(db) {
            Some(db) => {
                let wrote_ledger = db.ledger.borrow().is_some();
                self.commit(db).await?;
                if wrote_ledger {
                    self.has_ledger.set(true);
                }
            }
            None => return Err(Error::internal("a transaction that is still in use")),
        }
        if lays_in {
            self.reserved.set(true);
        }
        Ok(())
    }

    /// Makes room; answers whether there was any to be made.
    async fn give_up_reserve(&self) -> bool {
        let given_up = async {
            let db = self.begin(Mode::Relaxed).await?;
            let had = db.has_reserve().await?;
            db.tx.delete(stores::META, RESERVE)?;
            self.commit(db).await.map(|()| had)
        };
        let had = given_up.await.unwrap_or(false);
        self.reserved.set(false);
        had
    }

    async fn begin(&self, mode: Mode) -> Result<Db, Error> {
        let connection = self.connect().await?;
        let renewed = self.renewed.borrow().clone();
        if mode.writes()
            && let Some(renewed) = renewed
        {
            let _ = JsFuture::from(renewed).await;
            self.renewed.take();
        }
        Ok(Db {
            tx: match mode {
                Mode::Session => connection.begin(&[stores::SESSION], mode)?,
                // Of a ledger that may be missing, what was known besides is needed too.
                Mode::Relaxed | Mode::Intake if self.has_ledger.get() => connection.begin(&stores::WORK, mode)?,
                _ => connection.begin(&stores::ALL, mode)?,
            },
            writable: mode.writes(),
            has_ledger: Rc::clone(&self.has_ledger),
            latest: Rc::clone(&self.latest),
            tells: self.tells,
            quarantined: Cell::new(0),
            ledger: RefCell::default(),
        })
    }

    async fn commit(&self, db: Db) -> Result<(), Error> {
        let quarantined = db.quarantined.get();
        db.tx.commit().await?;
        self.quarantined.set(self.quarantined.get() + u64::from(quarantined));
        Ok(())
    }

    async fn connect(&self) -> Result<Rc<Connection>, Error> {
        if let Some(connection) = self.connection.borrow().as_ref().filter(|connection| !connection.is_lost()) {
            return Ok(Rc::clone(connection));
        }
        // A new one each time: the browser's own store may have been started anew.
        self.renewed.replace(Some(self.host.renewed()));
        let opened = self.opened.take();
        let connection = Rc::new(Connection::open(&self.name, migrations::VERSION, opened, migrations::upgrade).await?);
        *self.connection.borrow_mut() = Some(Rc::clone(&connection));
        // It may be another database than before.
        self.reserved.set(false);
        self.has_ledger.set(false);
        Ok(connection)
    }
}

/// The core's view of one `IndexedDB` transaction.
pub struct Db {
    tx: Transaction,
    writable: bool,
    has_ledger: Rc<Cell<bool>>,
    latest: Rc<Cell<u64>>,
    tells: bool,
    quarantined: Cell<u32>,
    /// As this transaction has written it.
    ledger: RefCell<Option<Ledger>>,
}

impl Db {
    async fn has_reserve(&self) -> Result<bool, Error> {
        let keys = self.tx.get_all_keys(stores::META, &JsValue::UNDEFINED, u32::MAX).await?;
        Ok(keys.iter().any(|key| key.as_string().as_deref() == Some(RESERVE)))
    }

    /// The stored bodies of these jobs, a `Blob` or an `ArrayBuffer` each; undefined where what is stored is not
    /// that.
    ///
    /// # Errors
    /// What the transaction answers.
    pub async fn bodies(&self, jobs: &[&Job]) -> Result<Vec<JsValue>, Error> {
        let mut keys: Vec<String> = Vec::new();
        let mut places = Vec::with_capacity(jobs.len());
        for job in jobs {
            let key =
                job.work.request().packed.as_ref().map_or_else(|| job.id.as_str().to_owned(), |packed| pack_key(&packed.pack));
            // Those of one pack mostly come one after the other.
            if keys.last() != Some(&key) {
                keys.push(key);
            }
            places.push(keys.len() - 1);
        }
        let found = self.tx.get_each(stores::BODIES, &keys).await?;
        let mut bodies = Vec::with_capacity(jobs.len());
        for (job, at) in jobs.iter().zip(places) {
            let stored = found.get(at).cloned().unwrap_or_default();
            bodies.push(match &job.work.request().packed {
                Some(packed) => part(&stored, packed.at, job.size().unwrap_or_default()),
                None => stored,
            });
        }
        Ok(bodies)
    }

    /// Parses a row. One that does not parse goes to quarantine as it is; its body stays where it is.
    fn admit<T: Wire>(&self, store: &'static str, raw: JsValue) -> Result<Option<T>, Error> {
        match decode(&raw) {
            Ok(row) => Ok(Some(row)),
            Err(reason) => {
                if self.writable {
                    self.quarantined.set(self.quarantined.get() + 1);
                    // Rows carry their key; the ledger is the one value that is stored beside its own.
                    let key = if store == stores::META { JsValue::from_str(LEDGER) } else { js::get(&raw, "id") };
                    self.quarantine(store, &key, &raw, &reason.to_string())?;
                }
                Ok(None)
            }
        }
    }

    /// The job that this row is, where it is one.
    fn admit_job(&self, raw: JsValue) -> Result<Option<Job>, Error> {
        if raw.is_undefined() { Ok(None) } else { self.admit(stores::JOBS, raw) }
    }

    fn quarantine(&self, store: &'static str, key: &JsValue, raw: &JsValue, reason: &str) -> Result<(), Error> {
        self.tx.put(stores::QUARANTINE, &quarantine_entry(store, raw, reason), None)?;
        self.tx.delete_key(store, key)?;
        if self.tells {
            js::console_error("[shearwater]", &["a record in \"", store, "\" does not parse and was put aside: ", reason].text());
        }
        Ok(())
    }

    async fn rows<T: Wire>(
        &self,
        store: &'static str,
        index: Option<&str>,
        range: &JsValue,
        limit: u32,
    ) -> Result<Vec<T>, Error> {
        loop {
            let page = self.tx.get_all(store, index, range, limit).await?;
            let full = page.length() == limit;
            let mut rows = Vec::new();
            for raw in page.iter() {
                rows.extend(self.admit(store, raw)?);
            }
            // A full page of nothing but corrupt rows is not the end: they are gone now, look again.
            if !rows.is_empty() || !full || !self.writable {
                return Ok(rows);
            }
        }
    }
}

/// The key of a receipt: in the order of time, so that the old ones are one range.
fn receipt_key(at: Millis, re: &str) -> String {
    let digits = at.0.to_string();
    let padding = "0000000000000000".get(digits.len()..).unwrap_or_default();
    [padding, &digits, " ", re].text()
}

/// The key of a pack's bytes.
fn pack_key(pack: &JobId) -> String {
    [PACK, pack.as_str()].text()
}

/// The key of a pack's count.
fn left_key(pack: &JobId) -> String {
    ["left ", pack.as_str()].text()
}

/// A body out of a pack's bytes; undefined where they do not hold it.
fn part(pack: &JsValue, at: u64, size: u64) -> JsValue {
    let number = |at: u64| u32::try_from(at).unwrap_or(u32::MAX);
    let (from, end) = (number(at), number(at.saturating_add(size)));
    match pack.dyn_ref::<js_sys::ArrayBuffer>() {
        Some(bytes) if end <= bytes.byte_length() => bytes.slice_with_end(from, end).into(),
        _ => JsValue::UNDEFINED,
    }
}

/// What is kept of a row that does not parse.
pub fn quarantine_entry(store: &str, row: &JsValue, reason: &str) -> JsValue {
    let entry = js_sys::Object::new();
    js::set(&entry, "store", &JsValue::from_str(store));
    js::set(&entry, "row", row);
    js::set(&entry, "reason", &JsValue::from_str(reason));
    js::set(&entry, "at", &js::number(clock::now().0));
    entry.into()
}

impl Tx for Db {
    type Body = JsValue;

    async fn ledger(&self) -> Result<Option<Ledger>, Error> {
        let written = self.ledger.borrow().clone();
        if written.is_some() {
            return Ok(written);
        }
        let raw = self.tx.get(stores::META, LEDGER).await?;
        let ledger = if raw.is_undefined() { None } else { self.admit(stores::META, raw)? };
        // A transaction that began when it was known to be there has no session to make it anew from.
        if ledger.is_none() && self.writable && self.has_ledger.replace(false) {
            return Err(Error::internal(LEDGER_LOST));
        }
        if let Some(Ledger { version, .. }) = &ledger {
            self.latest.set(self.latest.get().max(*version));
        }
        Ok(ledger)
    }

    /// Follows the device's clock, which no ledger's versions outrun, and where that was set back, what this worker has seen.
    fn first_version(&self) -> u64 {
        clock::now().0.saturating_mul(VERSIONS_PER_MILLISECOND).max(self.latest.get().saturating_add(1))
    }

    fn put_ledger(&self, ledger: &Ledger) -> Result<(), Error> {
        if self.writable {
            self.latest.set(self.latest.get().max(ledger.version));
            self.tx.put(stores::META, &encode(ledger), Some(LEDGER))?;
            self.ledger.replace(Some(ledger.clone()));
        }
        Ok(())
    }

    async fn session(&self) -> Result<Option<Session>, Error> {
        let raw = self.tx.get(stores::SESSION, SESSION).await?;
        Ok(if raw.is_undefined() { None } else { decode(&raw).ok() })
    }

    fn put_session(&self, session: &Session) -> Result<(), Error> {
        self.tx.put(stores::SESSION, &encode(session), Some(SESSION))
    }

    async fn receipt(&self, at: Millis, re: &str) -> Result<Option<Answer>, Error> {
        let raw = self.tx.get(stores::RECEIPTS, &receipt_key(at, re)).await?;
        Ok(if raw.is_undefined() { None } else { decode(&raw).ok() })
    }

    fn put_receipt(&self, at: Millis, re: &str, answer: &Answer) -> Result<(), Error> {
        self.tx.put(stores::RECEIPTS, &encode(answer), Some(&receipt_key(at, re)))
    }

    async fn prune_receipts(&self, before: Millis, keep: u32) -> Result<(), Error> {
        let excess = self.tx.count(stores::RECEIPTS).await?.saturating_sub(keep);
        if excess == 0 {
            return Ok(());
        }
        let old = idb::upto(&JsValue::from_str(&receipt_key(before, "")))?;
        let keys = self.tx.get_all_keys(stores::RECEIPTS, &old, excess).await?;
        let last = keys.get(keys.length().wrapping_sub(1));
        if last.is_undefined() { Ok(()) } else { self.tx.delete_key(stores::RECEIPTS, &idb::upto(&last)?) }
    }

    async fn is_removed(&self, id: &JobId) -> Result<bool, Error> {
        Ok(!self.tx.get(stores::TOMBSTONES, id.as_str()).await?.is_undefined())
    }

    fn put_tombstone(&self, id: &JobId, at: Millis) -> Result<(), Error> {
        let tombstone = js_sys::Object::new();
        js::set(&tombstone, "id", &JsValue::from_str(id.as_str()));
        js::set(&tombstone, "at", &js::number(at.0));
        self.tx.put(stores::TOMBSTONES, &tombstone, None)
    }

    async fn prune_tombstones(&self, before: Millis, keep: u32) -> Result<(), Error> {
        let excess = self.tx.count(stores::TOMBSTONES).await?.saturating_sub(keep);
        if excess == 0 {
            return Ok(());
        }
        let old = idb::upto(&js::number(before.0))?;
        for tombstone in self.tx.get_all(stores::TOMBSTONES, Some(BY_REMOVAL), &old, excess.min(PRUNED_AT_ONCE)).await?.iter() {
            self.tx.delete_key(stores::TOMBSTONES, &js::get(&tombstone, "id"))?;
        }
        Ok(())
    }

    async fn job(&self, id: &JobId) -> Result<Option<Job>, Error> {
        let raw = self.tx.get(stores::JOBS, id.as_str()).await?;
        self.admit_job(raw)
    }

    async fn jobs(&self, ids: &[&JobId]) -> Result<Vec<Option<Job>>, Error> {
        let keys: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        let rows = self.tx.get_each(stores::JOBS, &keys).await?;
        let mut jobs = Vec::with_capacity(rows.len());
        for raw in rows {
            jobs.push(self.admit_job(raw)?);
        }
        Ok(jobs)
    }

    async fn scan(&self, scan: &Scan<'_>) -> Result<Vec<Job>, Error> {
        let range = idb::range(&scan.texts, scan.from, scan.upto)?;
        self.rows(stores::JOBS, Some(scan.index.as_str()), &range, scan.limit).await
    }

    async fn all(&self, after: Option<&JobId>, limit: u32) -> Result<Vec<Job>, Error> {
        let range = after.map_or(Ok(JsValue::UNDEFINED), |id| idb::above(id.as_str()))?;
        self.rows(stores::JOBS, None, &range, limit).await
    }

    fn put_job(&self, job: &Job) -> Result<(), Error> {
        if self.writable { self.tx.put(stores::JOBS, &encode_job(job), None) } else { Ok(()) }
    }

    fn add_job(&self, job: &Job) -> Result<(), Error> {
        self.tx.add(stores::JOBS, &encode_job(job), None)
    }

    fn delete_job(&self, id: &JobId) -> Result<(), Error> {
        self.tx.delete(stores::JOBS, id.as_str())
    }

    fn put_body(&self, id: &JobId, body: &JsValue) -> Result<(), Error> {
        self.tx.put(stores::BODIES, body, Some(id.as_str()))
    }

    fn add_pack(&self, pack: &JobId, bodies: &[(u64, &JsValue)]) -> Result<(), Error> {
        let (mut parts, mut total) = (Vec::with_capacity(bodies.len()), 0);
        for (at, body) in bodies {
            let part = js_sys::Uint8Array::new(body);
            let at = u32::try_from(*at).unwrap_or(u32::MAX);
            total = at.saturating_add(part.length());
            parts.push((at, part));
        }
        let bytes = js_sys::Uint8Array::new_with_length(total);
        for (at, part) in parts {
            bytes.set(&part, at);
        }
        self.tx.add(stores::BODIES, &bytes.buffer(), Some(&pack_key(pack)))?;
        self.put_pack_left(pack, u32::try_from(bodies.len()).unwrap_or(u32::MAX))
    }

    fn may_share(body: &JsValue) -> bool {
        body.is_instance_of::<js_sys::ArrayBuffer>()
    }

    async fn packs_left(&self, packs: &[&JobId]) -> Result<Vec<Option<u32>>, Error> {
        let keys: Vec<String> = packs.iter().map(|pack| left_key(pack)).collect();
        Ok(self.tx.get_each(stores::BODIES, &keys).await?.iter().map(|left| decode(left).ok()).collect())
    }

    async fn packs(&self) -> Result<Vec<JobId>, Error> {
        let keys = self.tx.get_all_keys(stores::BODIES, &idb::between(PACK, PACK_END)?, u32::MAX).await?;
        Ok(keys.iter().filter_map(|key| JobId::parse(key.as_string()?.strip_prefix(PACK)?).ok()).collect())
    }

    async fn packs_aside(&self) -> Result<Vec<JobId>, Error> {
        let entries = self.tx.get_all(stores::QUARANTINE, None, &JsValue::UNDEFINED, u32::MAX).await?;
        Ok(entries.iter().filter_map(|entry| decode(&js::get(&js::get2(&entry, "row", "packed"), "pack")).ok()).collect())
    }

    async fn purge_quarantine(&self, owner: &str) -> Result<Vec<JobId>, Error> {
        let entries = self.tx.get_all(stores::QUARANTINE, None, &JsValue::UNDEFINED, u32::MAX).await?;
        let keys = self.tx.get_all_keys(stores::QUARANTINE, &JsValue::UNDEFINED, u32::MAX).await?;
        let mut ids = Vec::new();
        for (entry, key) in entries.iter().zip(keys.iter()) {
            let row = js::get(&entry, "row");
            // Of one that does not even say whose it is nobody can be sure.
            if js::get(&row, "owner").as_string().is_none_or(|of| of == owner) {
                self.tx.delete_key(stores::QUARANTINE, &key)?;
                ids.extend(decode(&js::get(&row, "id")));
            }
        }
        Ok(ids)
    }

    fn put_pack_left(&self, pack: &JobId, left: u32) -> Result<(), Error> {
        if left > 0 {
            return self.tx.put(stores::BODIES, &js::number(u64::from(left)), Some(&left_key(pack)));
        }
        self.tx.delete(stores::BODIES, &pack_key(pack))?;
        self.tx.delete(stores::BODIES, &left_key(pack))
    }

    fn delete_body(&self, id: &JobId) -> Result<(), Error> {
        self.tx.delete(stores::BODIES, id.as_str())
    }

    async fn outcome(&self, id: &JobId) -> Result<Option<Outcome>, Error> {
        let raw = self.tx.get(stores::HISTORY, id.as_str()).await?;
        if raw.is_undefined() { Ok(None) } else { self.admit(stores::HISTORY, raw) }
    }

    async fn oldest_outcomes(&self, limit: u32) -> Result<Vec<Outcome>, Error> {
        self.rows(stores::HISTORY, Some(BY_TIME), &JsValue::UNDEFINED, limit).await
    }

    fn put_outcome(&self, outcome: &Outcome) -> Result<(), Error> {
        self.tx.put(stores::HISTORY, &encode(outcome), None)
    }

    fn delete_outcome(&self, id: &JobId) -> Result<(), Error> {
        self.tx.delete(stores::HISTORY, id.as_str())
    }

    fn quarantined(&self) -> u32 {
        self.quarantined.get()
    }
}
