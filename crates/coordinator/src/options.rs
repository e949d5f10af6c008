//! What a coordinator is told when it starts.

use tenantry_contracts::{Fleet, MasterKey};
use tenantry_saga::Registry;

use crate::people::Operators;
use crate::restored::Standing;
use crate::tell::Voice;

/// What a coordinator is told when it starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// The installation.
    pub fleet: Fleet,
    /// How many lanes there are: the partitions of the keyed topics, fixed for life.
    pub lanes: u16,
    /// A static member id that is stable across restarts.
    pub member: Option<String>,
    /// The plans.
    pub plans: Registry,
    /// The plan of requests that name none.
    pub default_plan: String,
    /// What wraps the tenants' keys.
    pub master: MasterKey,
    /// Whose verbs are taken up.
    pub operators: Operators,
    /// How many tenants a lane lets people turn back in an hour, unless a second person answers for more.
    pub undo_limit: usize,
    /// The most records in one batch.
    pub batch: usize,
    /// Where it is said which lanes stand still.
    pub standing: Standing,
}

impl Options {
    /// The usual ones.
    pub fn new(fleet: Fleet, lanes: u16, plans: Registry, master: MasterKey) -> Self {
        Self {
            fleet,
            lanes,
            member: None,
            plans,
            default_plan: "starter".to_owned(),
            master,
            operators: Operators::default(),
            undo_limit: 20,
            batch: 1000,
            standing: Standing::default(),
        }
    }

    /// The consumer group's whole id; carries the fleet.
    pub(crate) fn group(&self) -> String {
        format!("{}.coordinator", self.fleet)
    }

    /// Who tells what this coordinator does.
    pub(crate) fn voice(&self) -> Voice<'_> {
        Voice { fleet: &self.fleet, plans: &self.plans }
    }
}
