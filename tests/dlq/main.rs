//! Dead letters and batches of tenants on a running fleet, as a person with the command line meets them: on the embedded broker and a real
//! PostgreSQL, with workers that really put commands aside.

mod batch;
mod failures;
mod night;
mod replay;
mod requests;
