//! Verbs of people on a running fleet, each said on the command line and found again in the audit: on the embedded broker
//! and a real PostgreSQL, with real workers.

mod brakes;
mod crew;
mod signed;
mod steering;
