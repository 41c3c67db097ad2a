//! Simulates records: several clients that write the same rows of one server, with requests that are late, lost or repeated,
//! workers that die, a network that goes, and a server whose clock is no better than others (P7).
//!
//! A world of its own, run once for each seed. Mutations go through the queue's own cycles; pages are applied by the core. A
//! step is one thing that happens anywhere: somebody writes, a drain's cycle, a pull begins, the server handles a request, its
//! answer arrives or is lost, a worker dies.

mod checks;
mod flights;
mod server;

use std::{cell::RefCell, collections::BTreeMap};

use futures::FutureExt;
use serde_json::{Map, Value, json};
use shearwater_core::{
    Error, JobId, Millis,
    collections::{
        CollectionConfig, Record,
        config::{Strategy, Update},
        indexes::{self, Declared},
        mutation,
        record::{CollectionKey, CollectionState},
    },
    protocol::records::{Change, Choice, RecordName, RecordWrite, Resolve},
    queue::{config::WorkerConfig, cycle::Settlement, job::State, manage},
    store::{Caller, Scope, Tx},
    time::unit::{HOUR, MINUTE, SECOND},
};

use crate::{
    check::{Checked, Violation},
    flaw::Flaw,
    rng::Rng,
    store::{Database, Mode, SimTx},
};
use flights::Flight;
use server::Server;

const CLIENTS: usize = 3;
const STEPS: u64 = 120;
const NOTES: &str = "notes";

#[derive(Default)]
struct Client {
    db: RefCell<Database>,
    life: u64,
    /// It has looked for dirty records without a mutation.
    has_requeued: bool,
    /// Mutations were removed since: what waits for their records is yet to be looked at.
    has_discarded: bool,
    /// Its next cycle takes over from a drain that died.
    takes_over: bool,
    settlements: Vec<Settlement>,
    /// What its user wrote last into the member that is theirs alone, by the id that they know the record by.
    written: BTreeMap<String, u64>,
    /// Records that it took back, or settled by hand.
    given_up: Vec<String>,
    /// Ids of records that it has deleted, and the server with it.
    buried: Vec<String>,
}

struct Records {
    rng: Rng,
    indexing: Rng,
    relating: Rng,
    flaw: Option<Flaw>,
    now: Millis,
    config: WorkerConfig,
    /// As other releases of the app would have it.
    others: [WorkerConfig; 2],
    strategy: Strategy,
    clients: Vec<Client>,
    server: Server,
    flights: Vec<Flight>,
    counter: u64,
    made: u64,
    /// Records that somebody wrote to while they saw them twice.
    doubled: Vec<String>,
    /// Records that anybody deleted, by what their creator called them.
    deleted: Vec<String>,
    /// Which records anybody had refer to which, all by what their creators called them.
    referred: Vec<[String; 2]>,
    quiescing: bool,
    /// A row went without a word.
    has_forgotten: bool,
    /// What happened, where somebody wants to know.
    trace: Option<Vec<String>>,
}

/// Runs one seed's records.
pub(crate) fn run(seed: u64, flaw: Option<Flaw>) -> Checked {
    live(seed, flaw, false).map_err(|(violation, _)| violation)
}

/// Runs one seed; what led to a violation comes with it, where it is asked for.
fn live(seed: u64, flaw: Option<Flaw>, tracing: bool) -> Result<(), (Violation, Vec<String>)> {
    let mut rng = Rng::new(seed ^ 0x7265_636f_7264_7300);
    let strategy = rng.pick([
        Strategy::Merge,
        Strategy::Merge,
        Strategy::LocalWins,
        Strategy::RemoteWins,
        Strategy::NewestWins,
        Strategy::AskUser,
    ]);
    let mut notes: CollectionConfig = CollectionConfig::new("https://records.example/notes");
    notes.version = Some("version".to_owned());
    notes.server_owned = vec!["clientId".to_owned()];
    notes.pull.page_size = rng.pick([1, 2, 5, 50]);
    notes.pull.overlap = if flaw == Some(Flaw::PullsWithoutOverlap) { 0 } else { 20 * SECOND };
    notes.push.update = rng.pick([Update::Patch, Update::Put]);
    notes.reconcile.allow_empty = true;
    notes.conflict.strategy = strategy;
    notes.conflict.merge.union = vec!["tags".to_owned()];
    if flaw != Some(Flaw::SkipsReferences) {
        notes.references = vec![("parent".to_owned(), NOTES.to_owned()), ("see".to_owned(), NOTES.to_owned())];
    }
    // Rows that are never behind their time: nothing needs an overlap, and nothing is mended by one.
    let is_prompt = rng.happens(0.5);
    if is_prompt {
        notes.pull.overlap = 0;
    }
    let assigns_ids = rng.happens(0.4);
    // One that gives ids has to say which.
    let is_terse = !assigns_ids && rng.happens(0.3);
    let mut server = Server::new(1_800_000_000_000, assigns_ids, is_terse, rng.happens(0.5));
    server.is_prompt = is_prompt;
    let config = WorkerConfig { collections: vec![(NOTES.to_owned(), notes)], ..WorkerConfig::default() };
    let others =
        [vec![declared("title", false), declared("tags", true)], vec![declared("tags", true), declared("version", false)]];
    let others = others.map(|indexes| {
        let mut config = config.clone();
        config.collections.iter_mut().for_each(|(_, notes)| notes.indexes.clone_from(&indexes));
        config
    });
    let mut world = Records {
        rng,
        indexing: Rng::new(seed ^ 0x696e_6465_7800_0000),
        relating: Rng::new(seed ^ 0x7265_6c61_7465_0000),
        flaw,
        now: Millis(1_800_000_000_000),
        config,
        others,
        strategy,
        clients: (0..CLIENTS).map(|_| Client::default()).collect(),
        server,
        flights: Vec::new(),
        counter: 0,
        made: 0,
        doubled: Vec::new(),
        deleted: Vec::new(),
        referred: Vec::new(),
        quiescing: false,
        has_forgotten: false,
        trace: tracing.then(Vec::new),
    };
    world.note(|| format!("{strategy:?}, assigns ids: {assigns_ids}, terse: {is_terse}"));
    let lived = world.live();
    lived.map_err(|violation| (violation, world.trace.unwrap_or_default()))
}

impl Records {
    fn live(&mut self) -> Checked {
        for _ in 0..STEPS {
            self.step()?;
            self.bury();
            self.check()?;
        }
        self.quiesce()
    }

    fn bury(&mut self) {
        for client in &mut self.clients {
            for record in client.db.get_mut().records().filter(|record| record.is_tombstone()) {
                if !client.buried.contains(&record.id) {
                    client.buried.push(record.id.clone());
                }
            }
        }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }

    fn step(&mut self) -> Checked {
        // Now and then longer than a pull holds its collection.
        let ms = if self.rng.happens(0.02) { 6 * MINUTE } else { 1 + self.rng.magnitude(3 * SECOND) };
        self.now = self.now.after(ms);
        self.server.pass(ms, &mut self.rng);
        self.reindex();
        let client = self.rng.index(CLIENTS);
        match self.rng.below(100) {
            0..30 => self.write(client),
            30..50 => self.drain(client),
            50..56 => self.begin_pull(client),
            56..58 => self.begin_listing(client),
            58..75 => self.reach(),
            75..96 => self.answer(),
            96 => {
                self.kill(client);
                Ok(())
            }
            97 if self.rng.happens(0.5) => self.discard(client),
            97 => self.undo(client),
            _ => self.resolve(client),
        }
    }

    fn transact<R>(
        &mut self,
        client: usize,
        work: impl AsyncFn(&SimTx<'_>, &WorkerConfig) -> Result<R, Error>,
    ) -> Checked<Result<R, Error>> {
        let Some(client) = self.clients.get(client) else { return Ok(Err(Error::internal("no such client"))) };
        let breaks = (!self.quiescing && self.rng.happens(0.03)).then(|| self.rng.below(12));
        let tx = SimTx::begin(&client.db, Mode::Write, Scope::ALL, breaks, self.flaw);
        let outcome = work(&tx, &self.config).now_or_never().unwrap_or_else(|| Err(Error::internal("it waits")));
        match outcome {
            Ok(done) if self.quiescing || !self.rng.happens(0.02) => {
                tx.commit();
                Ok(Ok(done))
            }
            Ok(_) => {
                tx.abort();
                Ok(Err(Error::internal("the simulated commit failed")))
            }
            Err(error) => {
                tx.abort();
                Ok(Err(error))
            }
        }
    }

    fn records_of(&self, client: usize) -> Vec<Record> {
        self.clients.get(client).map(|client| client.db.borrow().records().cloned().collect()).unwrap_or_default()
    }

    /// A record by whatever id somebody knows it by.
    fn find(&self, client: usize, id: &str) -> Option<Record> {
        let client = self.clients.get(client)?;
        let tx = SimTx::begin(&client.db, Mode::Read, Scope::ALL, None, None);
        mutation::find(&tx, NOTES, "", id).now_or_never()?.ok()?
    }

    fn write(&mut self, client: usize) -> Checked {
        let visible: Vec<Record> =
            self.records_of(client).into_iter().filter(|record| record.local.is_some() && record.moved.is_none()).collect();
        self.counter += 1;
        let (own, number) = (format!("f{client}"), self.counter);
        let seed = JobId::from_random(self.rng.bytes());
        let make = visible.is_empty() || (visible.len() < 6 && self.rng.happens(0.25));
        let (id, change) = if make {
            self.made += 1;
            let id = format!("local-{}", self.made);
            let mut record =
                document(Some(&json!({"id": id, "origin": id, "title": number, own: number, "tags": [number]}).to_string()));
            // Itself, too; and whatever id its writer knows another by.
            let known = self.records_of(client).into_iter().filter(|record| record.local.is_some() || record.moved.is_some());
            let mut known: Vec<String> = known.map(|record| record.id).chain([id.clone()]).collect();
            if self.relating.happens(0.5) {
                let at = self.relating.index(known.len());
                self.refer(client, &mut record, &id, "parent", known.swap_remove(at).into());
            }
            (id, Change::Put(Value::Object(record).to_string()))
        } else {
            let at = self.rng.index(visible.len());
            let Some(record) = visible.get(at) else { return Ok(()) };
            let local = document(record.local.as_deref());
            if self.relating.happens(0.2) {
                return self.relate(client, record, &visible);
            }
            let change = match self.rng.below(10) {
                0 => Change::Delete,
                1..4 => {
                    let mut local = local;
                    local.insert(own, json!(number));
                    Change::Put(Value::Object(local).to_string())
                }
                4..6 => Change::Patch(json!({"title": number, own: number}).to_string()),
                _ => Change::Patch(json!({ own: number }).to_string()),
            };
            (record.id.clone(), change)
        };
        let write = RecordWrite { collection: NOTES.to_owned(), id: id.clone(), change, seed };
        let now = self.now;
        let origin = self.origin(client, &id);
        let written =
            self.transact(client, async |tx, config| mutation::write(tx, now, &write, &Caller::default(), config).await)?;
        self.note(|| format!("{client} writes {id} {:?}: {written:?}", write.change));
        if written.is_ok() {
            let origin = origin.unwrap_or(id);
            if write.change == Change::Delete {
                self.deleted.push(origin.clone());
            }
            let of = |record: &Record| document(record.local.as_deref()).get("origin").and_then(Value::as_str) == Some(&origin);
            // A pull has brought the row before the reply that says whose it is. Of what is written to both, either may count.
            let is_double = visible.iter().filter(|record| of(record)).count() > 1;
            if is_double {
                self.doubled.push(origin.clone());
            }
            let is_doubled = self.doubled.contains(&origin);
            if let Some(client) = self.clients.get_mut(client) {
                if write.change == Change::Delete || is_doubled {
                    client.written.remove(&origin);
                } else {
                    client.given_up.retain(|other| *other != origin);
                    client.written.insert(origin, number);
                }
            }
        }
        Ok(())
    }

    /// A record is made to refer to others: one as its parent, or some as those to be seen.
    fn relate(&mut self, client: usize, record: &Record, visible: &[Record]) -> Checked {
        let ids: Vec<&str> = visible.iter().map(|record| record.id.as_str()).collect();
        let Some(first) = ids.get(self.relating.index(ids.len())) else { return Ok(()) };
        let (member, value) = if self.relating.happens(0.6) {
            ("parent", json!(first))
        } else {
            ("see", json!([first, ids.get(self.relating.index(ids.len()))]))
        };
        let mut patch = Map::new();
        let origin = self.origin(client, &record.id).unwrap_or_else(|| record.id.clone());
        self.refer(client, &mut patch, &origin, member, value);
        let change = Change::Patch(Value::Object(patch).to_string());
        let seed = JobId::from_random(self.relating.bytes());
        let write = RecordWrite { collection: NOTES.to_owned(), id: record.id.clone(), change, seed };
        let now = self.now;
        let written =
            self.transact(client, async |tx, config| mutation::write(tx, now, &write, &Caller::default(), config).await)?;
        self.note(|| format!("{client} relates {} {:?}: {written:?}", write.id, write.change));
        Ok(())
    }

    /// Writes references into a record, and notes them.
    fn refer(&mut self, client: usize, record: &mut Map<String, Value>, origin: &str, member: &str, value: Value) {
        let ids = value.as_array().map_or_else(|| vec![value.clone()], Clone::clone);
        for id in ids.iter().filter_map(Value::as_str) {
            let referred = self.origin(client, id).unwrap_or_else(|| id.to_owned());
            self.referred.push([origin.to_owned(), referred]);
        }
        record.insert(member.to_owned(), value);
    }

    /// What the creator of a record called it.
    fn origin(&self, client: usize, id: &str) -> Option<String> {
        let record = self.find(client, id)?;
        let known = document(record.local.as_deref().or(record.base.as_deref()));
        known.get("origin").and_then(Value::as_str).map(str::to_owned)
    }

    fn kill(&mut self, client: usize) {
        self.note(|| format!("{client} dies"));
        if let Some(client) = self.clients.get_mut(client) {
            client.life += 1;
            client.takes_over = true;
            client.has_requeued = false;
            client.settlements.clear();
        }
    }

    fn undo(&mut self, client: usize) -> Checked {
        let dirty: Vec<Record> = self.records_of(client).into_iter().filter(Record::is_dirty).collect();
        if dirty.is_empty() {
            return Ok(());
        }
        let at = self.rng.index(dirty.len());
        let Some(record) = dirty.get(at) else { return Ok(()) };
        let origin = self.origin(client, &record.id).unwrap_or_else(|| record.id.clone());
        let (now, name) = (self.now, RecordName { collection: NOTES.to_owned(), id: record.id.clone() });
        let undone =
            self.transact(client, async |tx, config| mutation::undo(tx, now, &name, &Caller::default(), config).await)?;
        if undone == Ok(true) {
            self.give_up(client, origin);
        }
        Ok(())
    }

    /// A person removes a mutation's job.
    fn discard(&mut self, client: usize) -> Checked {
        let of_record = |record: &Record| Some((record.push.as_ref()?.job.clone(), record.id.clone()));
        let pushed: Vec<(JobId, String)> = self.records_of(client).iter().filter_map(of_record).collect();
        if pushed.is_empty() {
            return Ok(());
        }
        let at = self.rng.index(pushed.len());
        let Some((job, id)) = pushed.get(at) else { return Ok(()) };
        let origin = self.origin(client, id).unwrap_or_else(|| id.clone());
        let now = self.now;
        let discarded = self.transact(client, async |tx, _| manage::discard(tx, now, job, false).await)?;
        self.note(|| format!("{client} discards the job of {id}: {discarded:?}"));
        if discarded.is_ok_and(|removed| !removed.is_empty()) {
            self.clients.iter_mut().skip(client).take(1).for_each(|client| {
                (client.has_requeued, client.has_discarded) = (false, true);
            });
            self.give_up(client, origin);
        }
        Ok(())
    }

    /// Now and then a worker with other indexes starts, and dies while it rebuilds them, or does not. By dice of its own.
    fn reindex(&mut self) {
        if !self.indexing.happens(0.04) {
            return;
        }
        let Some(client) = self.clients.get(self.indexing.index(CLIENTS)) else { return };
        let release = self.others.get(self.indexing.index(3)).unwrap_or(&self.config);
        let tx = SimTx::begin(&client.db, Mode::Write, Scope::ALL, None, self.flaw);
        let _ = indexes::adopt(&tx, release).now_or_never();
        while self.indexing.happens(0.6) {
            let _ = indexes::rebuild(&tx, NOTES, "").now_or_never();
        }
        tx.commit();
    }

    fn give_up(&mut self, client: usize, origin: String) {
        if let Some(client) = self.clients.get_mut(client) {
            client.written.remove(&origin);
            client.given_up.push(origin);
        }
    }

    fn resolve(&mut self, client: usize) -> Checked {
        for record in self.records_of(client).into_iter().filter(|record| record.conflict) {
            let choice = if self.rng.happens(0.5) { Choice::Local } else { Choice::Remote };
            let origin = self.origin(client, &record.id).unwrap_or_else(|| record.id.clone());
            let resolve = Resolve { collection: NOTES.to_owned(), id: record.id, choice };
            let now = self.now;
            let resolved =
                self.transact(client, async |tx, config| mutation::resolve(tx, now, &resolve, &Caller::default(), config).await)?;
            if resolved == Ok(true) && resolve.choice == Choice::Remote {
                self.give_up(client, origin);
            }
        }
        Ok(())
    }

    /// Flaws: what a page meets is changed before it is applied.
    fn spoil_page(&mut self, client: usize, holder: &str) {
        match self.flaw {
            Some(Flaw::BelievesEveryPage) => self.spoil(client, |state| {
                if let Some(running) = &mut state.running {
                    running.asked = u64::MAX;
                }
            }),
            Some(Flaw::PullsSideBySide) => self.spoil(client, |state| {
                if let Some(running) = &mut state.running {
                    holder.clone_into(&mut running.holder);
                }
            }),
            _ => {}
        }
    }

    fn spoil(&self, client: usize, change: impl Fn(&mut CollectionState)) {
        let Some(client) = self.clients.get(client) else { return };
        let tx = SimTx::begin(&client.db, Mode::Write, Scope::ALL, None, None);
        let spoilt = async {
            if let Some(mut state) = tx.get::<CollectionState>(&CollectionKey::new(NOTES, "")).await? {
                change(&mut state);
                tx.put(&state)?;
            }
            Ok::<_, Error>(())
        };
        let _ = spoilt.now_or_never();
        tx.commit();
    }

    /// A flaw: what was written while a mutation was on its way is lost when it comes back.
    fn lose_what_was_written_meanwhile(&mut self, client: usize, settle: &[Settlement]) {
        if self.flaw != Some(Flaw::LosesWritesOnTheWay) {
            return;
        }
        let records = self.records_of(client);
        let Some(client) = self.clients.get(client) else { return };
        let tx = SimTx::begin(&client.db, Mode::Write, Scope::ALL, None, None);
        for mut record in records {
            if let Some(push) = &record.push
                && settle.iter().any(|settlement| settlement.id == push.job)
            {
                record.local.clone_from(&push.data);
                let _ = tx.put(&record);
            }
        }
        tx.commit();
    }

    /// Revives what has failed, as a person does.
    fn retry_failed(&mut self, client: usize) -> Checked {
        let failed: Vec<JobId> = self.clients.get(client).map_or_else(Vec::new, |client| {
            let db = client.db.borrow();
            db.jobs().filter(|job| matches!(job.state, State::Failed | State::Blocked)).map(|job| job.id.clone()).collect()
        });
        for id in failed {
            let now = self.now;
            let _ = self.transact(client, async |tx, config| manage::retry(tx, now, &id, config).await)?;
        }
        Ok(())
    }

    /// Nothing goes wrong any more: all of it has to come to rest, the same everywhere.
    fn quiesce(&mut self) -> Checked {
        self.quiescing = true;
        self.server.settle();
        for client in 0..CLIENTS {
            self.kill(client);
        }
        self.flights.clear();
        for _ in 0..24 {
            self.now = self.now.after(HOUR);
            for client in 0..CLIENTS {
                self.resolve(client)?;
                self.retry_failed(client)?;
                for _ in 0..4 {
                    self.drain(client)?;
                    self.fly()?;
                    self.now = self.now.after(10 * MINUTE);
                }
                self.begin_pull(client)?;
                self.fly()?;
                self.check()?;
            }
            self.server.now += SECOND;
            self.server.settle();
            if self.ending().is_ok() {
                return self.forget_a_row();
            }
        }
        self.ending()
    }

    /// A row goes without a word: every client's next listing expires it, and nothing else.
    fn forget_a_row(&mut self) -> Checked {
        let living: Vec<String> = self.server.rows.iter().filter(|(_, row)| !row.is_deleted).map(|(id, _)| id.clone()).collect();
        if living.is_empty() {
            return Ok(());
        }
        let at = self.rng.index(living.len());
        self.has_forgotten = true;
        let forgotten = living.get(at).and_then(|id| self.server.rows.remove(id));
        let origin = forgotten.as_ref().and_then(|row| row.data.get("origin")?.as_str());
        self.deleted.extend(origin.map(str::to_owned));
        self.note(|| format!("the server forgets {:?}", living.get(at)));
        self.now = self.now.after(HOUR);
        for client in 0..CLIENTS {
            self.begin_listing(client)?;
            self.fly()?;
        }
        self.ending()
    }
}

fn declared(path: &str, multi: bool) -> Declared {
    Declared { name: format!("by {path}"), paths: vec![path.to_owned()], multi }
}

fn document(text: Option<&str>) -> Map<String, Value> {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_converge_whatever_happens() {
        let seeds: u64 = std::env::var("RECORD_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(200);
        let from: u64 = std::env::var("RECORD_FROM").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
        for seed in from..seeds {
            if run(seed, None).is_err()
                && let Err((violation, trace)) = live(seed, None, true)
            {
                panic!("{}\nseed {seed}: {violation}", trace.join("\n"));
            }
        }
    }
}
