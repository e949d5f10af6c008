//! The log, signed notes, checkpoints and keys: against published vectors, against a naive tree, and by property.
#![allow(clippy::unwrap_used, reason = "what is missing fails the test")]

mod chains;
mod notes;
mod published;
mod tree;
