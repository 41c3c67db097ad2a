//! The one owner of the database: connects, runs transactions, quarantines what does not parse.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
};

use shearwater_bridge::{decode, encode};
use shearwater_core::{
    Error, ErrorCode, JobId,
    job::Job,
    ledger::Ledger,
    store::{Outcome, Scan, Tx},
    text::Text,
    wire::Wire,
};
use wasm_bindgen::prelude::*;

use crate::{
    clock,
    codec::encode_job,
    idb::{self, Connection, Mode, Transaction},
    js,
    migrations::{self, BY_TIME, stores},
};

/// Entries of the quarantine that are listed.
const QUARANTINED: u32 = 100;

/// The key of the ledger in `meta`.
const LEDGER: &str = "ledger";

/// One transaction's work.
type Work<'w> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'w>>;

/// The database of one app.
pub struct Store {
    name: String,
    connection: RefCell<Option<Rc<Connection>>>,
    quarantined: Cell<u64>,
    /// Whether the console is told of what goes to quarantine.
    tells: bool,
}

impl Store {
    /// A store that connects when it is first used.
    pub fn new(name: &str, tells: bool) -> Self {
        Self { name: name.to_owned(), connection: RefCell::default(), quarantined: Cell::new(0), tells }
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

    /// The machinery of [`Store::run`], once for all kinds of work: each would bring 5 KB of it.
    async fn run_boxed<'w>(&'w self, mode: Mode, work: &'w (dyn Fn(Rc<Db>) -> Work<'w> + 'w)) -> Result<(), Error> {
        let mut again = true;
        loop {
            match self.attempt(mode, work).await {
                Err(error) if again && error.code == ErrorCode::StorageUnavailable => {
                    again = false;
                    self.connection.take();
                }
                outcome => return outcome,
            }
        }
    }

    /// What lies in quarantine: where it lay, why, since when; the latest hundred.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn quarantine(&self) -> Result<JsValue, Error> {
        let rows = self
            .run(Mode::Read, async |db| db.tx.get_all(stores::QUARANTINE, None, &JsValue::UNDEFINED, QUARANTINED).await)
            .await?;
        let list = rows.iter().map(|row| {
            let entry = js_sys::Object::new();
            for name in ["store", "reason", "at"] {
                js::set(&entry, name, &js::get(&row, name));
            }
            js::set(&entry, "id", &js::get2(&row, "row", "id"));
            entry.into()
        });
        Ok(js::array(list).into())
    }

    async fn attempt<'w>(&'w self, mode: Mode, work: &'w (dyn Fn(Rc<Db>) -> Work<'w> + 'w)) -> Result<(), Error> {
        let db = Rc::new(self.begin(mode).await?);
        work(Rc::clone(&db)).await?;
        // Dropped instead, it is aborted.
        match Rc::into_inner(db) {
            Some(db) => self.commit(db).await,
            None => Err(Error::internal("a transaction that is still in use")),
        }
    }

    async fn begin(&self, mode: Mode) -> Result<Db, Error> {
        let connection = self.connect().await?;
        Ok(Db {
            tx: connection.begin(&stores::ALL, mode)?,
            writable: mode != Mode::Read,
            tells: self.tells,
            quarantined: Cell::new(0),
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
        let connection = Rc::new(Connection::open(&self.name, migrations::VERSION, migrations::upgrade).await?);
        *self.connection.borrow_mut() = Some(Rc::clone(&connection));
        Ok(connection)
    }
}

/// The core's view of one `IndexedDB` transaction.
pub struct Db {
    tx: Transaction,
    writable: bool,
    tells: bool,
    quarantined: Cell<u32>,
}

impl Db {
    /// The stored body, as it was handed over: a `Blob` or an `ArrayBuffer`.
    ///
    /// # Errors
    /// What the transaction answers.
    pub async fn body(&self, id: &JobId) -> Result<JsValue, Error> {
        self.tx.get(stores::BODIES, id.as_str()).await
    }

    /// Removes what lies in quarantine of the current owner, bodies included.
    ///
    /// # Errors
    /// What the transaction answers.
    pub async fn purge_quarantine(&self) -> Result<(), Error> {
        let owner = shearwater_core::store::ledger(self).await?.owner;
        let entries = self.tx.get_all(stores::QUARANTINE, None, &JsValue::UNDEFINED, u32::MAX).await?;
        let keys = self.tx.get_all_keys(stores::QUARANTINE).await?;
        for (entry, key) in entries.iter().zip(keys.iter()) {
            let row = js::get(&entry, "row");
            // Of one that does not even say whose it is nobody can be sure.
            if js::get(&row, "owner").as_string().is_none_or(|of| of == owner) {
                self.tx.delete_key(stores::QUARANTINE, &key)?;
                if let Some(id) = js::get(&row, "id").as_string() {
                    self.tx.delete(stores::BODIES, &id)?;
                }
            }
        }
        Ok(())
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
        let raw = self.tx.get(stores::META, LEDGER).await?;
        if raw.is_undefined() {
            return Ok(None);
        }
        self.admit(stores::META, raw)
    }

    fn put_ledger(&self, ledger: &Ledger) -> Result<(), Error> {
        if self.writable { self.tx.put(stores::META, &encode(ledger), Some(LEDGER)) } else { Ok(()) }
    }

    async fn job(&self, id: &JobId) -> Result<Option<Job>, Error> {
        let raw = self.tx.get(stores::JOBS, id.as_str()).await?;
        if raw.is_undefined() { Ok(None) } else { self.admit(stores::JOBS, raw) }
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

    fn delete_job(&self, id: &JobId) -> Result<(), Error> {
        self.tx.delete(stores::JOBS, id.as_str())
    }

    fn put_body(&self, id: &JobId, body: &JsValue) -> Result<(), Error> {
        self.tx.put(stores::BODIES, body, Some(id.as_str()))
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
