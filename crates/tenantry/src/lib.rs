//! The one binary: everything that the fleet does, and everything that people do with it.
//!
//! Each command is a module with its `Args` and its `run`. They share few parts: `settings` turns flags, environment
//! and files into values, `fleet` starts and watches the coordinator and the workers, `http` shows how they are.

pub mod accept_restore;
pub mod audit;
pub mod batch;
pub mod bench;
pub mod capacity;
pub mod cli;
pub mod clock;
pub mod deed;
pub mod demo;
pub mod dlq;
pub mod drill;
pub mod evidence;
pub mod explain;
pub mod faults;
pub mod fleet;
mod frozen;
pub mod http;
pub mod journal;
pub mod keys;
pub mod logs;
pub mod migrate;
pub mod operation;
pub mod out;
pub mod plan;
pub mod platform;
pub mod ready;
pub mod request;
pub mod serve;
pub mod settings;
pub mod show;
pub mod signals;
pub mod signer;
pub mod sim;
pub mod tenant;
pub mod top;
pub mod topics;
mod trail;
pub mod up;
pub mod verify;
pub mod watch;
pub mod why;
