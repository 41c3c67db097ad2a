//! Version 2: small bodies of one call may share a record (`packed` in the job's row).
//!
//! Rows of version 1 are read as they are, and the stores stay what they were: there is nothing to change. The
//! number keeps a worker of before, which would send such a job without its body, from opening the database.
