//! The plans that a coordinator knows, and the rules of its fleet, as a value.

use tenantry_contracts::audit::PlanRef;
use tenantry_contracts::request::Kind;

use crate::{Plan, Rules};

/// Plans by kind and version, and the rules under which they run.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    plans: Vec<&'static Plan>,
    /// Of each plan, since printing and hashing one is not for every saga.
    references: Vec<PlanRef>,
    rules: Rules,
}

impl Registry {
    /// A registry of these plans and rules.
    pub fn new(plans: impl Into<Vec<&'static Plan>>, rules: Rules) -> Self {
        let plans = plans.into();
        let references = plans.iter().map(|plan| plan.reference()).collect();
        Self { plans, references, rules }
    }

    /// The newest plan of a kind, for sagas that begin now.
    pub fn newest(&self, kind: Kind) -> Option<&'static Plan> {
        self.plans.iter().copied().filter(|plan| plan.kind == kind).max_by_key(|plan| plan.version)
    }

    /// The plan that a saga began with.
    pub fn find(&self, kind: Kind, version: u16) -> Option<&'static Plan> {
        self.plans.iter().copied().find(|plan| plan.kind == kind && plan.version == version)
    }

    /// A plan of this registry by name and digest.
    pub(crate) fn reference(&self, plan: &'static Plan) -> PlanRef {
        let at = self.plans.iter().position(|have| std::ptr::eq(*have, plan));
        at.map_or_else(|| plan.reference(), |at| self.references[at].clone())
    }

    /// All plans.
    pub fn plans(&self) -> &[&'static Plan] {
        &self.plans
    }

    /// The rules of the fleet.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }
}
