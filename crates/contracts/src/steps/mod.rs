//! The typed inputs and outputs of every step, one file for each worker.

pub mod credentials;
pub mod database;
pub mod validate;
