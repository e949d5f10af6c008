//! The audit chain: pure functions over exact bytes. What the coordinator links, the verifier checks.

mod chain;
mod problem;
mod verify;

pub use chain::{Head, digest, genesis};
pub use problem::{Breach, Problem};
pub use verify::{Expected, Flow, Heard, Report, Verifier};
