//! The step on what the real steps of the other workers made: the kit, health, and planted leaks.
#![allow(missing_docs, clippy::unwrap_used)]

mod health;
mod leaks;
mod world;
