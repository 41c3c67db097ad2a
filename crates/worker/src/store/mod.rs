//! The one owner of the database: connects, runs transactions, quarantines what does not parse.
//!
//! | file | |
//! |---|---|
//! | `mod` | the store as the rest of the worker sees it |
//! | `db` | a transaction from its beginning to its end, again where that helps |
//! | `tx` | the core's transaction over `IndexedDB`, generic over its row types |
//! | `bodies` | what the core leaves to the shell: bodies and packs |
//! | `codec`, `quarantine` | rows as they are stored, and those that do not parse |
//! | `reserve` | room for the day when the disk is full |
//! | `schema`, `migrations` | the database as it is, and the steps to it |
//! | `idb` | the little of `IndexedDB` that is needed |

mod bodies;
mod codec;
mod db;
pub mod idb;
pub mod migrations;
mod quarantine;
mod reserve;
pub mod schema;
mod tx;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use js_sys::Promise;
use shearwater_core::{
    Error, Millis,
    store::{self, Answer, Caller, Scope, Session, Tx, ledger::Ledger, receipts, row::SessionKey},
};

use crate::{clock, host::Host};
use db::Work;
use idb::Connection;

pub use idb::Mode;
pub use tx::Db;

/// What a transaction may do, and on which stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    mode: Mode,
    scope: Scope,
}

impl Mode {
    /// On these stores alone.
    pub fn on(self, scope: Scope) -> Access {
        Access { mode: self, scope }
    }
}

/// On what a transaction of this mode mostly needs.
impl From<Mode> for Access {
    fn from(mode: Mode) -> Self {
        mode.on(match mode {
            Mode::Read => Scope::CONTENT,
            Mode::Relaxed | Mode::Intake => Scope::WORK,
            Mode::Strict => Scope::ALL,
        })
    }
}

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
    /// Whether the ledger is known to be there: one that is lost is made anew from more stores than most work on.
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
    /// What `work` returns, then nothing is stored; or why the commit failed, then nothing is stored.
    pub async fn run<R>(&self, access: impl Into<Access>, work: impl AsyncFn(&Db) -> Result<R, Error>) -> Result<R, Error> {
        let answer = RefCell::new(None);
        let work = |db: Rc<Db>| -> Work<'_> {
            Box::pin(async {
                let db = db;
                answer.replace(Some(work(&db).await?));
                Ok(())
            })
        };
        self.run_boxed(access.into(), &work).await?;
        answer.take().ok_or_else(|| Error::internal("a transaction without an answer"))
    }

    /// Carries out an operation, once however often its message comes: see [`receipts`]. Returns its answer, whether that
    /// is the answer of an earlier time, and the ledger.
    ///
    /// # Errors
    /// As [`Store::run`].
    pub async fn once<'w>(
        &'w self,
        access: impl Into<Access>,
        caller: &'w Caller,
        work: &'w (dyn Fn(Rc<Db>) -> receipts::Work<'w> + 'w),
    ) -> Result<(Answer, bool, Ledger), Error> {
        let answer = RefCell::new(None);
        let work = |db: Rc<Db>| -> Work<'_> {
            Box::pin(async {
                let db = db;
                let carried_out = receipts::once(&*db, clock::now(), caller, work(Rc::clone(&db))).await?;
                answer.replace(Some((carried_out.0, carried_out.1, store::read_ledger(&*db).await?)));
                Ok(())
            })
        };
        self.run_boxed(access.into(), &work).await?;
        answer.take().ok_or_else(|| Error::internal("a transaction without an answer"))
    }

    /// Who is signed in, as stored at this moment; `None` while the store does not say and the ledger's word holds.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn session(&self) -> Result<Option<Session>, Error> {
        self.run(Mode::Read.on(Scope::SESSION), async |db| db.get(&SessionKey).await).await
    }
}
