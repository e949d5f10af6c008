//! The server against ports in memory: every promise of a worker, one sentence each.

#![allow(clippy::unwrap_used, reason = "helpers of tests may, as tests do")]

mod chaos;
mod fences;
mod order;
mod outages;
mod poison;
mod steps;
mod stop;
mod telemetry;
mod world;
