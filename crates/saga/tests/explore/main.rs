//! Every interleaving of the real core with a bus that loses nothing and repeats everything, crashing and late
//! workers, people, clocks and a second coordinator, within stated bounds. Safety at every state, and from every state
//! a way to rest. The variants that break one rule of the protocol must fail, and do.
//!
//! The transition function is the code under test: [`tenantry_saga::Tenant`], not a copy. Every hearing is also checked
//! for what holds of all hearings (`common::hear`): a fold of what was told, read back from JSON, equals the tenant.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what is missing fails the test; what was explored is printed"
)]

mod canon;
#[path = "../common/mod.rs"]
mod common;
mod core;
mod fails;
mod holds;
mod plans;
mod rules;
mod search;
mod world;
