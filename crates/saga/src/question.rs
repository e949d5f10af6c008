//! What is to be asked of workers: a function of the tenant's state.

use tenantry_contracts::command::{Body, Command, Question};
use tenantry_contracts::operation::Stopped;
use tenantry_contracts::{Fleet, RowName, Time, Token, Verb, WorkerName};

use crate::{Plan, Registry, RowState, Run, Saga, Tenant, View, What};

/// An open question and whom it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The worker.
    pub worker: WorkerName,
    /// The command, the same each time it is said.
    pub command: Command,
}

impl Tenant {
    /// The open questions with a token above `above`. `paused_ms`: the lane's pauses in all, by which deadlines move.
    pub fn questions(&self, plans: &Registry, fleet: &Fleet, above: Token, paused_ms: i64) -> Vec<Asked> {
        let Some(saga) = &self.saga else { return Vec::new() };
        let Some(plan) = plans.find(saga.kind, saga.version) else { return Vec::new() };
        (0..saga.rows.len())
            .filter(|at| matches!(saga.rows[*at].state, RowState::Asked { token, .. } if token > above))
            .filter_map(|at| self.question(plan, saga, at, fleet, paused_ms))
            .collect()
    }

    /// The open question with this token about this row, for asking again after *not yet* or *expired*.
    pub fn question_of(
        &self,
        plans: &Registry,
        fleet: &Fleet,
        question: &Question,
        paused_ms: i64,
    ) -> Option<Asked> {
        let saga = self.saga.as_ref()?;
        let plan = plans.find(saga.kind, saga.version)?;
        let at = self.open_run(plan, question)?;
        self.question(plan, saga, usize::from(at), fleet, paused_ms)
    }

    /// The place of the row whose open question this is. `None`: the question is not open (any more).
    pub(crate) fn open_run(&self, plan: &Plan, question: &Question) -> Option<u16> {
        let saga =
            self.saga.as_ref().filter(|saga| saga.id == question.saga && self.id == question.tenant)?;
        let row = plan.index_of(question.row.as_str())?;
        let at = saga.rows.iter().position(|run| run.row == row)?;
        let open = matches!(saga.rows[at].state, RowState::Asked { verb, token, .. }
            if verb == question.verb && token == question.token);
        open.then_some(at as u16)
    }

    fn question(
        &self,
        plan: &'static Plan,
        saga: &Saga,
        at: usize,
        fleet: &Fleet,
        paused_ms: i64,
    ) -> Option<Asked> {
        let run = &saga.rows[at];
        let row = &plan.rows[usize::from(run.row)];
        let What::Step { worker, step, input, .. } = &row.what else { return None };
        let RowState::Asked { verb, token, supersedes, .. } = run.state else { return None };
        // The input was made when the question was decided; after a take-over it is made again, from the same values.
        let made_input = match &run.input.0 {
            Some(made) => made.clone(),
            None => input(&View { plan, saga }).ok()?,
        };
        let question = Question { tenant: self.id, saga: saga.id, row: RowName::new(row.name), verb, token };
        let body = Body {
            fleet: fleet.clone(),
            cell: 0,
            step: step.clone(),
            slug: self.request.slug.clone(),
            environment: self.request.environment.clone(),
            region: self.request.region.clone(),
            supersedes,
            input: made_input,
            made: if verb == Verb::Compensate { run.output.clone() } else { None },
        };
        let deadline = run.due(paused_ms)?;
        Some(Asked {
            worker: worker.clone(),
            command: Command { question, deadline, traceparent: self.traceparent.clone(), body },
        })
    }

    /// The next point in time at which something is due, where there is one.
    pub fn next_due(&self, paused_ms: i64) -> Option<Time> {
        self.saga.as_ref()?.rows.iter().filter_map(|run| self.due_of(run, paused_ms)).min()
    }

    /// The same while nothing is asked of these workers: what they were asked waits for them.
    pub fn next_due_while(&self, plans: &Registry, stopped: &Stopped, paused_ms: i64) -> Option<Time> {
        let saga = self.saga.as_ref()?;
        let plan = plans.find(saga.kind, saga.version);
        let waits = |run: &&Run| plan.is_some_and(|plan| waits(plan, stopped, run));
        saga.rows.iter().filter(|run| !waits(run)).filter_map(|run| self.due_of(run, paused_ms)).min()
    }

    /// When a row is due. What was to be asked again waits for as long as the tenant is paused, and an undo under a hold.
    pub(crate) fn due_of(&self, run: &Run, paused_ms: i64) -> Option<Time> {
        let braked = match run.state {
            RowState::Later { verb: Verb::Compensate, .. } => self.undo_braked(),
            RowState::Later { .. } => self.flags.paused,
            _ => false,
        };
        if braked { None } else { run.due(paused_ms) }
    }
}

/// A question to a worker that nothing is asked of now.
pub(crate) fn waits(plan: &Plan, stopped: &Stopped, run: &Run) -> bool {
    let What::Step { worker, .. } = &plan.rows[usize::from(run.row)].what else { return false };
    matches!(run.state, RowState::Asked { .. }) && stopped.stops(worker)
}

impl Run {
    /// When the row is due: a question's deadline moves by the pauses since it was asked; gates and waits do not move.
    pub fn due(&self, paused_ms: i64) -> Option<Time> {
        match self.state {
            RowState::Asked { at, limit_ms, paused_ms: then, .. } => {
                Some(at.plus(limit_ms).plus(paused_ms - then))
            }
            RowState::Later { due, .. } => Some(due),
            RowState::Open { until, escalate, .. } => Some(escalate.map_or(until, |early| early.min(until))),
            _ => None,
        }
    }
}
