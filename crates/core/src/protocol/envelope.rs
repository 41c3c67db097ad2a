//! What goes around a request and an answer: [`Envelope`] to the worker, [`Response`] back.

use crate::{
    error::Error,
    protocol::{Op, Operation, VERSION, view::Status},
    store::Caller,
    time::Millis,
    wire::{Mismatch, Value, Wire, json::Json, member, object},
};

/// A page's message to the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// [`VERSION`].
    pub shearwater: u32,
    /// A UUID that the page makes for each call; the response carries it back.
    pub re: String,
    /// When it was first posted.
    pub at: Option<Millis>,
    /// Who was signed in as the page knew it; empty for nobody.
    pub owner: Option<String>,
    /// What is asked.
    pub op: Op,
}
crate::record!(strict Envelope {
    shearwater: "shearwater",
    re: "re",
    at: "at",
    owner: "owner",
    op: "op",
});

impl Envelope {
    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller { re: self.re.clone(), at: self.at, owner: self.owner.clone() }
    }
}

/// The worker's message back, `{shearwater, re, ok | error, dropped?, status?}`; `A` is the operation's
/// [`Operation::Answer`].
#[derive(Clone, Debug, PartialEq)]
pub struct Response<A> {
    /// [`VERSION`].
    pub shearwater: u32,
    /// The envelope's.
    pub re: String,
    /// What came of it: `ok`, which is null where there is nothing to say, or `error`.
    pub outcome: Result<A, Error>,
    /// Headers that were taken off new jobs, for a warning in the page.
    pub dropped: Vec<String>,
    /// The status after a change, so that the page reads its own write.
    pub status: Option<Status>,
}

impl<A> Response<A> {
    /// A response with nothing beside the outcome.
    #[must_use]
    pub fn new(re: String, outcome: Result<A, Error>) -> Self {
        Self { shearwater: VERSION, re, outcome, dropped: Vec::new(), status: None }
    }

    fn write_with(&self, json: &mut Json, ok: impl FnOnce(&A, &mut Json)) {
        json.object(|json| {
            json.member("shearwater", &self.shearwater);
            json.member("re", &self.re);
            match &self.outcome {
                Ok(answer) => {
                    // Also where it is null: a response has one of the two.
                    json.name("ok");
                    ok(answer, json);
                }
                Err(error) => json.member("error", error),
            }
            if !self.dropped.is_empty() {
                json.member("dropped", &self.dropped);
            }
            json.member("status", &self.status);
        });
    }
}

impl<A: Wire> Wire for Response<A> {
    fn read<V: Value>(value: &V) -> Result<Self, Mismatch> {
        object(value, None)?;
        let outcome = match value.member("error") {
            Some(error) => Err(Error::read(&error).map_err(|mismatch| mismatch.within("error"))?),
            None => Ok(member(value, "ok", None)?),
        };
        Ok(Self {
            shearwater: member(value, "shearwater", None)?,
            re: member(value, "re", None)?,
            outcome,
            dropped: member(value, "dropped", Some(Vec::new()))?,
            status: member(value, "status", None)?,
        })
    }

    fn write(&self, json: &mut Json) {
        self.write_with(json, A::write);
    }

    fn placeholder() -> Self {
        Self::new(String::new(), Ok(A::placeholder()))
    }
}

/// An operation's answer that was written already: what is around it exists once for all operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written(String);

impl Written {
    /// The answer of `O`. `spell` is as in [`Json::new`].
    pub fn of<O: Operation>(answer: &O::Answer, spell: fn(f64) -> String) -> Self {
        Self(Json::of(answer, spell))
    }
}

impl Response<Written> {
    /// The JSON text.
    #[must_use]
    pub fn text(&self, spell: fn(f64) -> String) -> String {
        let mut json = Json::new(spell);
        self.write_with(&mut json, |answer, json| json.written(&answer.0));
        json.into_text()
    }
}

/// Reads the answer of `O`: the `ok` of its response.
///
/// # Errors
/// Where it differs from what the operation returns.
pub fn read_answer<O: Operation, V: Value>(value: &V) -> Result<O::Answer, Mismatch> {
    O::Answer::read(value)
}
