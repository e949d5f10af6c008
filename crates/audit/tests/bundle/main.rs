//! Evidence bundles: made, checked by both verifiers, and tampered with in every way that must be found and named.
#![allow(clippy::unwrap_used, reason = "what is missing fails the test")]
#![allow(clippy::print_stdout, reason = "seeds, times and sizes are for whoever runs it")]

mod consumers;
mod flips;
mod python;
mod slow;
mod sound;
mod tampering;
mod world;
