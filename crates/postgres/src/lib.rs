//! The fleet's store on PostgreSQL.
//!
//! Four ways in, for four kinds of work:
//!
//! - [`PgStore`], [`PgLedger`] and [`PgKeys`] are what coordinators and workers need at speed, behind the ports. Every
//!   statement is prepared once for each connection, commits by itself, and is never dropped half-way: a timeout is
//!   the server's.
//! - [`Queries`] is what people ask, checked against the schema when this crate is compiled.
//! - [`Archive`] takes rows from the journal that a file holds as well, and puts them back.
//! - [`migrate()`] and [`check_schema`] keep the schema (`migrations/fleet`) and the program at one version.
//!
//! URLs are `postgres://user:password@host:port/database?sslmode=...&sslrootcert=...`, with libpq's meanings: see
//! [`connect`].

mod archive;
pub mod connect;
mod error;
mod gather;
mod keys;
mod ledger;
mod migrate;
mod pack;
mod queries;
mod store;
mod tls;

pub use archive::{Archive, Slice};
pub use error::Error;
pub use keys::PgKeys;
pub use ledger::PgLedger;
pub use migrate::{check_schema, migrate};
pub use queries::{Archived, MOST, Queries, Range, TenantFilter};
pub use store::PgStore;
