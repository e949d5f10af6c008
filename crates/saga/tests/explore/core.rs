//! One step of the real core, with its checks. Nothing here decides: it hands in what is heard and reads what is asked.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use tenantry_contracts::command::Question;
use tenantry_contracts::operation::{Actor, OperationVerb, Scope, Stopped};
use tenantry_contracts::result::Said;
use tenantry_contracts::{Class, RowName, SagaId, Time, Token, Verb};
use tenantry_saga::{Heard, Plan, Registry, RowState, Tenant};

use crate::common;
use crate::search::print;

/// The model's only point in time. Which of the open times is due is chosen freely, and states forget when things
/// happened: every order of answers and clocks is explored.
const NOW: Time = Time(1_000_000_000);

/// A command as the model's bus and workers need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Command {
    /// Whose, by order of birth.
    pub(crate) tenant: u8,
    /// The row in the plan; its resource has the same number and is named by the slug, so that tenants share it.
    pub(crate) row: u8,
    pub(crate) undo: bool,
    pub(crate) token: i64,
    pub(crate) supersedes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Word {
    Yes,
    No,
    Letter,
}

/// What a coordinator takes in about one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Input {
    Answer(Command, Word),
    /// This place among the chosen rows is due, and nothing else.
    Due(u8),
    /// Everything that can be due is.
    AllDue,
    Cancel,
    Retry,
    Decide(u8, bool),
    /// By the row in the plan.
    Rerun(u8),
    Pause,
    Resume,
    Hold,
    Release,
}

/// A tenant, and the hash of everything in it.
#[derive(Debug)]
pub(crate) struct Seen {
    tenant: Tenant,
    print: u128,
}

impl Seen {
    pub(crate) fn new(tenant: Tenant) -> Rc<Self> {
        Rc::new(Self { print: print(&tenant), tenant })
    }
}

impl std::ops::Deref for Seen {
    type Target = Tenant;

    fn deref(&self) -> &Tenant {
        &self.tenant
    }
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print
    }
}

impl Eq for Seen {}

impl Hash for Seen {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.print.hash(state);
    }
}

/// What the core made of an input: nothing, or another tenant and the last journal number.
type Outcome = Option<(Rc<Seen>, i64)>;

/// What a tenant asks.
type Commands = Rc<[Command]>;

/// What is the same in every state of an exploration.
pub(crate) struct Core {
    pub(crate) plan: &'static Plan,
    plans: Registry,
    /// The class of a step's *no*.
    class: Class,
    /// The first saga of each tenant.
    sagas: [SagaId; 4],
    /// What the core said before. It is a function of tenant, number and input, so nobody needs to ask it twice.
    heard: RefCell<HashMap<(u128, i64, Input), Outcome>>,
    asked: RefCell<HashMap<(u128, i64), Commands>>,
    expected: RefCell<HashMap<(u128, Command), bool>>,
}

impl Core {
    pub(crate) fn new(plan: &'static Plan, class: Class) -> Self {
        assert!(plan.is_sound());
        let first = |at: usize| SagaId::of(common::born(at as u8, common::request(plan.kind)).tenant, 1);
        Self {
            plan,
            plans: Registry::new([plan], tenantry_saga::Rules::default()),
            class,
            sagas: std::array::from_fn(first),
            heard: RefCell::default(),
            asked: RefCell::default(),
            expected: RefCell::default(),
        }
    }

    pub(crate) fn accept(&self, at: u8, n: &mut i64) -> Rc<Seen> {
        let request = common::request(self.plan.kind);
        Seen::new(forget(common::accept(&self.plans, n, NOW, common::born(at, request)).0))
    }

    /// Hears. `None` where nothing came of it.
    pub(crate) fn hear(&self, tenant: &Seen, n: &mut i64, input: Input) -> Option<Rc<Seen>> {
        let key = (tenant.print, *n, input);
        if let Some(known) = self.heard.borrow().get(&key) {
            let (after, last) = known.as_ref()?;
            *n = *last;
            return Some(after.clone());
        }
        let after = self.hear_first(tenant, n, input).map(Seen::new);
        self.heard.borrow_mut().insert(key, after.clone().map(|after| (after, *n)));
        after
    }

    fn hear_first(&self, tenant: &Tenant, n: &mut i64, input: Input) -> Option<Tenant> {
        let mut after = tenant.clone();
        let told = match input {
            Input::Answer(command, word) => {
                let (question, said) = (self.question(tenant, command), self.said(command.undo, word));
                self.heard(&mut after, n, Heard::Answer(&question, &said))
            }
            Input::Due(row) => {
                set_clocks(&mut after, |at| at == usize::from(row));
                self.heard(&mut after, n, Heard::Due(&Stopped::default()))
            }
            Input::AllDue => {
                set_clocks(&mut after, |_| true);
                self.heard(&mut after, n, Heard::Due(&Stopped::default()))
            }
            Input::Cancel => self.operated(&mut after, n, OperationVerb::Cancel),
            Input::Retry => self.operated(&mut after, n, OperationVerb::Retry),
            Input::Rerun(row) => {
                let name = RowName::new(self.plan.rows[usize::from(row)].name);
                self.operated(&mut after, n, OperationVerb::Rerun(name))
            }
            Input::Pause => self.operated(&mut after, n, OperationVerb::Pause(Scope::Tenant)),
            Input::Resume => self.operated(&mut after, n, OperationVerb::Resume(Scope::Tenant)),
            Input::Hold => self.operated(&mut after, n, OperationVerb::Hold),
            Input::Release => self.operated(&mut after, n, OperationVerb::Release),
            Input::Decide(row, yes) => {
                let name = RowName::new(self.plan.rows[usize::from(row)].name);
                let verb = if yes { OperationVerb::Approve(name) } else { OperationVerb::Reject(name) };
                self.operated(&mut after, n, verb)
            }
        };
        (told > 0).then(|| forget(after))
    }

    fn heard(&self, tenant: &mut Tenant, n: &mut i64, heard: Heard<'_>) -> usize {
        common::hear(tenant, &self.plans, n, NOW, heard).map_or(0, |told| told.len())
    }

    fn operated(&self, tenant: &mut Tenant, n: &mut i64, verb: OperationVerb) -> usize {
        let mut operation = common::operation(verb);
        operation.second = Some(Actor::unverified("grace"));
        self.heard(tenant, n, Heard::Operation(&operation))
    }

    /// Every open question as a command. Answers that say *not yet* or *expired* change nothing, and the question can
    /// be asked again word for word.
    pub(crate) fn commands(&self, at: u8, tenant: &Seen, n: i64) -> Commands {
        let key = (tenant.print, n);
        if let Some(known) = self.asked.borrow().get(&key) {
            return known.clone();
        }
        let commands: Commands = self.commands_first(at, tenant, n).into();
        self.asked.borrow_mut().insert(key, commands.clone());
        commands
    }

    fn commands_first(&self, at: u8, tenant: &Tenant, n: i64) -> Vec<Command> {
        let asked = common::questions(tenant, &self.plans);
        let command = |asked: &tenantry_saga::Asked| {
            let question = &asked.command.question;
            assert_eq!(question.tenant, tenant.id);
            for said in [Said::NotYet(5), Said::Expired] {
                let mut same = tenant.clone();
                let told = self.heard(&mut same, &mut n.clone(), Heard::Answer(question, &said));
                assert_eq!(told, 0, "{said:?} changed the tenant");
            }
            let again = tenant.question_of(&self.plans, &common::fleet(), question, 0);
            assert_eq!(again.as_ref(), Some(asked));
            Command {
                tenant: at,
                row: self.plan.index_of(question.row.as_str()).unwrap() as u8,
                undo: question.verb == Verb::Compensate,
                token: question.token.0,
                supersedes: asked.command.body.supersedes,
            }
        };
        asked.iter().map(command).collect()
    }

    /// Whether the question of this command is open. Where it is not, any answer is checked to change nothing.
    pub(crate) fn expects(&self, tenant: &Seen, command: Command) -> bool {
        *self.expected.borrow_mut().entry((tenant.print, command)).or_insert_with(|| {
            let open = tenant.expects(&self.plans, &self.question(tenant, command));
            for word in [Word::Yes, Word::No, Word::Letter] {
                assert!(open || self.hear_first(tenant, &mut 0, Input::Answer(command, word)).is_none());
            }
            open
        })
    }

    fn question(&self, tenant: &Tenant, command: Command) -> Question {
        Question {
            tenant: tenant.id,
            saga: self.sagas[usize::from(command.tenant)],
            row: RowName::new(self.plan.rows[usize::from(command.row)].name),
            verb: if command.undo { Verb::Compensate } else { Verb::Execute },
            token: Token(command.token),
        }
    }

    fn said(&self, undo: bool, word: Word) -> Said {
        match word {
            Word::Yes if undo => Said::Succeeded(tenantry_contracts::Json::of(&()).unwrap()),
            Word::Yes => common::yes(),
            Word::No => common::no(self.class),
            Word::Letter => common::lettered(),
        }
    }
}

/// Sets the clocks of the rows so that these are due now, and no other.
fn set_clocks(tenant: &mut Tenant, due: impl Fn(usize) -> bool) {
    let Some(saga) = &mut tenant.saga else { return };
    for (place, run) in saga.rows.iter_mut().enumerate() {
        let later = if due(place) { 0 } else { 1 };
        match &mut run.state {
            RowState::Asked { at, limit_ms, .. } => *at = NOW.plus(later - *limit_ms),
            RowState::Later { due, .. } => *due = NOW.plus(later),
            RowState::Open { until, .. } => *until = NOW.plus(later),
            _ => {}
        }
    }
}

/// Forgets what no transition depends on: when things happened, how often, and in which words they failed.
fn forget(mut tenant: Tenant) -> Tenant {
    tenant.version = 0;
    tenant.last = None;
    (tenant.created, tenant.since) = (NOW, NOW);
    if let Some(saga) = &mut tenant.saga {
        saga.began = NOW;
        saga.cause = None;
        for run in &mut saga.rows {
            run.failure = None;
        }
    }
    set_clocks(&mut tenant, |_| false);
    if let Some(saga) = &mut tenant.saga {
        for run in &mut saga.rows {
            if let RowState::Open { since, .. } = &mut run.state {
                *since = NOW;
            }
        }
    }
    tenant
}
