//! Binds a job to the reply of an earlier one (Q13): its parts, so far.

pub mod pointer;
pub mod scan;
pub mod template;
