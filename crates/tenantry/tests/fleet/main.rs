//! The program as a service: a whole fleet in one process, its parts in several, and what it says when it may not run.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on says where by its panic"
)]

mod cli;
mod process;
mod serve;
mod up;
