//! Real servers for tests, each on 127.0.0.1, on a free port, in a folder of its own, and gone when the test process is.
//!
//! Nothing here skips: where a server cannot run, the test fails with the text of what to install.

pub mod broker;
mod guard;
pub mod kafka;

pub mod ports;
pub mod postgres;
pub mod proxy;
