//! The plans and the tenant's state machine: pure, without clock, chance or IO.
//!
//! A tenant is a value. [`Tenant::hear`] takes what was heard and returns the typed changes it led to, each of which is
//! one journal row and one audit event; [`Tenant::apply`] folds a change and decides nothing, so that journals of older
//! versions fold to the same state. What is to be asked of workers is a function of that state ([`Tenant::questions`]).

mod backward;
mod brake;
mod change;
mod forward;
mod hear;
mod operate;
mod plan;
pub mod plans;
mod preview;
mod question;
mod registry;
mod rules;
mod seen;
mod steer;
mod tenant;
mod view;

pub use change::{Begun, Born, By, Change, Pinned, Queued, Set};
pub use hear::{Heard, Moment};
pub use plan::{End, Field, InputFn, Plan, Row, Then, What, When};
pub use preview::Preview;
pub use question::Asked;
pub use registry::Registry;
pub use rules::{APPROVERS, Approvers, OfRow, PRESETS, Preset, Presets, Rules};
pub use tenant::{Direction, RowState, Run, Saga, Tenant};
pub use view::View;
