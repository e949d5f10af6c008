//! Verdicts on letters of tenants whose journals the real core wrote.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tenantry_contracts::letter::{self, Aside};
use tenantry_contracts::request::{self, Decoded, Kind};
use tenantry_contracts::result::{Body, Failure};
use tenantry_contracts::{
    Class, Headers, Json, Lane, Letter, Origin, Record, Refusal, Sealed, StepName, TenantId, Token, Topic,
    WorkerName,
};
use tenantry_coordinator::{Cause, Entry};
use tenantry_ports::Row;
use tenantry_saga::{Born, Change, End, Plan, Rules, Then, When};

use super::*;
use crate::show::thread;

const PLAIN: &[u8] = br#"{"name":"Acme","plan":"starter","residency":"EU"}"#;

fn record(topic: Topic, headers: Headers, value: &[u8]) -> Record {
    let value = Some(Bytes::copy_from_slice(value));
    Record { topic, partition: 0, offset: 0, at: Time(0), key: Some("acme".into()), headers, value }
}

fn requested(value: &[u8]) -> Record {
    let headers =
        vec![("ce_id".into(), Bytes::from_static(b"7")), ("ce_source".into(), Bytes::from_static(b"crm"))];
    record(Topic::Requests, headers, value)
}

/// The letter of a record that was put aside with this code.
fn article(record: &Record, code: Code) -> Article {
    let refusal = Refusal::new(code, "why");
    let aside = Aside { group: "local.workers", build: "1", class: "validation", refusal: &refusal };
    let topic = Topic::DeadLetters(Box::new(record.topic.clone()));
    let lies = Record { topic, headers: letter::headers(record, &aside), ..record.clone() };
    Article::of(Letter::read(&lies).unwrap(), 1)
}

/// A tenant in the core, and the journal that comes of it.
struct World {
    plans: Registry,
    tenant: Tenant,
    rows: Vec<Row>,
    n: i64,
    now: Time,
}

impl World {
    /// A tenant whose database is asked for.
    fn new() -> Self {
        let mut world = Self::begin(thread::plans());
        let validate = world.open();
        let output = Said::Succeeded(Json::of(&json!({})).unwrap());
        world.answer(&validate, &output);
        world
    }

    /// A tenant that was just accepted.
    fn begin(plans: Registry) -> Self {
        let Decoded::Heard(heard) = request::decode(&requested(PLAIN), 1, "starter") else {
            panic!("it is sound")
        };
        let born = Born {
            tenant: "01919191-9191-7191-8191-919191919191".parse().unwrap(),
            id: heard.id.clone(),
            request: Arc::new(heard.request.seal(|_, _| Sealed::read("sealed".to_owned()))),
            requesters: Vec::new(),
            traceparent: None,
            commitments: Default::default(),
        };
        let (now, mut n) = (Time(1_000), 0);
        let (tenant, told) = Tenant::accept(&plans, Moment { now, paused_ms: 0, n: &mut n }, born).unwrap();
        let mut world = Self { plans, tenant, rows: Vec::new(), n, now };
        world.write(&told, Cause::Timer);
        world
    }

    fn write(&mut self, told: &[(i64, Change)], cause: Cause) {
        for (n, change) in told {
            let change = Some(Cow::Borrowed(change));
            let digest = Cow::Borrowed("");
            let entry = Entry { format: 1, cause: cause.clone(), digest, paused_ms: 0, change, note: None };
            self.rows.push(Row {
                lane: Lane(0),
                n: *n,
                tenant: Some(self.tenant.id),
                seq: self.rows.len() as i64 + 1,
                prev_n: 0,
                at: self.now,
                entry: serde_json::to_vec(&entry).unwrap().into(),
                facts: Bytes::new(),
            });
        }
    }

    /// The open question.
    fn open(&self) -> Question {
        let asked = self.tenant.questions(&self.plans, &Fleet::new("local"), Token(0), 0);
        asked[0].command.question.clone()
    }

    fn answer(&mut self, question: &Question, said: &Said) {
        let moment = Moment { now: self.now, paused_ms: 0, n: &mut self.n };
        let told = self.tenant.hear(&self.plans, moment, Heard::Answer(question, said)).unwrap();
        self.write(&told, Cause::Record(origin()));
    }

    /// Its question is answered with this letter.
    fn lettered(&mut self) -> Question {
        let question = self.open();
        self.answer(&question, &Said::DeadLettered(origin()));
        question
    }

    fn operate(&mut self, verb: OperationVerb) {
        let id = RequestId { source: "ada".into(), id: self.n.to_string() };
        let mut operation = retry(&self.tenant, id, self.tenant.version);
        operation.verb = verb;
        let moment = Moment { now: self.now, paused_ms: 0, n: &mut self.n };
        let told = self.tenant.hear(&self.plans, moment, Heard::Operation(&operation)).unwrap();
        self.write(&told, Cause::Record(origin()));
    }

    fn past(&self) -> Past {
        let past = Past::fold(&self.rows, &self.plans).unwrap().unwrap();
        assert_eq!(past.tenant, self.tenant, "the journal folds to what the core had");
        past
    }

    fn command(&self, question: &Question) -> Verdict {
        let past = self.past();
        let fleet = Fleet::new("local");
        let known =
            Known { plans: &self.plans, fleet: &fleet, now: self.now, past: Some(&past), decided: None };
        let topic = Topic::Commands(WorkerName::new("database"));
        let letter = record(topic, question.headers("tenant.command.v1"), b"\xff");
        of(&article(&letter, Code::NotJson), &known).verdict
    }

    fn result(&self, question: &Question, said: Said, of_fleet: &str) -> Verdict {
        let past = self.past();
        let fleet = Fleet::new("local");
        let known =
            Known { plans: &self.plans, fleet: &fleet, now: self.now, past: Some(&past), decided: None };
        let body = Body { fleet: Fleet::read(of_fleet), said };
        let (headers, value) = Answer { question: question.clone(), body }.encode().unwrap();
        of(&article(&record(Topic::Results, headers, &value), Code::VersionUnknown), &known).verdict
    }
}

fn origin() -> Origin {
    "tenant.commands.database/0/0".parse().unwrap()
}

fn no() -> Said {
    Said::Failed(Failure {
        code: Code::OwnedByOther,
        class: Class::Conflict,
        pointer: None,
        message: "it is not ours".into(),
    })
}

fn yes() -> Said {
    Said::Succeeded(Json::of(&json!({})).unwrap())
}

#[test]
fn a_tenant_that_is_held_by_a_letter_is_asked_afresh_and_the_letter_is_superseded_by_that() {
    let mut world = World::new();
    assert_eq!(world.command(&world.open()), Verdict::SagaMovedOn, "its question is still open");
    let question = world.lettered();
    assert_eq!(world.command(&question), Verdict::AskAfresh);

    let since = world.n + 1;
    world.operate(OperationVerb::Retry);
    assert_eq!(world.command(&question), Verdict::Superseded);
    assert_eq!(end_of_row(&question, &world.past(), &world.plans, since), None, "under way");

    let again = world.lettered();
    assert_eq!(world.command(&question), Verdict::Superseded, "the newer letter is the one to answer");
    assert_eq!(world.command(&again), Verdict::AskAfresh);
    let ended = end_of_row(&question, &world.past(), &world.plans, since);
    assert_eq!(ended, Some(Err("dead_lettered".into())));

    world.operate(OperationVerb::Retry);
    let last = world.open();
    world.answer(&last, &yes());
    assert_eq!(world.command(&last), Verdict::AlreadyApplied);
    assert_eq!(end_of_row(&question, &world.past(), &world.plans, since), Some(Ok(())));
}

/// Two steps that are asked at once.
static TWINS: Plan =
    Plan { kind: Kind::Provision, version: 1, known_as: &[], rows: &[twin("one"), twin("two")] };

const fn twin(name: &'static str) -> tenantry_saga::Row {
    let what = What::Step {
        worker: WorkerName::new("database"),
        step: StepName::new("database.provision"),
        input: |view| view.input(&view.request().plan),
        attempts: 3,
        limit_ms: 300_000,
        undo: (5, 300_000),
    };
    tenantry_saga::Row { name, what, waits_for: &[], when: When::Always, end: End::always(Then::Compensate) }
}

#[test]
fn an_answer_to_one_of_two_questions_with_the_same_token_says_nothing_of_the_other() {
    let mut world = World::begin(Registry::new([&TWINS], Rules::default()));
    let asked = world.tenant.questions(&world.plans, &Fleet::new("local"), Token(0), 0);
    let [one, two] = [0, 1].map(|at: usize| asked[at].command.question.clone());
    assert_eq!(one.token, two.token);
    world.answer(&one, &yes());
    world.answer(&two, &Said::DeadLettered(origin()));
    assert_eq!(world.command(&one), Verdict::AlreadyApplied);
    assert_eq!(world.command(&two), Verdict::AskAfresh);
    let since = world.n + 1;
    world.operate(OperationVerb::Retry);
    let ends = [&one, &two].map(|question| end_of_row(question, &world.past(), &world.plans, since));
    assert_eq!(ends, [Some(Ok(())), None]);
}

#[test]
fn a_tenant_that_is_held_by_something_else_is_left_alone() {
    let mut world = World::new();
    let question = world.open();
    world.answer(&question, &no());
    assert_eq!(world.tenant.state.as_str(), "HELD");
    assert_eq!(world.command(&question), Verdict::SagaMovedOn);
}

#[test]
fn a_letter_of_an_undo_that_is_stuck_is_asked_afresh_and_of_a_tenant_that_is_gone_not() {
    let mut world = World::new();
    let execute = world.lettered();
    world.operate(OperationVerb::Cancel);
    assert_eq!(world.command(&execute), Verdict::SagaMovedOn, "it is being undone");
    let undo = world.lettered();
    assert_eq!((undo.verb, world.tenant.state.as_str()), (Verb::Compensate, "STUCK"));
    assert_eq!(world.command(&undo), Verdict::AskAfresh);
    world.operate(OperationVerb::Retry);
    while !world.tenant.state.is_final() {
        let question = world.open();
        world.answer(&question, &Said::Succeeded(Json::of(&()).unwrap()));
    }
    assert_eq!(world.command(&execute), Verdict::TenantGone);
}

#[test]
fn a_letter_that_names_no_question_of_the_journal_is_poison() {
    let mut world = World::new();
    let mut question = world.lettered();
    question.token = Token(1);
    assert_eq!(world.command(&question), Verdict::Poison, "nobody asked with that token");
    let fleet = Fleet::new("local");
    let known = Known { plans: &world.plans, fleet: &fleet, now: world.now, past: None, decided: None };
    assert_eq!(command(None, &known).verdict, Verdict::Poison);
    question.tenant = TenantId(uuid::Uuid::from_u128(1));
    assert_eq!(command(Some(&question), &known).verdict, Verdict::TenantGone);
}

#[test]
fn an_answer_goes_back_only_while_its_question_is_open() {
    let mut world = World::new();
    let question = world.open();
    assert_eq!(world.result(&question, no(), "local"), Verdict::Replay);
    assert_eq!(world.result(&question, no(), "other"), Verdict::Poison);
    assert_eq!(world.result(&question, Said::NotYet(5), "local"), Verdict::SagaMovedOn);
    world.answer(&question, &no());
    assert_eq!(world.result(&question, no(), "local"), Verdict::AlreadyApplied);
    world.operate(OperationVerb::Retry);
    assert_eq!(world.result(&question, yes(), "local"), Verdict::Superseded);
}

#[test]
fn requests_and_operations_go_back_where_they_can_be_read_and_nothing_was_decided() {
    let plans = thread::plans();
    let fleet = Fleet::new("local");
    let verdict = |record: &Record, code, decided, now| {
        let known = Known { plans: &plans, fleet: &fleet, now: Time(now), past: None, decided };
        of(&article(record, code), &known).verdict
    };
    let sound = requested(PLAIN);
    assert_eq!(verdict(&sound, Code::VersionUnknown, None, 0), Verdict::Replay);
    let accepted = Some(EventKind::RequestAccepted);
    assert_eq!(verdict(&sound, Code::VersionUnknown, accepted, 0), Verdict::AlreadyApplied);
    assert_eq!(verdict(&sound, Code::VersionUnknown, None, REMEMBERED_MS + 1), Verdict::NeedsEdit, "too old");
    assert_eq!(verdict(&sound, Code::CrashLoop, None, 0), Verdict::Poison);
    assert_eq!(verdict(&requested(b"{ not json"), Code::NotJson, None, 0), Verdict::NeedsEdit);
    assert_eq!(verdict(&requested(br#"{"name":1}"#), Code::FieldInvalid, None, 0), Verdict::NeedsEdit);

    let world = World::new();
    let id = RequestId { source: "ada".into(), id: "1".into() };
    let (headers, value) = retry(&world.tenant, id, 3).encode(Time(0)).unwrap();
    let operation = record(Topic::Operations, headers, &value);
    assert_eq!(verdict(&operation, Code::VersionUnknown, None, 0), Verdict::Replay);
    let refused = Some(EventKind::OperationRefused);
    assert_eq!(verdict(&operation, Code::VersionUnknown, refused, 0), Verdict::AlreadyApplied);
    let junk = record(Topic::Operations, Vec::new(), b"junk");
    assert_eq!(verdict(&junk, Code::NotJson, None, 0), Verdict::Poison);
}

/// The operation that asks afresh what holds a tenant.
fn retry(tenant: &Tenant, id: RequestId, version: i64) -> Operation {
    let operation = Operation::new(id, OperationVerb::Retry, Some(tenant.target()), "ada", "INC-1");
    Operation { expected_version: Some(version), ..operation }
}
