//! The one place where flags, environment variables and files become settings.
//!
//! Every flag is also a variable `TENANTRY_...`; a flag wins over its variable. What is secret can stand in a file
//! (`..._FILE`), and prints as `***`. Commands of people find a running `tenantry up` by its data directory.

mod args;
mod files;
mod find;
mod governance;
mod home;
mod person;
mod secret;
mod signing;
mod work;

pub(crate) use args::shown;
pub use args::{Kafka, Key, Producer, Property, Serve, Store, Tenants, Where, fleet, http, properties};
pub use find::Find;
pub use governance::Governance;
pub use home::{Home, Identity, Lock, Running};
pub use person::{Person, read_key, sign};
pub use secret::{Secret, property_shown, url_shown};
pub use signing::Signing;
pub use work::Work;
