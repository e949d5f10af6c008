//! The lane: take over, hear, decide, commit in one statement, speak.
//!
//! One future drives every lane that this process owns. It has no socket, no clock and no chance of its own: the bus,
//! the store, time and entropy are handed in, so that the seeded world runs this very code. What is true is in the
//! journal; everything in memory can be thrown away at any moment, and after every doubt it is.

mod batch;
mod engine;
mod entry;
mod flight;
mod hear;
mod lane;
mod letters;
mod need;
mod options;
mod people;
mod restored;
mod retell;
mod speak;
mod takeover;
pub mod telemetry;
mod tell;

pub use engine::{Coordinator, Exit};
pub use entry::{Cause, Entry, Note, fold};
pub use lane::BUSY_MOST;
pub use options::Options;
pub use people::Operators;
pub use restored::{Missing, Standing};
pub use retell::{Difference, JUMP, Retelling, Retold, Unsound};
