//! The suites that the simulated, the embedded and the real implementations of the ports must all pass.
//!
//! They panic where an implementation is wrong. They know no runtime: waiting goes through a [`crate::Clock`], so that
//! the seeded world runs them in its own time.

pub mod bus;
pub mod store;
