//! What goes around a request and an answer: [`Envelope`] to the worker, [`Response`] back.

use serde::{Deserialize, Serialize, Serializer};

use crate::{
    error::Error,
    protocol::{Op, Operation, VERSION, view::Status},
    store::Caller,
    time::Millis,
    wire::{self, Mismatch, Value, json::Json},
};

/// A page's message to the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!Envelope")]
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

impl Envelope {
    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller { re: self.re.clone(), at: self.at, owner: self.owner.clone() }
    }
}

/// The worker's message back, `{shearwater, re, ok | error, dropped?, status?}`; `A` is the operation's
/// [`Operation::Answer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response<A> {
    /// [`VERSION`].
    pub shearwater: u32,
    /// The envelope's.
    pub re: String,
    /// What came of it: `ok`, which is null where there is nothing to say, or `error`.
    #[serde(rename = "..outcome", with = "outcome", bound(serialize = "A: Serialize", deserialize = "A: Deserialize<'de>"))]
    pub outcome: Result<A, Error>,
    /// Headers that were taken off new jobs, for a warning in the page.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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
}

/// The outcome of a [`Response`]: of its members `ok` and `error`, the one that it has.
mod outcome {
    use std::{fmt, marker::PhantomData};

    use serde::{
        Deserialize, Deserializer, Serialize, Serializer,
        de::{Error as _, SeqAccess, Visitor},
    };

    use crate::error::Error;

    /// Writes `ok` also where it is null.
    pub(super) fn serialize<A: Serialize, S: Serializer>(outcome: &Result<A, Error>, serializer: S) -> Result<S::Ok, S::Error> {
        match outcome {
            Ok(answer) => serializer.serialize_newtype_variant("Outcome", 0, "ok", answer),
            Err(error) => serializer.serialize_newtype_variant("Outcome", 1, "error", error),
        }
    }

    pub(super) fn deserialize<'de, A: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Result<A, Error>, D::Error> {
        deserializer.deserialize_struct("Outcome", &["error", "ok"], Outcome(PhantomData))
    }

    struct Outcome<A>(PhantomData<A>);

    impl<'de, A: Deserialize<'de>> Visitor<'de> for Outcome<A> {
        type Value = Result<A, Error>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("is not a response")
        }

        fn visit_seq<S: SeqAccess<'de>>(self, mut members: S) -> Result<Self::Value, S::Error> {
            if let Some(error) = members.next_element::<Option<Error>>()?.flatten() {
                return Ok(Err(error));
            }
            members.next_element()?.map(Ok).ok_or_else(|| S::Error::invalid_length(1, &self))
        }
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

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Bytes are JSON to the serializer.
        serializer.serialize_bytes(self.0.as_bytes())
    }
}

impl Response<Written> {
    /// The JSON text.
    #[must_use]
    pub fn text(&self, spell: fn(f64) -> String) -> String {
        Json::of(self, spell)
    }
}

/// Reads the answer of `O`: the `ok` of its response, none for null.
///
/// # Errors
/// Where it differs from what the operation returns.
pub fn read_answer<O: Operation, V: Value>(ok: Option<&V>) -> Result<O::Answer, Mismatch> {
    wire::read_or_absent(ok)
}
