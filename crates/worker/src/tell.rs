//! Tells every open page what is stored: the status, and the jobs that changed (P5).

use shearwater_bridge::encode;
use shearwater_core::{
    drain::News,
    ledger::Ledger,
    protocol::{Broadcast, Event, VERSION},
    store::turn::Fate,
    text::Text,
    view::{JobView, Status},
};

use crate::{engine::Engine, js};

impl Engine {
    /// The status as of this ledger, with what this worker is doing.
    pub fn status(&self, ledger: &Ledger) -> Status {
        let mut status = Status::of(ledger);
        status.is_running = self.running.borrow().iter().any(|running| running.active.get());
        status.quarantined = self.store.quarantined();
        if status.pending + status.syncing > 0 {
            status.error = self.trouble.borrow().clone().or(status.error);
        }
        for progress in self.running.borrow().iter().filter(|running| running.active.get()).map(|running| running.progress.get())
        {
            status.done += progress.0;
            status.total += progress.1;
        }
        status
    }

    /// Tells pages what a turn of a drain changed.
    pub fn tell_news(&self, news: News) {
        let mut jobs = Vec::with_capacity(news.fates.len() + news.claimed.len());
        for fate in news.fates {
            match fate {
                Fate::Delivered(outcome) => jobs.push(JobView::delivered(outcome)),
                Fate::Kept(job) => jobs.push(JobView::of(*job, None, &news.ledger, &self.config)),
                Fate::Late => {}
            }
        }
        for job in news.claimed {
            jobs.push(JobView::of(job, None, &news.ledger, &self.config));
        }
        self.tell(self.status(&news.ledger), jobs, None);
    }

    /// Broadcasts to all pages.
    pub fn tell(&self, status: Status, jobs: Vec<JobView>, event: Option<Event>) {
        let broadcast = Broadcast { shearwater: VERSION, status, jobs, event };
        let posted = self.channel.as_ref().map_or(Ok(()), |channel| channel.post(&encode(&broadcast)));
        if let Err(error) = posted {
            self.log_error(&["pages could not be told: ", &js::message_of(&error)].text());
        }
    }
}
