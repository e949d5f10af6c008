//! How a worker serves its steps: order, fence, retry, breaker, dead letters, offsets. Over ports; no sockets.
//!
//! One [`Server`] is one consumer of a worker process. Everything runs inside the one future of [`Server::run`]:
//! nothing is spawned and no lock is held across an await, so that the seeded world drives it step by step.
//! One command, from record to effect to answer:
//!
//! 1. `desk` takes the record, keeps order per tenant and lets other tenants overtake;
//! 2. `command` reads it (or writes a `letter`), asks `fence` whether it may act, and lets `attempt` run the step;
//! 3. the answer goes out through `mouth`; once it is acknowledged, `offsets` says how far the partition is finished.
//!
//! `ledger` gathers reads and writes of many commands into one call, `patience` waits for a store that is down, and
//! `breaker` stops a worker whose dependency is down.

mod attempt;
mod breaker;
mod command;
mod desk;
mod ear;
mod erased;
mod fence;
mod keyring;
mod ledger;
mod letter;
mod mouth;
mod offsets;
mod options;
mod patience;
mod retry;
mod server;
pub mod telemetry;

pub use options::{Limits, Options, ServeError};
pub use server::Server;
