//! Plays stories of messages, replies and mishaps against the simulator's database.

#![no_main]

use fuzz::{story, value_target};

value_target!(|value| { story::play(&value) });
