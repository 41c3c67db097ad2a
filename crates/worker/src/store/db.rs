//! A transaction from its beginning to its end, and again where that helps: on a connection that was lost, without the
//! reserve on a full disk, on more stores where the ledger turns out to be missing.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
};

use shearwater_core::{Error, ErrorCode, store::is_ledger_lost};
use wasm_bindgen_futures::JsFuture;

use super::{
    Access, Db, Mode, Store,
    idb::Connection,
    migrations,
    reserve::{RESERVED, RESERVED_AT_LEAST},
    schema,
};

/// One transaction's work.
pub(super) type Work<'w> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'w>>;

impl Store {
    /// The machinery of [`Store::run`], once for all kinds of work: each would bring 5 KB of it.
    pub(super) async fn run_boxed<'w>(
        &'w self,
        access: Access,
        work: &'w (dyn Fn(Rc<Db>) -> Work<'w> + 'w),
    ) -> Result<(), Error> {
        let mut again = true;
        let mut reserve = RESERVED;
        loop {
            match self.attempt(access, work, reserve).await {
                Err(error) if reserve == RESERVED && error.code == ErrorCode::QuotaExceeded => {
                    reserve = RESERVED_AT_LEAST;
                    let room = if access.mode == Mode::Intake { !self.reserved.get() } else { self.give_up_reserve().await };
                    if !room {
                        return Err(error);
                    }
                }
                // It was thought to be there: once more, on all stores that it is made anew from.
                Err(error) if is_ledger_lost(&error) => self.has_ledger.set(false),
                Err(error) if again && error.code == ErrorCode::StorageUnavailable => {
                    again = false;
                    self.connection.take();
                }
                outcome => return outcome,
            }
        }
    }

    async fn attempt<'w>(
        &'w self,
        access: Access,
        work: &'w (dyn Fn(Rc<Db>) -> Work<'w> + 'w),
        reserve: u32,
    ) -> Result<(), Error> {
        let db = Rc::new(self.begin(access).await?);
        let lays_in = access.mode == Mode::Intake && !self.reserved.get();
        if lays_in && !db.has_reserve().await? {
            db.lay_in_reserve(reserve)?;
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

    pub(super) async fn begin(&self, Access { mode, scope }: Access) -> Result<Db, Error> {
        let connection = self.connect().await?;
        let renewed = self.renewed.borrow().clone();
        if mode.writes()
            && let Some(renewed) = renewed
        {
            let _ = JsFuture::from(renewed).await;
            self.renewed.take();
        }
        let scope = if self.has_ledger.get() { scope } else { scope.without_ledger() };
        Ok(Db {
            tx: connection.begin(scope, mode)?,
            scope,
            writable: mode.writes(),
            has_ledger: Rc::clone(&self.has_ledger),
            latest: Rc::clone(&self.latest),
            tells: self.tells,
            quarantined: Cell::new(0),
            ledger: RefCell::default(),
        })
    }

    pub(super) async fn commit(&self, db: Db) -> Result<(), Error> {
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
        let connection = Rc::new(Connection::open(&self.name, schema::VERSION, opened, migrations::upgrade).await?);
        *self.connection.borrow_mut() = Some(Rc::clone(&connection));
        // It may be another database than before.
        self.reserved.set(false);
        self.has_ledger.set(false);
        Ok(connection)
    }
}
