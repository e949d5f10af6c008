//! Golden pages of `tenant show` and `tenant timeline`, from journals that the real core wrote.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tenantry_contracts::request::{self, Decoded};
use tenantry_contracts::result::{Failure, Said};
use tenantry_contracts::{Class, Code, Fleet, Lane, Record, Sealed, Token, Topic};
use tenantry_coordinator::{Cause, Entry};
use tenantry_ports::Row;
use tenantry_saga::{Born, Change, Heard, Moment};

use crate::show::thread;

use super::super::timeline;
use super::*;

/// A tenant in the core, and the journal that comes of it.
struct World {
    plans: Registry,
    tenant: Tenant,
    rows: Vec<Row>,
    n: i64,
    now: Time,
}

impl World {
    fn new() -> Self {
        let record = Record {
            topic: Topic::Requests,
            partition: 0,
            offset: 0,
            at: Time(0),
            key: None,
            headers: vec![
                ("ce_id".into(), Bytes::from_static(b"7")),
                ("ce_source".into(), Bytes::from_static(b"crm")),
            ],
            value: Some(Bytes::from_static(br#"{"name":"Acme","plan":"starter","residency":"EU"}"#)),
        };
        let Decoded::Heard(heard) = request::decode(&record, 1, "starter") else { panic!("it is sound") };
        let born = Born {
            tenant: "01919191-9191-7191-8191-919191919191".parse().unwrap(),
            id: heard.id.clone(),
            request: Arc::new(heard.request.seal(|_, _| Sealed::read("sealed".to_owned()))),
            requesters: Vec::new(),
            traceparent: None,
            commitments: Default::default(),
        };
        let (plans, now, mut n) = (thread::plans(), Time(1_000), 0);
        let (tenant, told) = Tenant::accept(&plans, Moment { now, paused_ms: 0, n: &mut n }, born).unwrap();
        let mut world = Self { plans, tenant, rows: Vec::new(), n, now };
        world.write(&told);
        world
    }

    fn write(&mut self, told: &[(i64, Change)]) {
        for (n, change) in told {
            let entry = Entry {
                format: 1,
                cause: Cause::Timer,
                digest: Cow::Borrowed(""),
                paused_ms: 0,
                change: Some(Cow::Borrowed(change)),
                note: None,
            };
            let seq = self.rows.len() as i64 + 1;
            self.rows.push(Row {
                lane: Lane(0),
                n: *n,
                tenant: Some(self.tenant.id),
                seq,
                prev_n: 0,
                at: self.now,
                entry: serde_json::to_vec(&entry).unwrap().into(),
                facts: Bytes::new(),
            });
        }
    }

    fn answer(&mut self, took_ms: i64, said: &Said) {
        self.now = self.now.plus(took_ms);
        let asked = self.tenant.questions(&self.plans, &Fleet::new("local"), Token(0), 0);
        let question = asked[0].command.question.clone();
        let moment = Moment { now: self.now, paused_ms: 0, n: &mut self.n };
        let told = self.tenant.hear(&self.plans, moment, Heard::Answer(&question, said)).unwrap();
        self.write(&told);
    }

    fn validated(&mut self) {
        let output = json!({
            "template": {"name": "starter", "digest": "00", "isolation": "schema"},
            "region": "eu-central-1", "residency": "EU", "modules": ["identity"],
            "requirements": {"seats": 5, "storage_bytes": 1, "database_connections": 3, "compute_millis": 100},
            "claims": [{"kind": "name", "generation": 1}],
        });
        self.answer(12, &Said::Succeeded(Json::of(&output).unwrap()));
    }

    fn no(class: Class) -> Said {
        Said::Failed(Failure {
            code: Code::FaultInjected,
            class,
            pointer: None,
            message: "the switch is on".into(),
        })
    }

    fn sheet(&self) -> (Sheet, Vec<Told>) {
        let (tenant, told) = timeline::tell(&self.rows, &self.plans).unwrap().unwrap();
        assert_eq!(tenant, self.tenant, "the journal folds to what the core had");
        (Sheet::of(&tenant, &self.plans, self.now, (0, &Default::default()), &told), told)
    }
}

#[test]
fn a_running_tenant_shows_whose_turn_it_is_and_until_when() {
    let mut world = World::new();
    world.validated();
    let (sheet, _) = world.sheet();
    assert_eq!(
        sheet.lines(Style::PLAIN, world.now.plus(2_000)).join("\n"),
        "acme  PROVISIONING
  tenant      01919191-9191-7191-8191-919191919191
  environment prod
  since       1970-01-01T00:00:01.000Z (2.0 s ago)
  plan        starter
  place       EU
  asked for   1970-01-01T00:00:01.000Z as crm#7
  version     3
  turn        the fleet's: worker database answers about database until
              1970-01-01T00:05:01.012Z
  you can     cancel, rerun <row>, correct, pause, hold

provision/1, forward
  ROW          STATE    ASKED  TOOK   OPEN
  validate     done     1      12 ms
  database     running  1             execute, 4 min 58 s left
  pivot        waiting
  credentials  waiting
made
  validate
    claims         generation=1 kind=name
    modules        identity
    region         eu-central-1
    requirements   compute_millis=100 database_connections=3 seats=5
                   storage_bytes=1
    residency      EU
    template       digest=00 isolation=schema name=starter"
    );
}

#[test]
fn a_held_tenant_names_the_failure_the_advice_and_the_verbs() {
    let mut world = World::new();
    world.validated();
    world.answer(40, &World::no(Class::Config));
    let (sheet, told) = world.sheet();
    assert_eq!(sheet.turn.of, "person");
    assert_eq!(
        sheet.turn.verbs,
        ["retry", "cancel", "skip database", "rerun <row>", "correct", "pause", "hold"]
    );
    assert!(sheet.turn.words.contains("fault_injected"), "{}", sheet.turn.words);
    assert_eq!(
        timeline::lines(Style::PLAIN, &told).join("\n"),
        " SEQ       AFTER  WHAT
   1        0 ms  requested
   2        0 ms  saga.started  -> PROVISIONING
                    asks validate
   3       12 ms  step.succeeded  validate  12 ms
                    asks database
   4       52 ms  step.failed  database  40 ms
                    fault_injected
                    the switch is on
                    next: switch the fault off (TENANTRY_FAULTS), then retry
   5       52 ms  held  database  -> HELD"
    );
}

#[test]
fn an_undone_tenant_says_that_nothing_is_left() {
    let mut world = World::new();
    world.validated();
    world.answer(40, &World::no(Class::Business));
    world.answer(5, &Said::Succeeded(Json::of(&()).unwrap()));
    world.answer(5, &Said::Succeeded(Json::of(&()).unwrap()));
    let (sheet, told) = world.sheet();
    assert_eq!((sheet.state, sheet.turn.of), (State::RolledBack, "nobody"));
    assert_eq!(sheet.turn.verbs, ["hold", "forget"]);
    let states: Vec<_> = sheet.saga.iter().flat_map(|saga| &saga.rows).map(|row| row.state).collect();
    assert_eq!(states, ["undone", "undone", "waiting", "waiting"]);
    assert_eq!(told.iter().filter(|told| told.asks.iter().any(|asks| asks.verb == "compensate")).count(), 2);
    let json = serde_json::to_value(&sheet).unwrap();
    assert_eq!(json["projection"]["lifecycle"], "Failed");
    assert_eq!(json["saga"]["cause"]["code"], "fault_injected");
}

#[test]
fn a_journal_of_a_newer_version_is_not_misread() {
    let mut world = World::new();
    world.rows[1].entry = Bytes::from_static(b"{\"v\":2}");
    let error = timeline::tell(&world.rows, &world.plans).unwrap_err();
    assert_eq!(error, timeline::Unreadable(2));
}
