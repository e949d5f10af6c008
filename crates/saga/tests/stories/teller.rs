//! A tenant whose story is told: what is said about rows by name, what follows in words.

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::command::Question;
use tenantry_contracts::operation::{Actor, OperationVerb, Stopped};
use tenantry_contracts::request::{Kind, Request};
use tenantry_contracts::result::Said;
use tenantry_contracts::{Code, RowName, State, Time, Verb};
use tenantry_saga::{Born, Change, Heard, Plan, Registry, RowState, Rules, Tenant};

use crate::common;

pub(crate) struct Story {
    pub(crate) plans: Registry,
    pub(crate) tenant: Tenant,
    pub(crate) now: Time,
    n: i64,
    /// Everything told so far.
    pub(crate) told: Vec<Change>,
}

impl Story {
    pub(crate) fn of(plan: &'static Plan) -> Self {
        Self::with(&[plan], common::request(Kind::Provision))
    }

    pub(crate) fn with(plans: &[&'static Plan], request: Request) -> Self {
        let rules = Rules { packs: vec!["summit".to_owned()], ..Rules::default() };
        Self::under(rules, plans, common::born(0, request))
    }

    pub(crate) fn under(rules: Rules, plans: &[&'static Plan], born: Born) -> Self {
        assert!(plans.iter().all(|plan| plan.is_sound()));
        let plans = Registry::new(plans.to_vec(), rules);
        let (mut n, now) = (40, Time(1_000_000));
        let (tenant, told) = common::accept(&plans, &mut n, now, born);
        let told = told.into_iter().map(|(_, change)| change).collect();
        Self { plans, tenant, now, n, told }
    }

    /// The rows that are asked, with the verb: `a`, `-a` for an undo, `?a` for a look.
    pub(crate) fn asks(&self) -> Vec<String> {
        let questions = common::questions(&self.tenant, &self.plans);
        let word = |question: &Question| match question.verb {
            Verb::Compensate => format!("-{}", question.row),
            Verb::Observe => format!("?{}", question.row),
            _ => question.row.to_string(),
        };
        questions.iter().map(|asked| word(&asked.command.question)).collect()
    }

    #[track_caller]
    pub(crate) fn question(&self, row: &str) -> Question {
        common::question(&self.tenant, &self.plans, row)
            .unwrap_or_else(|| panic!("{row} is not asked, but {:?}", self.asks()))
    }

    /// The worker answers the open question about a row.
    #[track_caller]
    pub(crate) fn answer(&mut self, row: &str, said: &Said) -> Vec<AuditKind> {
        let question = self.question(row);
        self.late(&question, said)
    }

    /// An answer to any question.
    pub(crate) fn late(&mut self, question: &Question, said: &Said) -> Vec<AuditKind> {
        self.hear(Heard::Answer(question, said)).unwrap()
    }

    #[track_caller]
    pub(crate) fn yes(&mut self, rows: &[&str]) {
        for row in rows {
            self.answer(row, &common::yes());
        }
    }

    /// Time goes on to the next thing that is due.
    pub(crate) fn wait(&mut self) -> Vec<AuditKind> {
        self.now = self.tenant.next_due(0).expect("nothing is due");
        self.hear(Heard::Due(&Stopped::default())).unwrap()
    }

    /// A person acts; the code of the refusal where it is not allowed.
    pub(crate) fn person(&mut self, verb: OperationVerb) -> Result<Vec<AuditKind>, Code> {
        self.hear(Heard::Operation(&common::operation(verb))).map_err(|refusal| refusal.code)
    }

    /// A person of this name decides, having seen what has this digest.
    pub(crate) fn decides(
        &mut self,
        name: &str,
        seen: Option<String>,
        verb: OperationVerb,
    ) -> Result<Vec<AuditKind>, Code> {
        let mut operation = common::operation(verb);
        name.clone_into(&mut operation.actor.name);
        operation.seen = seen;
        self.hear(Heard::Operation(&operation)).map_err(|refusal| refusal.code)
    }

    /// Two people act.
    pub(crate) fn both(&mut self, verb: OperationVerb) -> Result<Vec<AuditKind>, Code> {
        let mut operation = common::operation(verb);
        operation.second = Some(Actor::unverified("grace"));
        self.hear(Heard::Operation(&operation)).map_err(|refusal| refusal.code)
    }

    /// The worker of this row says what it says when all is well with the product's own plan.
    #[track_caller]
    pub(crate) fn made(&mut self, rows: &[&str]) {
        for row in rows {
            self.answer(row, &Said::Succeeded(common::provision::output(row)));
        }
    }

    pub(crate) fn approve(&mut self, row: &'static str) -> Result<Vec<AuditKind>, Code> {
        self.person(OperationVerb::Approve(RowName::new(row)))
    }

    pub(crate) fn reject(&mut self, row: &'static str) -> Result<Vec<AuditKind>, Code> {
        self.person(OperationVerb::Reject(RowName::new(row)))
    }

    pub(crate) fn hear(&mut self, heard: Heard<'_>) -> Result<Vec<AuditKind>, tenantry_contracts::Refusal> {
        let told = common::hear(&mut self.tenant, &self.plans, &mut self.n, self.now, heard)?;
        Ok(self.tell(told))
    }

    pub(crate) fn request(&mut self, kind: Kind) -> Result<Vec<AuditKind>, Code> {
        let request = common::request(kind);
        let told = common::ask(&mut self.tenant, &self.plans, &mut self.n, self.now, request);
        told.map(|told| self.tell(told)).map_err(|refusal| refusal.code)
    }

    fn tell(&mut self, told: common::Told) -> Vec<AuditKind> {
        let kinds = told.iter().map(|(_, change)| change.what).collect();
        self.told.extend(told.into_iter().map(|(_, change)| change));
        kinds
    }

    #[track_caller]
    pub(crate) fn is(&self, state: State) {
        assert_eq!(self.tenant.state, state, "asks {:?}", self.asks());
    }

    /// The place of a row in the running saga, by its name.
    #[track_caller]
    pub(crate) fn row(&self, name: &str) -> &RowState {
        let saga = self.tenant.saga.as_ref().expect("no saga runs");
        let plan = self.plans.find(saga.kind, saga.version).unwrap();
        let run = saga.rows.iter().find(|run| Some(run.row) == plan.index_of(name));
        &run.expect("the row was not chosen").state
    }

    /// The code of the failure that the last change carries.
    pub(crate) fn reason(&self) -> Option<Code> {
        self.told.last()?.failure.as_ref().map(|failure| failure.code)
    }
}
