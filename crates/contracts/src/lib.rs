//! The words on the wire: what upstream systems, people, the coordinator and the workers say to each other.
//!
//! Everything here is plain data and pure functions. Nothing reads a clock, a random number, the environment or a
//! socket; whoever needs time or entropy gets it handed in.

pub mod audit;
pub mod catalogue;
pub mod code;
pub mod command;
pub mod dsse;
pub mod envelope;
pub mod event;
pub mod fact;
pub mod headers;
pub mod ids;
pub mod json;
pub mod letter;
pub mod limits;
pub mod observed;
pub mod opening;
pub mod operation;
pub mod partition;
pub mod pointer;
pub mod receipt;
pub mod record;
pub mod request;
pub mod result;
mod schema;
pub mod sealed;
pub mod state;
pub mod steps;
pub mod strict;
pub mod time;
pub mod topic;

pub use code::{Class, Code, Refusal};
pub use fact::Fact;
pub use headers::Headers;
pub use ids::{
    Environment, Fleet, Lane, RequestId, RowName, SagaId, Slug, StepName, TenantId, Token, Verb, WorkerName,
};
pub use json::Json;
pub use letter::Letter;
pub use observed::{Difference, Differences, Observed};
pub use record::{Origin, Record};
pub use sealed::{DataKey, MasterKey, Sealed};
pub use state::{Flags, State};
pub use time::Time;
pub use topic::Topic;
