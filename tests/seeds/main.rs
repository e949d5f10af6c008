//! The seed documents' own stories, in their words and with their documents, each on a fleet that is set up for it.

mod seed_000;
mod seed_001;
mod seed_002;
mod seed_004;
mod teller;
