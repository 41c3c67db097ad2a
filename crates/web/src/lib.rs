//! What worker and page share of JavaScript: values to and from the core's wire form, and errors.

mod error;
mod names;
mod object;
mod task;
mod value;

pub use error::{error_of, message_of, name_of, with_code};
pub use object::{array, get, get2, global, number, set};
pub use task::{future_to_promise, spawn_local};
pub use value::{Js, decode, encode, parse, spell};
