//! Holds what the sends of this worker know together of the app's credentials; the core decides
//! ([`shearwater_core::health::auth`]).

use std::cell::{Cell, RefCell};

use shearwater_core::health::auth::{Authorization, Credentials, Step, Supplied};

use crate::latch::Latch;

/// See the module.
#[derive(Default)]
pub struct Auth {
    shared: Cell<Credentials>,
    /// Opened when the refresh that is under way ends; absent while nobody waits for one.
    refreshed: RefCell<Option<Latch<()>>>,
}

impl Auth {
    /// The next step of a send, once no refresh is in its way.
    pub async fn step(&self, send: &mut Authorization) -> Step {
        loop {
            match send.step(&self.shared.get()) {
                Step::Wait => {
                    let refreshed = self.refreshed.borrow_mut().get_or_insert_with(Latch::new).clone();
                    refreshed.wait().await;
                }
                step => return step,
            }
        }
    }

    /// The hook came back.
    pub fn supplied(&self, send: &mut Authorization, supplied: Supplied) {
        self.change(|shared| send.supplied(shared, supplied));
    }

    /// A send is over.
    pub fn replied(&self, send: &mut Authorization, refused: bool) {
        self.change(|shared| send.replied(shared, refused));
    }

    fn change(&self, change: impl FnOnce(&mut Credentials)) {
        let mut shared = self.shared.get();
        change(&mut shared);
        self.shared.set(shared);
        if !shared.is_refreshing()
            && let Some(latch) = self.refreshed.take()
        {
            latch.open(());
        }
    }
}
