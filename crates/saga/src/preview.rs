//! A saga that is only thought through: the rows that would be chosen, and what each would be asked for, as far as the
//! outputs of earlier rows can be told. For the dry run: nothing is decided here that [`Tenant::accept`] does not decide.

use tenantry_contracts::audit::PlanRef;
use tenantry_contracts::result::Failure;
use tenantry_contracts::{Json, Refusal, Time};

use crate::{Born, Moment, Pinned, Plan, Registry, Row, RowState, Saga, Tenant, View, What};

/// A saga that has not begun.
#[derive(Clone, Debug)]
pub struct Preview {
    plan: &'static Plan,
    reference: PlanRef,
    saga: Saga,
}

impl Preview {
    /// The saga that this request would begin at this time.
    ///
    /// # Errors
    /// As [`Tenant::accept`].
    pub fn of(plans: &Registry, now: Time, born: Born) -> Result<Self, Refusal> {
        let moment = Moment { now, paused_ms: 0, n: &mut 0 };
        let kind = born.request.kind;
        let (tenant, _) = Tenant::accept(plans, moment, born)?;
        let unsupported = || {
            let message = format!("this fleet has no plan of kind {}", kind.as_str());
            Refusal::new(tenantry_contracts::Code::KindUnsupported, message)
        };
        let saga = tenant.saga.or(tenant.last.map(|last| *last)).ok_or_else(unsupported)?;
        let plan = plans.find(saga.kind, saga.version).ok_or_else(unsupported)?;
        Ok(Self { plan, reference: plans.reference(plan), saga })
    }

    /// The plan by name and digest.
    pub fn plan(&self) -> &PlanRef {
        &self.reference
    }

    /// The template that would be pinned.
    pub fn template(&self) -> Option<&Pinned> {
        self.saga.template.as_ref()
    }

    /// The failure preset that would apply.
    pub fn preset(&self) -> Option<&str> {
        self.saga.preset.as_deref()
    }

    /// The rows that would be chosen, in the order of the plan.
    pub fn rows(&self) -> Vec<&'static Row> {
        self.saga.rows.iter().map(|run| &self.plan.rows[usize::from(run.row)]).collect()
    }

    /// What a step would be asked for; `None` for rows that are no step.
    ///
    /// # Errors
    /// Where it is made from what only doing an earlier row can tell.
    pub fn input(&self, row: &Row) -> Option<Result<Json, Failure>> {
        match row.what {
            What::Step { input, .. } => Some(input(&View { plan: self.plan, saga: &self.saga })),
            What::Gate { .. } | What::Wait { .. } | What::Pivot => None,
        }
    }

    /// Supposes that a row answered this.
    pub fn suppose(&mut self, row: &Row, output: Json) {
        let at = self.plan.index_of(row.name);
        if let Some(run) = self.saga.rows.iter_mut().find(|run| Some(run.row) == at) {
            run.output = Some(output);
            run.state = RowState::Done;
        }
    }
}
