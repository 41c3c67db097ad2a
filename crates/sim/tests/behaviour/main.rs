//! Runs a fixed number of seeds, and sees that the simulator notices what is broken on purpose.

mod flaws;
mod seeds;
