//! A frozen selection, worked off: what `dlq replay`, `dlq expire` and `batch run` have in common.
//!
//! A selection is a file with a count and a digest that nobody changes ([`file`]). A run of it says one record for each
//! entry, at a pace, and waits for what becomes of each ([`run`]); what was begun and what ended stands in a file beside it,
//! so that a run that was killed is simply run again ([`progress`]). Each run is one entry of the audit ([`entry`]).

pub(crate) mod entry;
pub(crate) mod file;
pub(crate) mod house;
pub(crate) mod pace;
pub(crate) mod past;
pub(crate) mod people;
pub(crate) mod progress;
pub(crate) mod run;
pub(crate) mod sums;
