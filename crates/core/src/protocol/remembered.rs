//! What a receipt says, as the answer of its operation.

use crate::{
    error::{Error, ErrorCode},
    queue::manage::Compacted,
    store::{Answer, repair::Report},
};

/// An answer that receipts keep.
pub trait Remembered: Sized {
    /// The answer, if the receipt is of such an operation.
    fn of(receipt: &Answer) -> Option<Self>;

    /// The answer by the receipt of a message.
    ///
    /// # Errors
    /// `invalid-message`: two messages of one name asked for different things.
    fn recall(receipt: &Answer) -> Result<Self, Error> {
        Self::of(receipt).ok_or_else(another)
    }
}

#[cold]
fn another() -> Error {
    Error::new(ErrorCode::InvalidMessage, "re: was used for another operation")
}

impl Remembered for () {
    fn of(receipt: &Answer) -> Option<Self> {
        matches!(receipt, Answer::Done).then_some(())
    }
}

impl Remembered for bool {
    fn of(receipt: &Answer) -> Option<Self> {
        if let Answer::InTime(in_time) = receipt { Some(*in_time) } else { None }
    }
}

impl Remembered for u32 {
    fn of(receipt: &Answer) -> Option<Self> {
        if let Answer::Removed(count) = receipt { Some(*count) } else { None }
    }
}

impl Remembered for Compacted {
    fn of(receipt: &Answer) -> Option<Self> {
        if let Answer::Compacted(compacted) = receipt { Some(*compacted) } else { None }
    }
}

impl Remembered for Report {
    fn of(receipt: &Answer) -> Option<Self> {
        if let Answer::Repaired(report) = receipt { Some(report.clone()) } else { None }
    }
}
