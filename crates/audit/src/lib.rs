//! The audit chain, the log over all chains, and the evidence made of both: pure functions over exact bytes. What the
//! coordinator links, the verifier checks; what a signer signs, an auditor checks a year later with no network.

pub mod bundle;
mod chain;
mod chains;
mod checkpoint;
mod heads;
mod key;
pub mod log;
mod note;
pub mod order;
mod problem;
mod published;
mod rotation;
mod verify;

pub use chain::{Head, digest, genesis};
pub use chains::{Chains, Older, Took};
pub use checkpoint::Checkpoint;
pub use heads::Heads;
pub use key::{KeyError, PublicKey, Signer};
pub use note::{Note, NoteError, sign};
pub use problem::{Breach, Problem};
pub use published::{Published, Said};
pub use rotation::{KeyRing, RingError, Rotation};
pub use verify::{Expected, Flow, Heard, Report, Verifier};
