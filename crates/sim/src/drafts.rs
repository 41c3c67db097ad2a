//! Simulates forms that are being filled in, in tabs that take drafts over from each other, and keeps what they were promised.

use std::collections::{BTreeMap, BTreeSet};

use shearwater_core::{
    JobId,
    drafts::{self, Save, Submission},
    store::{Answer, Scope, receipts::once},
};

use crate::{
    check::{self, Cause, Checked, Hand, Promise},
    page::{Ask, Asked, Call},
    world::{Event, World},
};

/// Tabs in which somebody types.
const TABS: usize = 3;

/// What a form asks for.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// Its file comes along each time.
    Save(Box<Save>),
    Submit {
        draft: JobId,
        jobs: Vec<Asked>,
    },
    Claim {
        from: JobId,
        to: JobId,
    },
    Discard(JobId),
}

/// The form of a tab.
#[derive(Clone, Debug)]
struct Tab {
    draft: JobId,
    owner: String,
    seq: u64,
    file: Option<JobId>,
}

/// A draft that somebody was told is kept.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) owner: String,
    pub(crate) seq: u64,
    /// When (true time) it may be given up for its age.
    pub(crate) ripe_old: u64,
}

/// What forms were promised.
#[derive(Default)]
pub(crate) struct Drafts {
    tabs: Vec<Tab>,
    kept: BTreeMap<JobId, Kept>,
    ended: BTreeSet<JobId>,
}

impl Drafts {
    pub(crate) fn kept(&self) -> impl Iterator<Item = (&JobId, &Kept)> {
        self.kept.iter()
    }

    pub(crate) fn has_ended(&self, id: &JobId) -> bool {
        self.ended.contains(id)
    }

    /// Everything of this owner's is gone.
    pub(crate) fn purge(&mut self, owner: &str) {
        let gone: Vec<JobId> = self.kept.iter().filter(|(_, kept)| kept.owner == owner).map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|id| self.end(id));
    }

    /// It is too old, and is not there any more.
    pub(crate) fn forget(&mut self, ids: &[JobId]) {
        self.kept.retain(|id, _| !ids.contains(id));
    }

    fn end(&mut self, id: &JobId) {
        self.kept.remove(id);
        self.ended.insert(id.clone());
    }
}

impl World {
    /// Somebody types, submits, gives up, or goes on in another tab.
    pub(crate) fn use_form(&mut self) -> Checked {
        let at = self.rng.index(TABS);
        let (owner, fresh) = (self.oracle.owner.clone(), JobId::from_random(self.rng.bytes()));
        let blank = || Tab { draft: fresh.clone(), owner: owner.clone(), seq: 0, file: None };
        while self.oracle.drafts.tabs.len() < TABS {
            let draft = JobId::from_random(self.rng.bytes());
            self.oracle.drafts.tabs.push(Tab { draft, ..blank() });
        }
        let Some(tab) = self.oracle.drafts.tabs.get(at).cloned() else { return Ok(()) };
        let (next, form) = match self.rng.below(10) {
            _ if tab.owner != owner => (blank(), None),
            0..6 => {
                let new = self.rng.happens(0.2).then(|| JobId::from_random(self.rng.bytes()));
                let file = new.or(tab.file);
                let next = Tab { seq: tab.seq + 1, file, ..tab };
                let save = Save {
                    id: next.draft.clone(),
                    form: "form".to_owned(),
                    seq: next.seq,
                    fields: format!("[{}]", next.seq),
                    files: next.file.iter().cloned().collect(),
                };
                (next, Some(Form::Save(Box::new(save))))
            }
            6..8 => (blank(), Some(Form::Submit { draft: tab.draft, jobs: vec![self.ask()] })),
            8 => (blank(), Some(Form::Discard(tab.draft))),
            _ => {
                let other = self.rng.index(TABS);
                let Some(from) = self.oracle.drafts.tabs.get(other).cloned().filter(|_| other != at) else { return Ok(()) };
                (Tab { seq: from.seq, ..blank() }, Some(Form::Claim { from: from.draft, to: fresh.clone() }))
            }
        };
        if let Some(tab) = self.oracle.drafts.tabs.get_mut(at) {
            *tab = next;
        }
        form.map_or(Ok(()), |form| self.post(Ask::Draft(form)))
    }

    /// A form's message reaches a worker.
    pub(crate) fn serve_form(&mut self, call: Call, form: &Form) -> Checked {
        let (caller, now, config) = (call.caller.clone(), self.clock.device(), self.config_of(0));
        let mut admitted = Vec::new();
        if let Form::Submit { jobs, .. } = form {
            for asked in jobs {
                admitted.push(asked.admit(&config)?);
            }
        }
        let scope = if matches!(form, Form::Submit { .. }) { Scope::WORK } else { Scope::DRAFTS };
        let mut stored = Vec::new();
        let carried_out = self.transact(scope, async |tx| {
            if let Form::Save(save) = form {
                let new: Vec<_> = save.files.iter().map(|id| (id.clone(), 1, 1)).collect();
                return drafts::save(tx, now, save, &new, &caller, &config.drafts)
                    .await
                    .map(|kept| (Answer::InTime(kept), false));
            }
            let work = Box::pin(async {
                Ok(Answer::InTime(match form {
                    Form::Submit { draft, .. } => {
                        let submission = Submission { draft: Some(draft.clone()), replaces: None };
                        stored = drafts::submit(tx, now, admitted, false, &submission, &caller).await?;
                        true
                    }
                    Form::Claim { from, to } => drafts::claim(tx, now, from, to, &caller).await?,
                    Form::Discard(id) => drafts::discard(tx, now, id, &caller).await?,
                    Form::Save(_) => false,
                }))
            });
            once(tx, now, &caller, work).await
        })?;
        match carried_out {
            Ok(((answer, repeated), changes)) => {
                self.note(|| format!("{form:?}{}: {answer:?}", if repeated { " again" } else { "" }));
                if !matches!(form, Form::Save(_)) {
                    check::manage::once(self, &caller.re, &answer, repeated, &changes)?;
                }
                if repeated {
                    return check::committed(self, &Cause::Hand(Hand::Nothing), &changes);
                }
                let owner = caller.owner.clone().unwrap_or_default();
                self.promise(form, &owner, answer == Answer::InTime(true))?;
                if let Form::Submit { jobs, .. } = form {
                    check::accepts::record(self, jobs, &owner, &stored, &config)?;
                    return check::committed(self, &Cause::Enqueue, &changes);
                }
                check::committed(self, &Cause::Hand(Hand::Nothing), &changes)
            }
            Err(error) => {
                self.note(|| format!("{form:?} failed: {error}"));
                if !self.quiescing && self.rng.happens(0.5) {
                    let delay = self.rng.magnitude(60_000);
                    self.later(delay, delay, Event::Call(call));
                }
                Ok(())
            }
        }
    }

    /// Writes down what a form was told.
    fn promise(&mut self, form: &Form, owner: &str, told: bool) -> Checked {
        let ripe_old = check::accepts::ripe_old(self, self.config_of(0).drafts.max_age);
        let drafts = &mut self.oracle.drafts;
        match form {
            Form::Save(save) if told => {
                check::ensure(!drafts.ended.contains(&save.id), Promise::Once, || format!("{} has ended and is kept", save.id))?;
                let kept = drafts.kept.entry(save.id.clone());
                let kept = kept.or_insert_with(|| Kept { owner: owner.to_owned(), seq: save.seq, ripe_old });
                kept.seq = kept.seq.max(save.seq);
                kept.ripe_old = kept.ripe_old.max(ripe_old);
            }
            Form::Submit { draft, .. } | Form::Discard(draft) => {
                if drafts.kept.get(draft).is_none_or(|kept| kept.owner == owner) {
                    drafts.end(draft);
                }
            }
            Form::Claim { from, to } if told => {
                if let Some(kept) = drafts.kept.get(from).cloned() {
                    drafts.kept.insert(to.clone(), kept);
                }
                drafts.end(from);
            }
            Form::Save(_) | Form::Claim { .. } => {}
        }
        Ok(())
    }
}
