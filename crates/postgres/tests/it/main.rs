//! The store on a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod archive;
mod fleet;
mod ledger;
mod plans;
mod queries;
mod roles;
mod schema;
mod store;
mod suite;
mod tls;
mod unknown;
