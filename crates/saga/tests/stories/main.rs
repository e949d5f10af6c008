//! The core by stories: one for each thing that can become of a tenant.
#![allow(clippy::unwrap_used, reason = "what is missing fails the test")]

mod approvals;
mod brakes;
#[path = "../common/mod.rs"]
mod common;
mod ends;
mod gates;
mod life;
mod people;
mod presets;
mod queue;
mod steering;
mod teller;
