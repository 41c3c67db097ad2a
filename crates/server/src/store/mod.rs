//! Owns the SQLite file: one thread, one connection, a queue worked strictly in order.
//!
//! Whatever waits in the queue is committed together, each piece of work in a savepoint of its own, so that
//! a thousand requests at once cost a handful of disk flushes. Work is answered after the commit that holds
//! it, and only then. Reads go the same way, and so see everything queued before them.

pub(crate) mod arrivals;
pub(crate) mod files;
pub(crate) mod notes;
pub(crate) mod records;
pub(crate) mod replies;
pub(crate) mod schema;
pub(crate) mod sink;

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::oneshot;

/// The most work that shares a commit, so that the first of it does not wait too long.
const BATCH: usize = 256;

/// How hard a commit is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// On disk before the reply (`synchronous=FULL`).
    #[default]
    Full,
    /// Handed to the system (`synchronous=NORMAL`): survives the process, perhaps not the power cut.
    Fast,
}

/// Why the database did not do its work.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite refused; most often a full disk, or a file that is not a database.
    #[error("SQLite: {0}")]
    Sqlite(Arc<rusqlite::Error>),
    /// The server is stopping, or its database thread has died.
    #[error("the database is closed")]
    Closed,
    /// A test emptied the database after the request had arrived.
    #[error("the database was emptied in the meantime")]
    Reset,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

/// What a piece of work does when its commit has succeeded or failed.
type Settle = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Work = Box<dyn FnOnce(&Connection) -> Settle + Send>;

enum Task {
    Work(Work),
    Close,
}

/// The handle to the database thread.
#[derive(Debug)]
pub(crate) struct Store {
    queue: mpsc::Sender<Task>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the file, brings its schema up to date, and starts the thread. Also tells the number of the
    /// last arrival of earlier runs.
    ///
    /// # Errors
    /// What SQLite said.
    pub(crate) fn open(path: &Path, durability: Durability) -> Result<(Self, i64), StoreError> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.set_prepared_statement_cache_capacity(64);
        schema::prepare(&connection, durability)?;
        let last_arrival = arrivals::last_number(&connection)?;
        let (queue, tasks) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("sqlite".to_owned())
            .spawn(move || work_off(&connection, &tasks))
            .map_err(|_| StoreError::Closed)?;
        Ok((Self { queue, thread: Mutex::new(Some(thread)) }, last_arrival))
    }

    /// Does `work` in a transaction and waits for its commit.
    ///
    /// # Errors
    /// What `work` said, in which case none of it remains, or why the commit failed.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.enqueue(work, move |outcome| {
            // The asker may have gone; the work stays done.
            let _ = answer.send(outcome);
        })?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Queues `work` and does not wait: it commits no later than anything queued after it.
    pub(crate) fn submit(&self, work: impl FnOnce(&Connection) -> Result<(), StoreError> + Send + 'static) {
        let report = |outcome| match outcome {
            Ok(()) | Err(StoreError::Reset | StoreError::Closed) => {}
            Err(error) => eprintln!("shearwater-server: could not record: {error}"),
        };
        // Closed: the server is stopping, and there is nobody to tell.
        let _ = self.enqueue(work, report);
    }

    /// Works the queue off and closes the file. Blocks.
    pub(crate) fn close(&self) {
        let _ = self.queue.send(Task::Close);
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }

    fn enqueue<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        settle: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        let work: Work = Box::new(move |connection| {
            let outcome = in_savepoint(connection, work);
            Box::new(move |committed| settle(committed.and(outcome)))
        });
        self.queue.send(Task::Work(work)).map_err(|_| StoreError::Closed)
    }
}

fn work_off(connection: &Connection, tasks: &mpsc::Receiver<Task>) {
    while let Ok(Task::Work(first)) = tasks.recv() {
        let mut closing = false;
        let begun = connection.execute_batch("BEGIN").map_err(StoreError::from);
        let mut settles = vec![first(connection)];
        while settles.len() < BATCH {
            match tasks.try_recv() {
                Ok(Task::Work(work)) => settles.push(work(connection)),
                Ok(Task::Close) => {
                    closing = true;
                    break;
                }
                Err(_) => break,
            }
        }
        let committed = begun.and_then(|()| {
            connection.execute_batch("COMMIT").map_err(|error| {
                // A failed commit may leave its transaction open, and the next BEGIN would fail.
                let _ = connection.execute_batch("ROLLBACK");
                error.into()
            })
        });
        for settle in settles {
            settle(committed.clone());
        }
        if closing {
            return;
        }
    }
}

fn in_savepoint<T>(connection: &Connection, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
    connection.prepare_cached("SAVEPOINT work")?.execute(())?;
    let outcome = work(connection);
    if outcome.is_err() {
        connection.prepare_cached("ROLLBACK TO work")?.execute(())?;
    }
    connection.prepare_cached("RELEASE work")?.execute(())?;
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(connection: &Connection) -> Result<i64, StoreError> {
        Ok(connection.query_row("SELECT count(*) FROM notes", (), |row| row.get(0))?)
    }

    fn insert(connection: &Connection) -> Result<(), StoreError> {
        connection.execute("INSERT INTO notes (text, created_at, updated_at) VALUES ('x', 0, 0)", ())?;
        Ok(())
    }

    #[tokio::test]
    async fn failed_work_leaves_nothing_and_its_neighbours_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("db"), Durability::Full).unwrap();
        store.submit(insert);
        let failing = store.run(|connection| {
            insert(connection)?;
            Err::<(), _>(StoreError::Reset)
        });
        assert!(matches!(failing.await, Err(StoreError::Reset)));
        store.submit(insert);
        assert_eq!(store.run(count).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn what_is_queued_is_on_disk_after_close() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let (store, _) = Store::open(&path, Durability::Full).unwrap();
        for _ in 0..1_000 {
            store.submit(insert);
        }
        store.close();
        assert!(matches!(store.run(count).await, Err(StoreError::Closed)));
        let (store, _) = Store::open(&path, Durability::Full).unwrap();
        assert_eq!(store.run(count).await.unwrap(), 1_000);
    }
}
