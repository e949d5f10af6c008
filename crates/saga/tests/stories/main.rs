//! The core by stories: one for each thing that can become of a tenant.
#![allow(clippy::unwrap_used, reason = "what is missing fails the test")]

#[path = "../common/mod.rs"]
mod common;
mod ends;
mod gates;
mod life;
mod people;
mod queue;
mod teller;
