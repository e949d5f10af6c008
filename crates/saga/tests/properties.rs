//! Random sound plans, random sequences of answers, clocks and verbs: what holds of every tenant at every moment.
//! proptest prints the case that fails, and its seed goes into `proptest-regressions`.
#![allow(clippy::unwrap_used, reason = "what is missing fails the test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tenantry_contracts::operation::{Actor, OperationVerb, Scope, Stopped};
use tenantry_contracts::request::Kind;
use tenantry_contracts::result::Said;
use tenantry_contracts::{Class, Json, RowName, State, Time, Verb};
use tenantry_saga::{
    Change, Direction, End, Field, Heard, Plan, Registry, Row, RowState, Tenant, Then, What, When,
};

use common::{LIMIT_MS, Told};

const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
const CLASSES: [Class; 5] =
    [Class::Validation, Class::Exhausted, Class::Conflict, Class::UnknownOutcome, Class::Bug];
const THENS: [Then; 5] = [Then::Compensate, Then::Hold, Then::Degrade, Then::Ask, Then::Reject];

/// A row in numbers, so that proptest can shrink it.
#[derive(Clone, Debug)]
struct Draft {
    what: u8,
    waits_for: u8,
    when: u8,
    end: u8,
    except: Option<(u8, u8)>,
    attempts: (u8, u8),
}

fn draft() -> impl Strategy<Value = Draft> {
    let except = proptest::option::of((0..5_u8, 0..5_u8));
    (0..9_u8, any::<u8>(), 0..8_u8, 0..5_u8, except, (1..=3_u8, 1..=2_u8)).prop_map(
        |(what, waits_for, when, end, except, attempts)| Draft {
            what,
            waits_for,
            when,
            end,
            except,
            attempts,
        },
    )
}

fn build(drafts: &[Draft]) -> &'static Plan {
    let mut pivots = 0;
    let rows = drafts.iter().enumerate().map(|(at, draft)| {
        let above = (0..at).filter(|bit| draft.waits_for >> bit & 1 == 1).map(|bit| NAMES[bit]);
        let waits_for: &'static [&'static str] = above.collect::<Vec<_>>().leak();
        let mut row = match draft.what {
            0 => common::gate(NAMES[at], waits_for, Then::Hold),
            1 => common::wait(NAMES[at], waits_for),
            2 if pivots == 0 => {
                pivots += 1;
                Row { name: NAMES[at], ..common::pivot(waits_for) }
            }
            3 => common::broken(NAMES[at], waits_for),
            _ => common::step(NAMES[at], waits_for, Then::Hold, draft.attempts),
        };
        let except =
            draft.except.map(|(class, then)| (CLASSES[usize::from(class)], THENS[usize::from(then)]));
        row.end = End {
            default: THENS[usize::from(draft.end)],
            except: Vec::from_iter(except).into(),
            attempts: None,
        };
        // Of the two fields, the tests' request has one.
        row.when = match draft.when {
            0 => When::Field(Field::Domain),
            1 => When::Any(&[When::Field(Field::Domain), When::Field(Field::Admin)]),
            2 => When::All(&[When::Pack("core"), When::Template("gold")]),
            _ => When::Always,
        };
        row
    });
    let plan = common::plan(rows.collect());
    assert!(plan.is_sound());
    plan
}

/// A tenant with the clock and the journal number of its world.
struct Life {
    plan: &'static Plan,
    plans: Registry,
    tenant: Tenant,
    n: i64,
    now: Time,
}

impl Life {
    fn begin(plan: &'static Plan) -> Self {
        let plans = Registry::new([plan], tenantry_saga::Rules::default());
        let (mut n, now) = (0, Time(1000));
        let born = common::born(0, common::request(Kind::Provision));
        let (tenant, _) = common::accept(&plans, &mut n, now, born);
        let life = Self { plan, plans, tenant, n, now };
        life.check(None, &[]);
        life
    }

    /// Hears something that the number chooses among all that can happen.
    fn happen(&mut self, choice: u16) {
        let before = self.tenant.clone();
        let (kind, which) = (choice % 16, usize::from(choice / 16));
        let asked = common::questions(&self.tenant, &self.plans);
        let told = match kind {
            0..=9 if !asked.is_empty() => {
                let question = asked[which % asked.len()].command.question.clone();
                let class = CLASSES[which / 7 % CLASSES.len()];
                let said = match kind {
                    0..=4 if question.verb == Verb::Observe => common::looked(which),
                    0..=4 => common::yes(),
                    5..=6 => common::no(class),
                    7 => common::lettered(),
                    8 => Said::NotYet(10),
                    _ => Said::Expired,
                };
                let told = self.hear(Heard::Answer(&question, &said)).unwrap();
                if kind >= 8 {
                    assert!(told.is_empty());
                    assert!(self.tenant.expects(&self.plans, &question));
                }
                // The same answer again, now or later, changes nothing once the question is closed.
                if !self.tenant.expects(&self.plans, &question) {
                    assert!(self.hear(Heard::Answer(&question, &said)).unwrap().is_empty());
                }
                told
            }
            10..=12 => {
                let Some(due) = self.tenant.next_due(0) else { return };
                // Sometimes much later, so that several things are due at once.
                let late = if which.is_multiple_of(5) { 30 * LIMIT_MS } else { 0 };
                self.now = Time(self.now.0.max(due.0) + late);
                let told = self.hear(Heard::Due(&Stopped::default())).unwrap();
                assert!(!told.is_empty(), "something was due and nothing happened");
                assert!(self.tenant.next_due(0).is_none_or(|due| due > self.now), "what is due remains due");
                told
            }
            13 => self.operate(OperationVerb::Retry),
            14 if which.is_multiple_of(8) => self.operate(OperationVerb::Cancel),
            14 => self.steer(which / 8),
            _ => {
                let row = RowName::new(NAMES[which % self.plan.rows.len()]);
                let no = which.is_multiple_of(3);
                self.operate(if no { OperationVerb::Reject(row) } else { OperationVerb::Approve(row) })
            }
        };
        self.check(Some(&before), &told);
    }

    /// A verb that steers or brakes, sometimes with a second person.
    fn steer(&mut self, which: usize) -> Told {
        let row = RowName::new(NAMES[which / 16 % self.plan.rows.len()]);
        let verb = match which % 8 {
            0 | 1 => OperationVerb::Rerun(row),
            2 => OperationVerb::Skip(row),
            3 => OperationVerb::MarkDone(row),
            4 => OperationVerb::Pause(Scope::Tenant),
            5 => OperationVerb::Resume(Scope::Tenant),
            6 if self.tenant.flags.legal_hold => OperationVerb::Release,
            6 => OperationVerb::Hold,
            _ => OperationVerb::Correct(Json::of(&BTreeMap::from([("seats", which)])).unwrap()),
        };
        let mut operation = common::operation(verb);
        // Whoever corrects approves nothing of it, and it is ada who approves here.
        operation.actor = Actor::unverified("bob");
        operation.second = (which / 8).is_multiple_of(2).then(|| Actor::unverified("grace"));
        self.hear(Heard::Operation(&operation)).unwrap_or_default()
    }

    fn operate(&mut self, verb: OperationVerb) -> Told {
        self.hear(Heard::Operation(&common::operation(verb))).unwrap_or_default()
    }

    fn hear(&mut self, heard: Heard<'_>) -> Result<Told, tenantry_contracts::Refusal> {
        common::hear(&mut self.tenant, &self.plans, &mut self.n, self.now, heard)
    }

    /// What holds at every moment, and between two of them.
    fn check(&self, before: Option<&Tenant>, told: &[(i64, Change)]) {
        let tenant = &self.tenant;
        let open = tenant.next_due(0).is_some();
        assert_eq!(tenant.at_rest(), !open, "{}", tenant.state);
        let flags = tenant.flags;
        let braked = flags.paused || flags.legal_hold && tenant.state == State::Compensating;
        if !open && !braked {
            let ends = [
                State::Active,
                State::RolledBack,
                State::Rejected,
                State::Held,
                State::Blocked,
                State::Stuck,
            ];
            assert!(ends.contains(&tenant.state), "it rests as {}", tenant.state);
        }
        assert_eq!(
            tenant.saga.is_none(),
            matches!(tenant.state, State::Active | State::RolledBack | State::Rejected)
        );
        // A row whose input cannot be made is a bug of the fleet: a retry is refused until that is mended.
        if tenant.state.is_parked() && !self.waits_for_a_mend() && !flags.paused && !flags.legal_hold {
            assert!(!self.verbs().is_empty(), "{} and nobody can do anything", tenant.state);
        }
        let Some(saga) = &tenant.saga else { return };
        let past_pivot = saga.rows.iter().any(|run| {
            matches!(self.plan.rows[usize::from(run.row)].what, What::Pivot) && run.state == RowState::Done
        });
        assert!(!(past_pivot && saga.direction.is_back()), "undone after the pivot");
        assert_eq!(
            saga.direction == Direction::Parked,
            tenant.state.is_parked() && !(tenant.state == State::Stuck || self.waits_at_a_gate()),
            "{} while {:?}",
            tenant.state,
            saga.direction
        );
        for run in &saga.rows {
            let RowState::Asked { verb, attempt, token, .. } = run.state else { continue };
            let What::Step { attempts, undo, .. } = self.plan.rows[usize::from(run.row)].what else {
                panic!("a question about a row that is no step")
            };
            let most = if verb == Verb::Compensate { undo.0 } else { attempts };
            assert!((1..=most).contains(&attempt), "attempt {attempt} of {most}");
            assert!(run.touched && token.0 <= self.n);
            let fresh = told.iter().any(|(n, _)| *n == token.0) || before.is_none();
            match verb {
                Verb::Execute if fresh => {
                    for above in self.above(run.row) {
                        let passed = saga.rows.iter().find(|other| other.row == above);
                        let passed =
                            passed.is_none_or(|run| matches!(run.state, RowState::Done | RowState::Skipped));
                        assert!(passed, "asked before {} is done", NAMES[usize::from(above)]);
                    }
                }
                Verb::Compensate => {
                    let below = saga.rows.iter().filter(|other| self.above(other.row).contains(&run.row));
                    for other in below {
                        let clean = !other.touched || other.state == RowState::Undone;
                        assert!(clean, "undone before {} was", NAMES[usize::from(other.row)]);
                    }
                }
                _ => {}
            }
        }
    }

    fn waits_at_a_gate(&self) -> bool {
        let saga = self.tenant.saga.as_ref().unwrap();
        self.tenant.state == State::Awaiting && saga.direction == Direction::Forward
    }

    /// A row failed about which nothing was ever asked.
    fn waits_for_a_mend(&self) -> bool {
        let rows = self.tenant.saga.iter().flat_map(|saga| &saga.rows);
        let failed = |run: &tenantry_saga::Run| matches!(run.state, RowState::Failed | RowState::Open { .. });
        let step =
            |run: &tenantry_saga::Run| matches!(self.plan.rows[usize::from(run.row)].what, What::Step { .. });
        rows.filter(|run| step(run)).any(|run| failed(run) && !run.touched)
    }

    /// Every row that a row waits for, also through others.
    fn above(&self, row: u16) -> BTreeSet<u16> {
        let direct = self.plan.rows[usize::from(row)].waits_for.iter();
        let mut above: BTreeSet<u16> = direct.filter_map(|name| self.plan.index_of(name)).collect();
        for row in above.clone() {
            above.extend(self.above(row));
        }
        above
    }

    /// What a person can do now.
    fn verbs(&self) -> Vec<OperationVerb> {
        let rows = self.plan.rows.iter().map(|row| OperationVerb::Approve(RowName::new(row.name)));
        let verbs = [OperationVerb::Retry, OperationVerb::Cancel].into_iter().chain(rows);
        let can = |verb: &OperationVerb| {
            let (mut tenant, mut n) = (self.tenant.clone(), self.n);
            let operation = common::operation(verb.clone());
            common::hear(&mut tenant, &self.plans, &mut n, self.now, Heard::Operation(&operation)).is_ok()
        };
        verbs.filter(can).collect()
    }

    /// From here on everything goes well: every step says yes, people approve and retry.
    fn finish_well(&mut self) {
        for verb in [OperationVerb::Resume(Scope::Tenant), OperationVerb::Release] {
            let mut operation = common::operation(verb);
            operation.second = Some(Actor::unverified("grace"));
            // Refused where nothing brakes.
            let _ = self.hear(Heard::Operation(&operation));
        }
        for _ in 0..200 {
            let before = self.tenant.clone();
            let told = if let Some(asked) = common::questions(&self.tenant, &self.plans).first() {
                let question = &asked.command.question;
                let said = if question.verb == Verb::Observe { common::looked(0) } else { common::yes() };
                self.hear(Heard::Answer(question, &said)).unwrap()
            } else if let Some(verb) = self.verbs().iter().find(|verb| **verb != OperationVerb::Cancel) {
                self.operate(verb.clone())
            } else if let Some(due) = self.tenant.next_due(0) {
                self.now = Time(self.now.0.max(due.0));
                self.hear(Heard::Due(&Stopped::default())).unwrap()
            } else if self.verbs() == [OperationVerb::Cancel] {
                self.operate(OperationVerb::Cancel)
            } else {
                return;
            };
            self.check(Some(&before), &told);
        }
        panic!("200 good moves later it is still {}", self.tenant.state);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_tenant_keeps_its_promises_and_can_end(
        drafts in proptest::collection::vec(draft(), 1..=NAMES.len()),
        choices in proptest::collection::vec(any::<u16>(), 0..60),
    ) {
        let mut life = Life::begin(build(&drafts));
        for choice in choices {
            life.happen(choice);
        }
        life.finish_well();
        prop_assert!(life.tenant.at_rest());
        let ends = [State::Active, State::RolledBack, State::Rejected];
        let ended = ends.contains(&life.tenant.state) || life.waits_for_a_mend();
        prop_assert!(ended, "it ended as {}", life.tenant.state);
    }

    #[test]
    fn undos_come_in_exactly_the_reverse_order_of_a_chain(failing in 0..6_usize) {
        let rows = (0..6).map(|at| {
            let above: &'static [&'static str] = if at == 0 { &[] } else { vec![NAMES[at - 1]].leak() };
            common::step(NAMES[at], above, Then::Compensate, (1, 1))
        });
        let mut life = Life::begin(common::plan(rows.collect()));
        let mut undone = Vec::new();
        while let Some(asked) = common::questions(&life.tenant, &life.plans).first() {
            let question = asked.command.question.clone();
            let fails = question.verb == Verb::Execute && question.row.as_str() == NAMES[failing];
            if question.verb == Verb::Compensate {
                undone.push(question.row.as_str().to_owned());
            }
            let said = if fails { common::no(Class::Business) } else { common::yes() };
            let before = life.tenant.clone();
            let told = life.hear(Heard::Answer(&question, &said)).unwrap();
            life.check(Some(&before), &told);
        }
        let expected: Vec<&str> = NAMES[..=failing].iter().rev().copied().collect();
        prop_assert_eq!(undone, expected);
        prop_assert_eq!(life.tenant.state, State::RolledBack);
    }
}
