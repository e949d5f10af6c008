//! What stories and chaos share: a running fleet, its topics, and the ground truth in PostgreSQL's own catalogues.

mod ground;
mod topics;
mod up;

pub use ground::{Ground, TenantNow};
pub use topics::{Answers, Topics, outcome, request};
pub use up::{Places, Running, Up, binary};
