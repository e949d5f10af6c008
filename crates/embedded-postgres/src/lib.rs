//! A private PostgreSQL cluster, so that `tenantry up` and the tests need no database to be set up by hand.
//!
//! [`Cluster::start`] finds the newest PostgreSQL on the machine (15 or later), or fetches a portable build once into a
//! cache, makes the cluster if it is new, and runs `postgres` as a child process that listens on 127.0.0.1 only.
//!
//! What lies in the data directory:
//!
//! | name | what |
//! |---|---|
//! | `data/` | PostgreSQL's own files; belongs to the account that runs the server |
//! | `log/` | the server's log, one file per weekday, and `start.log` with what it said before the log was open |
//! | `postgresql.conf`, `pg_hba.conf` | written at every start; a person's own settings go in with `ALTER SYSTEM` |
//! | `password` | of the one role `tenantry`, mode 0600 |
//! | `port` | the last one used; taken again if it is free |
//! | `lock` | held by the process that owns the cluster |
//!
//! PostgreSQL refuses to run as root. Started as root, the server runs as `postgres` if that account exists, else as
//! `nobody`; every folder above the data directory must then be open to that account.
//!
//! A server that was left behind when its owner was killed is taken over by the next start if it is healthy, and
//! stopped if it is not.

mod account;
mod binaries;
mod cluster;
mod error;
mod layout;
mod leftover;
mod options;
mod portable;
mod server;
mod sql;

pub use cluster::Cluster;
pub use error::Error;
pub use options::{Options, suggested_data_dir};
