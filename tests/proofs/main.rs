//! What proves what: the history the audit, the audit the store, and consumers that check for themselves, on a fleet that
//! runs on real servers.

mod archive;
mod consumers;
mod history;
mod restore;
mod store;
