//! Hearing: what an answer, a person's verb, a request or a due time does to a tenant.

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::command::Question;
use tenantry_contracts::operation::{Operation, Stopped};
use tenantry_contracts::request::Kind;
use tenantry_contracts::result::{Failure, Said};
use tenantry_contracts::{Class, Code, Json, Refusal, SagaId, State, Time, Verb};

use crate::question::waits;
use crate::{Begun, Born, Change, Pinned, Plan, Queued, Registry, Row, RowState, Run, Set, Tenant};

/// When something is heard, and the lane's counters.
#[derive(Debug)]
pub struct Moment<'a> {
    /// Now, by the fleet's clock.
    pub now: Time,
    /// The lane's pauses in all, in milliseconds.
    pub paused_ms: i64,
    /// The last journal number of the lane; each change takes the next one.
    pub n: &'a mut i64,
}

/// What is heard about a tenant.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// A worker's answer.
    Answer(&'a Question, &'a Said),
    /// A person's verb.
    Operation(&'a Operation),
    /// Time has passed. What these workers were asked waits for them.
    Due(&'a Stopped),
    /// Workers are asked again that nothing was asked of: what stood open is asked afresh.
    GoOn(&'a Stopped),
}

/// A tenant while it hears something: every change is applied as soon as it is told.
pub(crate) struct Story<'a> {
    pub(crate) tenant: &'a mut Tenant,
    pub(crate) plans: &'a Registry,
    pub(crate) now: Time,
    paused_ms: i64,
    n: &'a mut i64,
    told: Vec<(i64, Change)>,
}

impl Tenant {
    /// A tenant from an accepted request: its first changes, with their journal numbers.
    ///
    /// # Errors
    /// `kind_unsupported` where there is no plan for it.
    pub fn accept(
        plans: &Registry,
        moment: Moment<'_>,
        born: Born,
    ) -> Result<(Self, Vec<(i64, Change)>), Refusal> {
        let kind = born.request.kind;
        plans.newest(kind).ok_or_else(|| unsupported(kind))?;
        *moment.n += 1;
        let first = Change { born: Some(Box::new(born)), ..Change::new(AuditKind::Requested) };
        let Some(mut tenant) = Self::begin(*moment.n, moment.now, moment.paused_ms, &first) else {
            return Err(Refusal::new(Code::Bug, "a first change without a beginning"));
        };
        let told = vec![(*moment.n, first)];
        let mut story = Story::new(&mut tenant, plans, moment, told);
        story.start(kind);
        let told = story.told;
        Ok((tenant, told))
    }

    /// A further request for a living tenant: it begins, or waits behind the running saga.
    ///
    /// # Errors
    /// `kind_unsupported`, or `verb_not_allowed` where the state does not allow it.
    pub fn ask(
        &mut self,
        plans: &Registry,
        moment: Moment<'_>,
        asked: Queued,
    ) -> Result<Vec<(i64, Change)>, Refusal> {
        let kind = asked.request.kind;
        plans.newest(kind).ok_or_else(|| unsupported(kind))?;
        let resting = matches!(self.state, State::Active | State::Suspended);
        if kind == Kind::Provision || self.state.is_final() || (self.saga.is_none() && !resting) {
            let message =
                format!("a tenant that is {} takes no request of kind {}", self.state, kind.as_str());
            return Err(Refusal::new(Code::VerbNotAllowed, message));
        }
        let mut story = Story::new(self, plans, moment, Vec::new());
        story.tell(Change { queued: Some(Box::new(asked)), ..Change::new(AuditKind::Queued) });
        story.start_next();
        Ok(story.told)
    }

    /// What was heard, and what it changed: each change with its journal number, in order. Empty where the answer is
    /// stale or nothing is due.
    ///
    /// # Errors
    /// Where a person's verb does not apply; nothing changed then.
    pub fn hear(
        &mut self,
        plans: &Registry,
        moment: Moment<'_>,
        heard: Heard<'_>,
    ) -> Result<Vec<(i64, Change)>, Refusal> {
        let mut story = Story::new(self, plans, moment, Vec::new());
        match heard {
            Heard::Answer(question, said) => story.answer(question, said),
            Heard::Operation(operation) => story.operate(operation)?,
            Heard::Due(stopped) => story.due(stopped),
            Heard::GoOn(stopped) => story.ask_afresh(stopped),
        }
        Ok(story.told)
    }

    /// Whether this question is open: its answer will be heard, anything else about it is stale.
    pub fn expects(&self, plans: &Registry, question: &Question) -> bool {
        let plan = self.saga.as_ref().and_then(|saga| plans.find(saga.kind, saga.version));
        plan.is_some_and(|plan| self.open_run(plan, question).is_some())
    }
}

impl<'a> Story<'a> {
    fn new(
        tenant: &'a mut Tenant,
        plans: &'a Registry,
        moment: Moment<'a>,
        told: Vec<(i64, Change)>,
    ) -> Self {
        Self { tenant, plans, now: moment.now, paused_ms: moment.paused_ms, n: moment.n, told }
    }

    /// Applies a change and takes the next journal number for it.
    pub(crate) fn tell(&mut self, change: Change) {
        *self.n += 1;
        self.tenant.apply(*self.n, self.now, self.paused_ms, &change);
        self.told.push((*self.n, change));
    }

    /// Applies a change that asks questions, and keeps their inputs at hand.
    pub(crate) fn tell_asking(&mut self, change: Change, inputs: Vec<(u16, Json)>) {
        self.tell(change);
        let of = self.tenant.saga.as_ref().map(|saga| saga.id);
        self.keep(of, inputs);
    }

    /// Keeps the inputs of a saga's questions at hand, where it still runs.
    pub(crate) fn keep(&mut self, of: Option<SagaId>, inputs: Vec<(u16, Json)>) {
        let Some(saga) = self.tenant.saga.as_mut().filter(|saga| Some(saga.id) == of) else { return };
        for (run, input) in inputs {
            if let run @ Run { state: RowState::Asked { .. }, .. } = &mut saga.rows[usize::from(run)] {
                run.input.0 = Some(input);
            }
        }
    }

    /// The plan of the running saga.
    pub(crate) fn plan(&self) -> Option<&'static Plan> {
        self.tenant.saga.as_ref().and_then(|saga| self.plans.find(saga.kind, saga.version))
    }

    /// Begins a saga of this kind: chooses its rows and pins them.
    fn start(&mut self, kind: Kind) {
        let Some(plan) = self.plans.newest(kind) else { return };
        let request = self.tenant.queue.front().map_or(&self.tenant.request, |queued| &queued.request);
        let request = if self.tenant.sagas == 0 { &self.tenant.request } else { request };
        let rules = self.plans.rules();
        let template = rules.catalogue.newest(&request.plan);
        let preset = rules.preset(template);
        let end = |row: &Row| preset.map_or_else(|| row.end.clone(), |preset| preset.end(row));
        let chosen = plan.rows.iter().enumerate().filter(|(_, row)| row.when.holds(request, template, rules));
        let begun = Begun {
            kind,
            version: plan.version,
            plan: self.plans.reference(plan),
            template: template.map(|template| Pinned {
                name: template.id.clone(),
                version: template.version.clone(),
                digest: template.digest.clone(),
            }),
            preset: preset.map(|preset| preset.name.clone()),
            rows: chosen.map(|(at, row)| (at as u16, end(row))).collect(),
        };
        let change = Change { begun: Some(Box::new(begun)), ..Change::new(AuditKind::Started) };
        self.forward(change.to(self.tenant.state, running(kind)));
    }

    /// Begins what waits, where nothing runs.
    pub(crate) fn start_next(&mut self) {
        if self.tenant.saga.is_none()
            && !self.tenant.flags.paused
            && !self.tenant.state.is_final()
            && let Some(kind) = self.tenant.queue.front().map(|queued| queued.request.kind)
        {
            self.start(kind);
        }
    }

    fn answer(&mut self, question: &Question, said: &Said) {
        let Some(plan) = self.plan() else { return };
        let Some(run) = self.tenant.open_run(plan, question) else { return };
        match (question.verb, said) {
            (_, Said::NotYet(_) | Said::Expired) => {}
            (Verb::Observe, Said::Succeeded(seen)) => self.proved(run, seen),
            (Verb::Observe, Said::Failed(failure)) => self.not_proved(run, &failure.to_string()),
            (Verb::Observe, Said::DeadLettered(letter)) => {
                self.not_proved(run, &lettered(letter).to_string());
            }
            (Verb::Execute, Said::Succeeded(output)) => self.succeeded(run, output),
            (Verb::Execute, Said::Failed(failure)) => self.failed(run, failure.clone(), false),
            (Verb::Execute, Said::DeadLettered(letter)) => self.failed(run, lettered(letter), true),
            (Verb::Compensate, Said::Succeeded(_)) => self.undone(run),
            (Verb::Compensate, Said::Failed(failure)) => self.undo_failed(run, failure.clone(), false),
            (Verb::Compensate, Said::DeadLettered(letter)) => self.undo_failed(run, lettered(letter), true),
        }
    }

    fn due(&mut self, stopped: &Stopped) {
        // One row after the other: what the first one leads to may move the next. Each round ends at least one due time.
        while let Some(run) = self.first_due(stopped) {
            let Some(saga) = &self.tenant.saga else { return };
            match saga.rows[usize::from(run)].state {
                RowState::Asked { verb: Verb::Compensate, .. } => self.undo_failed(run, silence(), false),
                RowState::Asked { verb: Verb::Observe, .. } => self.not_proved(run, &silence().to_string()),
                RowState::Asked { .. } => self.failed(run, silence(), false),
                RowState::Later { verb, attempt, .. } => self.ask_again(run, verb, attempt),
                RowState::Open { .. } => self.opening_ended(run),
                _ => return,
            }
        }
    }

    fn first_due(&self, stopped: &Stopped) -> Option<u16> {
        let saga = self.tenant.saga.as_ref()?;
        let plan = self.plan()?;
        let past = |run: &Run| self.tenant.due_of(run, self.paused_ms).is_some_and(|due| due <= self.now);
        let due = |run: &Run| past(run) && !waits(plan, stopped, run);
        saga.rows.iter().position(due).map(|at| at as u16)
    }

    /// The token of a row's open question and how long it has been open, for the audit.
    pub(crate) fn answered(&self, run: u16) -> Option<(tenantry_contracts::Token, i64)> {
        match self.tenant.saga.as_ref()?.rows[usize::from(run)].state {
            RowState::Asked { token, at, .. } => Some((token, self.now.since(at))),
            _ => None,
        }
    }
}

/// A question that asks a row again; not the first one for its resource.
pub(crate) fn again(verb: Verb, attempt: u8, limit_ms: i64) -> Set {
    Set::Ask { verb, attempt, limit_ms, supersedes: true }
}

/// Milliseconds until the next attempt: 1 s, doubled each time, a minute at most.
pub(crate) fn pause_after(attempt: u8) -> i64 {
    1000_i64.saturating_mul(1 << u32::from(attempt.saturating_sub(1).min(6))).min(60_000)
}

/// The state of a tenant while a saga of this kind runs.
pub(crate) fn running(kind: Kind) -> State {
    match kind {
        Kind::Provision | Kind::Activate => State::Provisioning,
        Kind::Suspend | Kind::Resume | Kind::Update | Kind::Reconcile => State::Updating,
        Kind::Offboard => State::Offboarding,
    }
}

fn unsupported(kind: Kind) -> Refusal {
    Refusal::new(Code::KindUnsupported, format!("this fleet has no plan of kind {}", kind.as_str()))
}

fn silence() -> Failure {
    let message = "no answer came before the question's deadline".to_owned();
    Failure { code: Code::NoAnswer, class: Class::UnknownOutcome, pointer: None, message }
}

fn lettered(letter: &tenantry_contracts::Origin) -> Failure {
    let message = format!("the worker could not handle the command; it lies in {letter}");
    Failure { code: Code::DeadLettered, class: Class::UnknownOutcome, pointer: None, message }
}
