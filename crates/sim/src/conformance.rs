//! Runs the tests that every store must pass on the simulated one.

use std::cell::RefCell;

use futures::FutureExt;
use shearwater_core::{
    Error, JobId,
    queue::job::Job,
    store::{
        Scope,
        conformance::{self, Backend},
    },
};

use crate::store::{Database, Mode, SimTx};

#[derive(Default)]
struct Simulated(RefCell<Database>);

impl Backend for Simulated {
    type Body = u64;
    type Tx<'a> = SimTx<'a>;

    async fn transact(
        &self,
        writes: bool,
        scope: Scope,
        work: impl AsyncFn(&SimTx<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mode = if writes { Mode::Write } else { Mode::Read };
        let tx = SimTx::begin(&self.0, mode, scope, None, None);
        let result = work(&tx).await;
        assert_eq!(tx.strayed().is_some(), matches!(&result, Err(error) if error.message.contains("not named")));
        match result {
            Ok(()) => drop(tx.commit()),
            Err(_) => tx.abort(),
        }
        result
    }

    fn body(&self, number: u8) -> u64 {
        number.into()
    }

    async fn has_body(&self, job: &Job, number: u8) -> bool {
        self.0.borrow().body(job) == Some(number.into())
    }

    async fn corrupt(&self, id: &JobId) {
        self.0.borrow_mut().corrupt(id);
    }

    async fn by_value(&self) -> Vec<String> {
        self.0.borrow().records_by_value().map(str::to_owned).collect()
    }

    async fn lose_ledger(&self) {
        self.0.borrow_mut().lose_ledger();
    }
}

#[test]
fn the_simulated_store_does_what_every_store_must() {
    for name in conformance::TESTS {
        println!("{name}");
        conformance::run(name, &Simulated::default()).now_or_never().unwrap();
    }
}
