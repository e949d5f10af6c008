//! The verifier on sound trails, and on ten kinds of tampering, each of which must be found and named.
#![allow(clippy::unwrap_used, reason = "what is missing fails the test")]

mod properties;
mod sound;
mod tampering;
mod trail;
