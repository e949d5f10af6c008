//! What the coordinator and the workers need from the outside, as traits with honest outcomes.
//!
//! Nobody here claims more than can be known: a commit is done, failed or *unknown*; a record is acknowledged or
//! *possibly persisted*. The seeded world and the real adapters pass one conformance suite.

mod bus;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod ledger;
mod store;

pub use bus::{
    Bus, BusError, Consumer, Delivered, Delivery, Group, Heard, News, Outgoing, Place, Producer, Refused, Tag,
};
pub use clock::{Clock, Entropy};
pub use ledger::{Fence, Keys, Ledger, Mark, Marked, Remembered};
pub use store::{
    Batch, CommitOutcome, Conflict, Found, HeardAt, LaneRow, LaneWrite, Loaded, Need, RequestRow, Row,
    SealedKey, Store, StoreError, TenantRow,
};
