//! What every reader is held to.

use std::fmt::Debug;

use shearwater_core::wire::{Mismatch, Value, Wire, json::Json};

use crate::value::Foreign;

/// Reads a record: what can be read can be written and read again, what cannot is told by its path.
pub fn read<T: Wire + PartialEq + Debug>(value: &Foreign) -> Option<T> {
    match T::read(value) {
        Ok(record) => {
            keeps(&record);
            Some(record)
        }
        Err(mismatch) => {
            tells_its_place(value, &mismatch);
            None
        }
    }
}

/// What the core writes, the core reads, and it is the same.
pub fn keeps<T: Wire + PartialEq + Debug>(record: &T) {
    let written = Json::of(record, |number| number.to_string());
    let written = Foreign::parse(written.as_bytes()).unwrap_or_else(|| panic!("not JSON: {written}"));
    assert_eq!(T::read(&written).as_ref(), Ok(record), "written as {written:?}");
}

/// What is wrong with an object is told by the name of a member that is there, or of one that is missing.
pub fn tells_its_place(value: &Foreign, mismatch: &Mismatch) {
    let text = mismatch.to_string();
    assert!(!text.is_empty(), "a refusal without a word");
    // A member without a name cannot be told by it.
    let names = || value.names().into_iter().filter(|name| !name.is_empty());
    if value.is_object() && !value.names().contains(&String::new()) {
        let told = |name: String| text.strip_prefix(&name).is_some_and(|rest| rest.starts_with(['.', ':']));
        assert!(text.ends_with(": is missing") || names().any(told), "{text:?} does not say where in {value:?}");
    }
}
