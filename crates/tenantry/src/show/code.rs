//! What a command ends with: exit codes that a script can tell apart, the same for every command that follows a saga.

use serde::Serialize;
use tenantry_contracts::State;

/// How what was followed ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The tenant is in service, or what was asked for is taken up.
    Done,
    /// The request or operation was refused, before or after it was heard.
    Rejected,
    /// Everything was undone.
    RolledBack,
    /// A person must act.
    Parked,
    /// No outcome in the time that the command was given.
    Timeout,
}

impl Outcome {
    /// The exit code: 0, 3, 4, 5, 6. (1 is any other error, 2 a command line that was not understood.)
    pub const fn exit(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Rejected => 3,
            Self::RolledBack => 4,
            Self::Parked => 5,
            Self::Timeout => 6,
        }
    }

    /// What resting in this state means for who asked; `None` while the tenant is under way.
    pub const fn of(state: State) -> Option<Self> {
        match state {
            State::Active | State::Suspended | State::Purged => Some(Self::Done),
            State::Rejected => Some(Self::Rejected),
            State::RolledBack => Some(Self::RolledBack),
            State::Awaiting | State::Held | State::Blocked | State::Stuck => Some(Self::Parked),
            State::Requested
            | State::Provisioning
            | State::Compensating
            | State::Updating
            | State::Offboarding
            | State::Grace
            | State::Purging => None,
        }
    }
}
