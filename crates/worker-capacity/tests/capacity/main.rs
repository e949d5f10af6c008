//! The steps on a real PostgreSQL: the kit, what only they promise, failures in the middle.
#![allow(missing_docs, clippy::unwrap_used)]

mod commit;
mod faults;
mod pools;
mod reserve;
mod world;
