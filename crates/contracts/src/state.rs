//! The states of a tenant, and the words that the seeds use for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a tenant is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Heard and accepted; nothing has begun.
    Requested,
    /// A final *no* before anything was made. Final.
    Rejected,
    /// Being made.
    Provisioning,
    /// A person must decide: `approve`, `reject`.
    Awaiting,
    /// A final failure under a hold policy: `retry`, `rerun`, `skip`, `cancel`.
    Held,
    /// A reviewer said no: `resolve`, `offboard`.
    Blocked,
    /// Being undone.
    Compensating,
    /// Undone; nothing of it exists. Final.
    RolledBack,
    /// An undo failed for good: `retry`, `mark-done` with proof.
    Stuck,
    /// In service.
    Active,
    /// In service, with a change under way.
    Updating,
    /// Out of service, everything kept.
    Suspended,
    /// Being taken out of service for ever.
    Offboarding,
    /// Waiting out the grace period before the purge.
    Grace,
    /// Being destroyed.
    Purging,
    /// Destroyed and proved absent. Final.
    Purged,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 16] = [
        Self::Requested,
        Self::Rejected,
        Self::Provisioning,
        Self::Awaiting,
        Self::Held,
        Self::Blocked,
        Self::Compensating,
        Self::RolledBack,
        Self::Stuck,
        Self::Active,
        Self::Updating,
        Self::Suspended,
        Self::Offboarding,
        Self::Grace,
        Self::Purging,
        Self::Purged,
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "REQUESTED",
            Self::Rejected => "REJECTED",
            Self::Provisioning => "PROVISIONING",
            Self::Awaiting => "AWAITING",
            Self::Held => "HELD",
            Self::Blocked => "BLOCKED",
            Self::Compensating => "COMPENSATING",
            Self::RolledBack => "ROLLED_BACK",
            Self::Stuck => "STUCK",
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
            Self::Suspended => "SUSPENDED",
            Self::Offboarding => "OFFBOARDING",
            Self::Grace => "GRACE",
            Self::Purging => "PURGING",
            Self::Purged => "PURGED",
        }
    }

    /// Reads the word on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Nothing leads out of it, and the slug is free again.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Rejected | Self::RolledBack | Self::Purged)
    }

    /// A person must act, or nothing happens any more.
    pub const fn is_parked(self) -> bool {
        matches!(self, Self::Awaiting | Self::Held | Self::Blocked | Self::Stuck)
    }

    /// How the four seeds that name states call this one.
    pub const fn seeds(self) -> Projection {
        let (outcome, lifecycle, health) = match self {
            Self::Active | Self::Updating => ("success", "Active", "ready"),
            Self::Suspended => ("success", "Suspended", "degraded"),
            Self::Rejected | Self::RolledBack | Self::Stuck => ("failed", "Failed", "failed"),
            Self::Held | Self::Blocked => ("pending", "Failed", "degraded"),
            Self::Requested | Self::Provisioning | Self::Awaiting | Self::Compensating => {
                ("pending", "Provisioning", "degraded")
            }
            Self::Offboarding | Self::Grace | Self::Purging | Self::Purged => {
                ("success", "Terminated", "failed")
            }
        };
        let status = if matches!(self, Self::Requested | Self::Provisioning | Self::Awaiting) {
            "provisioning"
        } else {
            self.as_str()
        };
        Projection { outcome, status, lifecycle, health }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The seeds' words for a [`State`]: one total table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Projection {
    /// Seed 001: success, failed, pending.
    pub outcome: &'static str,
    /// Seed 003: `provisioning`, or our own word.
    pub status: &'static str,
    /// Seed 004: Active, Failed, Provisioning.
    pub lifecycle: &'static str,
    /// Seed 004: ready, degraded, failed.
    pub health: &'static str,
}

/// What stands beside the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Flags {
    /// A step whose failure only degrades has failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub degraded: bool,
    /// What is there differs from what should be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drifted: bool,
    /// Nothing may be destroyed: no undo begins, no key is given up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub legal_hold: bool,
    /// Nothing new begins; what runs is heard.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_one_word_of_each_seed() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
            let words = state.seeds();
            assert!(["success", "pending", "failed"].contains(&words.outcome), "{state}: {words:?}");
            assert!(["ready", "degraded", "failed"].contains(&words.health), "{state}: {words:?}");
            assert_eq!(words.health == "ready", words.lifecycle == "Active", "{state}: {words:?}");
        }
        let words = |state: State| (state.seeds().outcome, state.seeds().status, state.seeds().lifecycle);
        for state in [State::Requested, State::Provisioning, State::Awaiting] {
            assert_eq!(words(state), ("pending", "provisioning", "Provisioning"));
        }
        assert_eq!(words(State::Active), ("success", "ACTIVE", "Active"));
        assert_eq!(words(State::RolledBack), ("failed", "ROLLED_BACK", "Failed"));
        assert_eq!(words(State::Rejected), ("failed", "REJECTED", "Failed"));
        assert_eq!(words(State::Held), ("pending", "HELD", "Failed"), "it can be retried");
    }
}
