//! Version 6: jobs that are bound to others' responses, and what a person permits over which network.
//!
//! Nothing is moved, and no store is made. A release that knew nothing of these would send a job with the places of its values
//! in it, deliver a job without binding those that wait for it, and forget what a person chose: it is not to open the database.
