//! Fuzz targets for what reads foreign input in `shearwater-core`.
//!
//! | target | reads | holds it to |
//! |---|---|---|
//! | `message` | what pages and worker post to each other | [`check::read`]; what is admitted can be sent |
//! | `config` | what an app passes to `start()` | the documented ranges, once `check()` has passed |
//! | `record` | rows of the database | [`check::read`]; every verb leaves a row that can be read |
//! | `reply` | a server's status and headers | bounded waits |
//! | `store` | messages, replies, deaths and foreign rows, one after the other ([`story`]) | the rows and their counts |
//!
//! # Input
//!
//! An input is the JSON text of the value that a shell would read ([`value`]); for `reply` it is the head
//! of an HTTP response. So a file of `corpus/` can be read, written and mended by hand. A new seed is a
//! new file in `corpus/<target>/`; a finding that was mended stays there, named by what broke.
//!
//! # Running
//!
//! `make fuzz`, or `./run.sh SECONDS [TARGET…]` here. libFuzzer steers by the coverage that
//! `.cargo/config.toml` has the compiler count; [`mutate`] changes values rather than bytes.

#![forbid(unsafe_code)]

pub mod check;
pub mod mutate;
pub mod story;
pub mod value;

// The simulator's database, by the file: `shearwater-sim` keeps it to itself.
#[allow(dead_code, unreachable_pub, reason = "the simulator uses more of it")]
#[path = "../../sim/src/flaw.rs"]
mod flaw;
#[allow(dead_code, reason = "the simulator uses more of it")]
#[path = "../../sim/src/store/mod.rs"]
mod store;

/// Declares a target that reads one value, and says whether it could: what is refused is one change away
/// from what is not, so only the latter is worth going on from.
#[macro_export]
macro_rules! value_target {
    (|$value:ident| $body:block) => {
        libfuzzer_sys::fuzz_target!(|data: &[u8]| -> libfuzzer_sys::Corpus {
            match $crate::value::Foreign::parse(data) {
                Some($value) if $body => libfuzzer_sys::Corpus::Keep,
                _ => libfuzzer_sys::Corpus::Reject,
            }
        });
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            $crate::mutate::mutate(data, size, max_size, seed)
        });
        libfuzzer_sys::fuzz_crossover!(|data1: &[u8], data2: &[u8], out: &mut [u8], seed: u32| {
            $crate::mutate::cross(data1, data2, out, seed)
        });
    };
}
