//! What worker and page share of the platform, on `web-sys`'s types.
//!
//! | module | |
//! |---|---|
//! | `value`, `names` | JavaScript values to and from the core's wire form |
//! | `object` | members and methods of objects that no crate has a type for |
//! | `error` | errors between Rust and JavaScript |
//! | `scope` | the globals that a service worker and a page both have |
//! | `console` | what a developer is told |
//! | `time`, `random` | the wall clock, timers; random bytes and ids |
//! | `listener` | a listener for as long as it is held |
//! | `http` | headers, text and the abortion of requests |
//! | `view` | a job as the app sees it |
//! | `task` | futures that run by themselves, promises of them |
//! | [`externs`] | the little of the platform that `web-sys` does not have, each with its reason |

pub mod console;
mod error;
pub mod externs;
pub mod http;
mod listener;
mod names;
mod object;
pub mod random;
pub mod scope;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
mod value;
mod view;

pub use error::{error_of, message_of, name_of, sure, with_code};
pub use listener::Listener;
pub use object::{array, call, class_of, get, get2, global, number, set};
pub use task::{future_to_promise, settled, spawn_local};
pub use value::{Js, decode, encode, parse, spell};
pub use view::as_shown;
