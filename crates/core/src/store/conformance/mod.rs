//! What every store must do, as tests that any back end can run: [`TESTS`] names them, [`run`] runs one.
//!
//! A back end begins transactions on a database of its own, empty at first. The simulator's runs under `cargo test`, the
//! worker's in a real service worker. Compiled into tests only.
#![expect(clippy::expect_used, reason = "tests panic where they fail")]

mod bodies;
mod drafts;
mod rows;
mod upkeep;
mod values;

use std::cell::RefCell;

use crate::{
    error::Error,
    id::JobId,
    queue::{
        config::WorkerConfig,
        enqueue::{EnqueueOptions, NewJob, admit, enqueue},
        job::Job,
        request::RequestHead,
    },
    store::{Caller, Scope, Tx},
    time::Millis,
};

/// The instant at which the tests happen.
pub const NOW: Millis = Millis(1_790_000_000_000);

/// A store under test, with a database that no other test has.
#[expect(async_fn_in_trait, reason = "all back ends are single-threaded")]
pub trait Backend {
    /// Its bodies.
    type Body;
    /// Its transactions.
    type Tx<'a>: Tx<Body = Self::Body>
    where
        Self: 'a;

    /// Runs `work` in one transaction on these stores, which may write or only reads; commits it when `work` returns `Ok` and
    /// aborts it otherwise.
    async fn transact(
        &self,
        writes: bool,
        scope: Scope,
        work: impl AsyncFn(&Self::Tx<'_>) -> Result<(), Error>,
    ) -> Result<(), Error>;
    /// A body of four bytes, another for each number.
    fn body(&self, number: u8) -> Self::Body;
    /// Whether the stored body of `job` is that of `number`.
    async fn has_body(&self, job: &Job, number: u8) -> bool;
    /// Makes the row of a job unreadable; it still says whose it is.
    async fn corrupt(&self, id: &JobId);
    /// The ids of the records in the order of the index of values, once for each entry.
    async fn by_value(&self) -> Vec<String>;
    /// Deletes the ledger.
    async fn lose_ledger(&self);
}

macro_rules! tests {
    ($($module:ident :: $name:ident),* $(,)?) => {
        /// The names of all tests.
        pub const TESTS: &[&str] = &[$(stringify!($name)),*];

        /// Runs the test of this name; panics where the store does not do what it must.
        pub async fn run<B: Backend>(name: &str, backend: &B) {
            match name {
                $(stringify!($name) => $module::$name(backend).await,)*
                _ => panic!("there is no test {name}"),
            }
        }
    };
}

tests! {
    rows::what_was_put_is_there_and_what_was_deleted_is_not,
    rows::a_row_that_is_put_again_replaces_the_one_before,
    rows::each_key_gets_its_row_or_nothing,
    rows::reads_see_what_the_same_transaction_wrote,
    rows::work_that_fails_leaves_everything_as_it_was,
    rows::a_duplicate_that_is_added_fails_the_transaction,
    rows::a_scan_returns_its_range_in_the_order_of_the_index,
    rows::a_row_leaves_the_indexes_that_it_does_not_belong_to_any_more,
    rows::pages_have_all_rows_in_the_order_of_their_keys,
    rows::the_history_is_read_from_its_oldest_entry,
    rows::a_request_overtakes_the_stored_jobs_of_its_key_and_no_others,
    rows::a_store_that_was_not_named_cannot_be_touched,
    rows::the_session_is_read_apart,
    bodies::small_bodies_share_a_pack_until_the_last_job_has_left,
    bodies::a_body_of_its_own_leaves_with_its_job,
    bodies::a_pack_whose_count_is_lost_is_counted_anew_by_a_repair,
    drafts::a_draft_is_kept_with_its_files_until_it_ends,
    drafts::a_draft_that_is_taken_over_has_another_name_and_the_same_content,
    upkeep::a_corrupt_row_is_put_aside_and_counted,
    upkeep::a_corrupt_row_is_passed_over_by_what_only_reads,
    upkeep::a_page_of_corrupt_rows_is_not_the_last,
    upkeep::a_purge_takes_the_owners_rows_in_quarantine_and_no_others,
    upkeep::a_lost_ledger_is_made_anew_from_the_rows_with_a_later_version,
    upkeep::receipts_are_in_the_order_of_time_and_the_old_ones_are_pruned,
    upkeep::tombstones_are_pruned_by_their_age,
    upkeep::compaction_goes_by_when_a_dead_letter_ended_and_by_no_time_in_doubt,
    values::records_are_in_the_order_of_their_values_as_long_as_they_have_them,
}

/// A job's id: one for each number, in their order.
fn id(number: u8) -> JobId {
    JobId::from_random([number; 16])
}

/// Stores jobs in one call, each with the body of its number.
async fn store<B: Backend>(backend: &B, numbers: &[u8]) {
    let config = WorkerConfig::default();
    let admitted = |number: &u8| {
        let request =
            RequestHead { url: "https://api.example/note".to_owned(), method: "POST".to_owned(), ..RequestHead::default() };
        let new = NewJob { id: id(*number), request, options: EnqueueOptions::default(), metadata: None };
        (admit(new, "https://api.example".to_owned(), Some(4), &config).expect("a sound job"), Some(backend.body(*number)))
    };
    write(backend, Scope::WORK, async |tx| {
        let jobs = numbers.iter().map(admitted).collect();
        enqueue(tx, NOW, jobs, false, &Caller::default()).await.map(drop)
    })
    .await;
}

/// Stores one job of a key.
async fn store_keyed<B: Backend>(backend: &B, number: u8, key: &str) {
    let request = RequestHead { url: "https://api.example/note".to_owned(), method: "POST".to_owned(), ..RequestHead::default() };
    let options = EnqueueOptions { key: Some(key.to_owned()), ..EnqueueOptions::default() };
    let new = NewJob { id: id(number), request, options, metadata: None };
    let admitted = admit(new, "https://api.example".to_owned(), None, &WorkerConfig::default()).expect("a sound job");
    write(backend, Scope::WORK, async |tx| {
        enqueue(tx, NOW, vec![(admitted.clone(), None)], false, &Caller::default()).await.map(drop)
    })
    .await;
}

/// A transaction that writes and is committed.
async fn write<B: Backend>(backend: &B, scope: Scope, work: impl AsyncFn(&B::Tx<'_>) -> Result<(), Error>) {
    backend.transact(true, scope, work).await.expect("it is committed");
}

/// A transaction that only reads.
async fn read<B: Backend>(backend: &B, scope: Scope, work: impl AsyncFn(&B::Tx<'_>) -> Result<(), Error>) {
    backend.transact(false, scope, work).await.expect("it is read");
}

/// The stored job of this number.
async fn job<B: Backend>(backend: &B, number: u8) -> Option<Job> {
    let found = RefCell::new(None);
    read(backend, Scope::VIEW, async |tx| {
        found.replace(tx.get::<Job>(&id(number)).await?);
        Ok(())
    })
    .await;
    found.take()
}
