//! The world around the core: a bus that never forgets, workers that crash and come back late, resources with or
//! without a fence, people, clocks, and one or two coordinators.

use std::rc::Rc;

use tenantry_contracts::State;
use tenantry_saga::{RowState, Tenant, What};

use crate::core::{Command, Core, Input, Seen, Word};
use crate::rules::Rules;

/// How many rows a plan can have here.
pub(crate) const ROWS: usize = 5;

/// What is left of what may happen only so often.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    timeouts: u8,
    errors: u8,
    undo_errors: u8,
    letters: u8,
    cancels: u8,
    retries: u8,
    reruns: u8,
    brakes: u8,
}

/// A handler at work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Handler {
    pub(crate) command: Command,
    /// What it will answer, once it has acted.
    pub(crate) acted: Option<Word>,
}

/// A coordinator between reading and writing.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Loaded {
    pub(crate) tenant: Rc<Seen>,
    pub(crate) n: i64,
    pub(crate) input: Input,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// The last journal number.
    pub(crate) n: i64,
    pub(crate) tenants: Vec<Rc<Seen>>,
    pub(crate) loaded: Vec<Loaded>,
    pub(crate) commands: Vec<Command>,
    pub(crate) answers: Vec<(Command, Word)>,
    pub(crate) handlers: Vec<Handler>,
    /// The worker's durable marks, by row.
    pub(crate) marks: [i64; ROWS],
    /// The fence that the resource itself keeps.
    pub(crate) fences: [i64; ROWS],
    /// Whose effect is live, and how many times.
    live: [Option<(u8, u8)>; ROWS],
    left: Left,
    forked: bool,
    /// Two tenants' effects met on one name.
    crossed: bool,
}

/// A step of the world, for the trace.
#[derive(Debug)]
#[expect(dead_code, reason = "what a move is about is only printed")]
pub(crate) enum Move {
    Hears(Input),
    Loads(Input),
    Commits(Input),
    LosesTheRace(Input),
    SlugIsTakenAgain,
    Takes(Command),
    DeadLetters(Command),
    Acts(Command),
    Refuses(Command),
    SaysNo(Command),
    SaysNoAndYetActs(Command),
    Answers(Command, Word),
    Crashes(Handler),
}

fn put<T: Ord>(set: &mut Vec<T>, what: T) {
    if let Err(at) = set.binary_search(&what) {
        set.insert(at, what);
    }
}

impl World {
    pub(crate) fn new(core: &Core, rules: &Rules) -> Self {
        assert!(core.plan.rows.len() <= ROWS);
        let mut n = 0;
        let tenant = core.accept(0, &mut n);
        let left = Left {
            timeouts: rules.timeouts,
            errors: rules.errors,
            undo_errors: rules.undo_errors,
            letters: rules.letters,
            cancels: rules.cancels,
            retries: rules.retries,
            reruns: rules.reruns,
            brakes: rules.brakes,
        };
        let mut world = Self {
            n,
            tenants: vec![tenant],
            loaded: Vec::new(),
            commands: Vec::new(),
            answers: Vec::new(),
            handlers: Vec::new(),
            marks: [0; ROWS],
            fences: [0; ROWS],
            live: [None; ROWS],
            left,
            forked: false,
            crossed: false,
        };
        world.speak(core, rules, 0);
        world.normalise(core, rules);
        world
    }

    /// The questions of a tenant go to the bus.
    fn speak(&mut self, core: &Core, rules: &Rules, at: usize) {
        let tenant = self.tenants[at].clone();
        for command in core.commands(at as u8, &tenant, self.n).iter().copied() {
            if !rules.undoes_failed && command.undo && !made(&tenant, command.row) {
                put(&mut self.answers, (command, Word::Yes));
            } else {
                put(&mut self.commands, command);
            }
        }
    }

    /// Every world that can come next.
    pub(crate) fn next(&self, core: &Core, rules: &Rules) -> Vec<(Move, Self)> {
        let mut next = Vec::new();
        self.coordinate(core, rules, &mut next);
        self.work(rules, &mut next);
        for (_, world) in &mut next {
            world.normalise(core, rules);
        }
        next
    }

    fn inputs(&self) -> Vec<(usize, Input)> {
        let mut inputs = Vec::new();
        for (command, word) in &self.answers {
            inputs.push((usize::from(command.tenant), Input::Answer(*command, *word)));
        }
        let at = self.tenants.len() - 1;
        let Some(saga) = &self.tenants[at].saga else { return inputs };
        let mut due = 0;
        for (place, run) in saga.rows.iter().enumerate() {
            match run.state {
                RowState::Asked { .. } if self.left.timeouts == 0 => {}
                RowState::Asked { .. } | RowState::Later { .. } => {
                    inputs.push((at, Input::Due(place as u8)));
                    due += 1;
                }
                RowState::Open { .. } => {
                    inputs.push((at, Input::Due(place as u8)));
                    inputs.push((at, Input::Decide(run.row as u8, true)));
                    inputs.push((at, Input::Decide(run.row as u8, false)));
                    due += 1;
                }
                _ => {}
            }
        }
        let asked = saga.rows.iter().filter(|run| matches!(run.state, RowState::Asked { .. })).count();
        if due > 1 && asked <= usize::from(self.left.timeouts) {
            inputs.push((at, Input::AllDue));
        }
        if self.left.cancels > 0 {
            inputs.push((at, Input::Cancel));
        }
        if self.left.retries > 0 {
            inputs.push((at, Input::Retry));
        }
        if self.left.reruns > 0 {
            inputs.extend(saga.rows.iter().map(|run| (at, Input::Rerun(run.row as u8))));
        }
        if self.left.brakes > 0 {
            inputs.extend([(at, Input::Pause), (at, Input::Hold)]);
        }
        let flags = self.tenants[at].flags;
        inputs.extend(flags.paused.then_some((at, Input::Resume)));
        inputs.extend(flags.legal_hold.then_some((at, Input::Release)));
        inputs
    }

    /// Takes from what is left for an input that did something.
    fn spend(&mut self, at: usize, input: Input) {
        let asked = |place: Option<u8>| {
            let rows = self.tenants[at].saga.iter().flat_map(|saga| saga.rows.iter().enumerate());
            rows.filter(|(have, _)| place.is_none_or(|place| usize::from(place) == *have))
                .filter(|(_, run)| matches!(run.state, RowState::Asked { .. }))
                .count() as u8
        };
        match input {
            Input::Due(place) => self.left.timeouts -= asked(Some(place)),
            Input::AllDue => self.left.timeouts -= asked(None),
            Input::Cancel => self.left.cancels -= 1,
            Input::Retry => self.left.retries -= 1,
            Input::Rerun(_) => self.left.reruns -= 1,
            Input::Pause | Input::Hold => self.left.brakes -= 1,
            Input::Answer(..) | Input::Decide(..) | Input::Resume | Input::Release => {}
        }
    }

    fn coordinate(&self, core: &Core, rules: &Rules, next: &mut Vec<(Move, Self)>) {
        for (at, input) in self.inputs() {
            if rules.coordinators == 1 {
                let mut n = self.n;
                if let Some(tenant) = core.hear(&self.tenants[at], &mut n, input) {
                    let mut world = self.clone();
                    world.spend(at, input);
                    world.n = n;
                    world.tenants[at] = tenant;
                    world.speak(core, rules, at);
                    next.push((Move::Hears(input), world));
                }
            } else if self.loaded.len() < rules.coordinators
                && core.hear(&self.tenants[at], &mut self.n.clone(), input).is_some()
            {
                let mut world = self.clone();
                world.spend(at, input);
                world.loaded.push(Loaded { tenant: self.tenants[at].clone(), n: self.n, input });
                next.push((Move::Loads(input), world));
            }
        }
        for (place, loaded) in self.loaded.iter().enumerate() {
            let mut world = self.clone();
            world.loaded.remove(place);
            let mut n = loaded.n;
            if rules.compare_and_set && self.n != n {
                next.push((Move::LosesTheRace(loaded.input), world));
            } else if let Some(tenant) = core.hear(&loaded.tenant, &mut n, loaded.input) {
                let at = self.tenants.iter().position(|have| have.id == tenant.id).unwrap();
                world.forked |= self.n != loaded.n;
                world.n = self.n.max(n);
                world.tenants[at] = tenant;
                world.speak(core, rules, at);
                next.push((Move::Commits(loaded.input), world));
            }
        }
        let last = &self.tenants[self.tenants.len() - 1];
        if last.state.is_final() && self.tenants.len() < rules.tenants {
            let mut world = self.clone();
            if !rules.lane_tokens {
                world.n = 0;
            }
            let at = self.tenants.len();
            world.tenants.push(core.accept(at as u8, &mut world.n));
            world.speak(core, rules, at);
            next.push((Move::SlugIsTakenAgain, world));
        }
    }

    fn work(&self, rules: &Rules, next: &mut Vec<(Move, Self)>) {
        let mut go = |what: Move, change: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            change(&mut world);
            next.push((what, world));
        };
        for command in &self.commands {
            let row = usize::from(command.row);
            if self.handlers.len() >= rules.handlers
                || (rules.worker_fence && command.token < self.marks[row])
            {
                continue;
            }
            go(Move::Takes(*command), &|world| {
                if rules.marks && rules.worker_fence && (command.undo || command.supersedes) {
                    world.marks[row] = command.token;
                }
                world.handlers.push(Handler { command: *command, acted: None });
            });
            if self.left.letters > 0 {
                go(Move::DeadLetters(*command), &|world| {
                    world.left.letters -= 1;
                    put(&mut world.answers, (*command, Word::Letter));
                });
            }
        }
        for (place, handler) in self.handlers.iter().enumerate() {
            let command = handler.command;
            go(Move::Crashes(*handler), &|world| {
                world.handlers.remove(place);
            });
            if let Some(word) = handler.acted {
                go(Move::Answers(command, word), &|world| {
                    world.handlers.remove(place);
                    put(&mut world.answers, (command, word));
                });
                continue;
            }
            if rules.resource_fence && command.token < self.fences[usize::from(command.row)] {
                go(Move::Refuses(command), &|world| {
                    world.handlers.remove(place);
                });
                continue;
            }
            go(Move::Acts(command), &|world| {
                world.act(rules, command);
                world.handlers[place].acted = Some(Word::Yes);
            });
            let errors = if command.undo { self.left.undo_errors } else { self.left.errors };
            if errors == 0 {
                continue;
            }
            let says_no = |world: &mut Self| {
                let left = &mut world.left;
                *(if command.undo { &mut left.undo_errors } else { &mut left.errors }) -= 1;
                world.handlers[place].acted = Some(Word::No);
            };
            go(Move::SaysNo(command), &says_no);
            go(Move::SaysNoAndYetActs(command), &|world| {
                world.act(rules, command);
                says_no(world);
            });
        }
    }

    /// The effect, with the fence in its own transaction where the resource keeps one.
    fn act(&mut self, rules: &Rules, command: Command) {
        let row = usize::from(command.row);
        let live = self.live[row];
        let nothing_to_undo = command.undo && live.is_none();
        if rules.resource_fence && (rules.marks || !nothing_to_undo) {
            self.fences[row] = command.token;
        }
        self.live[row] = match live {
            _ if command.undo => None,
            None => Some((command.tenant, 1)),
            Some((whose, copies)) if whose == command.tenant => {
                Some((whose, if rules.finds_its_own { copies } else { copies + 1 }))
            }
            Some(_) => {
                self.crossed = true;
                live
            }
        };
    }

    /// What is wrong with this world.
    pub(crate) fn violation(&self, core: &Core, rules: &Rules) -> Option<&'static str> {
        if self.live.iter().flatten().any(|(_, copies)| *copies > 1) {
            return Some("an effect is live twice");
        }
        if self.crossed {
            return Some("two tenants' effects met on one name");
        }
        if self.forked && rules.forks_count {
            return Some("a chain forked");
        }
        for (at, tenant) in self.tenants.iter().enumerate() {
            let at = at as u8;
            let mine = |live: &Option<(u8, u8)>| live.is_some_and(|(whose, _)| whose == at);
            let busy = self.handlers.iter().any(|handler| handler.command.tenant == at);
            if tenant.state.is_final() && self.live.iter().any(mine) && (rules.strict || !busy) {
                return Some("something is live of a tenant that was undone");
            }
            // The rows of a saga that ended are gone from the model's states: the last row that can be skipped is not.
            let all = core.plan.rows.iter().zip(&self.live);
            let mut missing = all.filter(|(row, live)| matches!(row.what, What::Step { .. }) && !mine(live));
            if tenant.state == State::Active && !tenant.flags.degraded && missing.next().is_some() {
                return Some("a tenant is active and lacks something");
            }
        }
        None
    }

    /// Nothing is left to do but by a person, and a person can do something, or it is over.
    pub(crate) fn rests(&self, core: &Core) -> bool {
        let tenant = &self.tenants[self.tenants.len() - 1];
        if !tenant.at_rest() || !self.loaded.is_empty() {
            return false;
        }
        let verb = |input| core.hear(tenant, &mut self.n.clone(), input).is_some();
        match tenant.state {
            State::Active | State::Rejected | State::RolledBack => true,
            _ if tenant.flags.paused => verb(Input::Resume),
            _ if tenant.flags.legal_hold => verb(Input::Release),
            State::Held | State::Blocked | State::Stuck => verb(Input::Retry) || verb(Input::Cancel),
            state => panic!("a tenant rests as {state} and nobody can do anything"),
        }
    }
}

/// Whether the execute of this row said yes.
fn made(tenant: &Tenant, row: u8) -> bool {
    let rows = tenant.saga.iter().flat_map(|saga| &saga.rows);
    rows.filter(|run| run.row == u16::from(row)).any(|run| run.output.is_some())
}
