//! What all tests of the core share: rows, plans, tenants, and a fold that is checked at every step.
#![allow(dead_code, reason = "each test uses some of these")]

pub(crate) mod provision;

use std::sync::Arc;

use tenantry_contracts::command::Question;
use tenantry_contracts::operation::{Operation, OperationVerb, Target};
use tenantry_contracts::request::{Admin, Kind, Request};
use tenantry_contracts::result::{Failure, Said};
use tenantry_contracts::{
    Class, Code, Difference, Environment, Fleet, Json, Observed, Origin, Refusal, RequestId, Sealed, Slug,
    StepName, TenantId, Time, Token, WorkerName,
};
use tenantry_saga::{
    Asked, Born, Change, End, Heard, Moment, Plan, Queued, Registry, Row, Tenant, Then, View, What, When,
};

/// How long a question of the tests' plans stays open.
pub(crate) const LIMIT_MS: i64 = 1000;

/// A step's row: execute and undo each asked `attempts` times in all.
pub(crate) const fn step(
    name: &'static str,
    waits_for: &'static [&'static str],
    end: Then,
    attempts: (u8, u8),
) -> Row {
    let what = What::Step {
        worker: WorkerName::new("test"),
        step: StepName::new("test.step"),
        input: input_of,
        attempts: attempts.0,
        limit_ms: LIMIT_MS,
        undo: (attempts.1, LIMIT_MS),
    };
    Row { name, what, waits_for, when: When::Always, end: End::always(end) }
}

/// A step's row whose input can never be made.
pub(crate) fn broken(name: &'static str, waits_for: &'static [&'static str]) -> Row {
    let mut row = step(name, waits_for, Then::Hold, (1, 1));
    if let What::Step { input, .. } = &mut row.what {
        *input = |view| view.output::<bool>("nowhere").map(|_| unreachable!());
    }
    row
}

/// A step whose input is made from what row `a` makes.
pub(crate) fn reader(name: &'static str, waits_for: &'static [&'static str]) -> Row {
    let mut row = step(name, waits_for, Then::Hold, (1, 1));
    if let What::Step { input, .. } = &mut row.what {
        *input = |view| view.input(&view.output::<Json>("a")?);
    }
    row
}

/// A gate's row.
pub(crate) const fn gate(name: &'static str, waits_for: &'static [&'static str], end: Then) -> Row {
    let what = What::Gate { role: "security-admin", binds: false, escalates_ms: 0, expires_ms: 60_000 };
    Row { name, what, waits_for, when: When::Always, end: End::always(end) }
}

/// A wait's row.
pub(crate) const fn wait(name: &'static str, waits_for: &'static [&'static str]) -> Row {
    let what = What::Wait { for_ms: 5000 };
    Row { name, what, waits_for, when: When::Always, end: End::always(Then::Hold) }
}

/// The pivot.
pub(crate) const fn pivot(waits_for: &'static [&'static str]) -> Row {
    Row { name: "pivot", what: What::Pivot, waits_for, when: When::Always, end: End::always(Then::Hold) }
}

/// A plan of kind provision. Plans live for ever.
pub(crate) fn plan(rows: Vec<Row>) -> &'static Plan {
    plan_of(Kind::Provision, rows)
}

/// A plan of this kind.
pub(crate) fn plan_of(kind: Kind, rows: Vec<Row>) -> &'static Plan {
    Box::leak(Box::new(Plan { kind, version: 1, rows: Box::leak(rows.into_boxed_slice()), known_as: &[] }))
}

fn input_of(view: &View<'_>) -> Result<Json, Failure> {
    view.input(&view.request().plan)
}

pub(crate) fn fleet() -> Fleet {
    Fleet::new("test")
}

pub(crate) fn yes() -> Said {
    Said::Succeeded(Json::of(&"made").unwrap())
}

/// What a look saw: nothing, all of it, part of it, somebody else's, or it cannot tell.
pub(crate) fn looked(which: usize) -> Said {
    let differences = Vec::from_iter(Difference::of("size", &1, &2));
    let seen = match which % 5 {
        0 => Observed::Absent,
        1 => Observed::Ours { differences: Vec::new() },
        2 => Observed::Ours { differences },
        3 => Observed::Foreign { hint: "somebody".to_owned() },
        _ => Observed::Unknown { why: "it is dark".to_owned() },
    };
    Said::Succeeded(Json::of(&seen).unwrap())
}

pub(crate) fn no(class: Class) -> Said {
    let message = "the step said no".to_owned();
    Said::Failed(Failure { code: Code::FaultInjected, class, pointer: None, message })
}

pub(crate) fn lettered() -> Said {
    Said::DeadLettered(Origin { topic: "tenant.commands.test".into(), partition: 0, offset: 7 })
}

pub(crate) fn request(kind: Kind) -> Request {
    Request {
        kind,
        environment: Environment::default(),
        slug: Slug::parse("acme").unwrap(),
        tenant: None,
        requested_by: None,
        initiator: None,
        approval: None,
        name: Sealed::read("v1:1:name"),
        organization: None,
        admin: Some(Admin {
            email: Sealed::read("v1:1:mail"),
            first_name: None,
            last_name: None,
            role: None,
        }),
        plan: "basic".to_owned(),
        billing_cycle: None,
        features: Vec::new(),
        domain: None,
        integrations: Vec::new(),
        customisation: None,
        residency: None,
        region: Some("eu-1".to_owned()),
        retention_days: None,
        encryption: None,
        seats: None,
        storage_bytes: None,
        modules: Vec::new(),
        demo_data: false,
        valid_until: None,
    }
}

pub(crate) fn request_id(id: &str) -> RequestId {
    RequestId { source: "test".to_owned(), id: id.to_owned() }
}

/// The beginning of the `at`-th tenant; all have the same slug.
pub(crate) fn born(at: u8, request: Request) -> Born {
    Born {
        tenant: TenantId::new(Time(1), [at; 10]),
        id: request_id(&format!("request-{at}")),
        requesters: Vec::new(),
        request: Arc::new(request),
        traceparent: None,
        commitments: Default::default(),
    }
}

pub(crate) fn operation(verb: OperationVerb) -> Operation {
    let slug = Slug::parse("acme").unwrap();
    let target = Target { slug, environment: Environment::default(), tenant: None };
    Operation::new(request_id("operation"), verb, Some(target), "ada", "because")
}

pub(crate) type Told = Vec<(i64, Change)>;

/// Hears, and checks what holds of every hearing: journal numbers and versions without a gap, a fold of the changes as
/// they read back from JSON that is equal to the tenant and asks the same questions, nothing final that moves.
pub(crate) fn hear(
    tenant: &mut Tenant,
    plans: &Registry,
    n: &mut i64,
    now: Time,
    heard: Heard<'_>,
) -> Result<Told, Refusal> {
    let (before, first) = (tenant.clone(), *n);
    let told = tenant.hear(plans, Moment { now, paused_ms: 0, n }, heard);
    let Ok(changes) = &told else {
        assert_eq!((&before, first), (&*tenant, *n), "a refused operation changed the tenant");
        return told;
    };
    // What is over stays over; it can only be held, released and forgotten.
    if before.state.is_final() {
        let still =
            |change: &Change| Change { flags: None, by: None, ..change.clone() } == Change::new(change.what);
        assert!(changes.iter().all(|(_, change)| still(change)), "{} moved: {changes:?}", before.state);
    }
    check_told(Some(before), tenant, plans, first, *n, now, changes);
    told
}

/// Accepts, and checks the same.
pub(crate) fn accept(plans: &Registry, n: &mut i64, now: Time, born: Born) -> (Tenant, Told) {
    let first = *n;
    let (tenant, told) = Tenant::accept(plans, Moment { now, paused_ms: 0, n }, born).unwrap();
    check_told(None, &tenant, plans, first, *n, now, &told);
    (tenant, told)
}

/// A further request, with the same checks.
pub(crate) fn ask(
    tenant: &mut Tenant,
    plans: &Registry,
    n: &mut i64,
    now: Time,
    request: Request,
) -> Result<Told, Refusal> {
    let (before, first) = (tenant.clone(), *n);
    let asked = Queued { id: request_id("further"), request: Arc::new(request), requesters: Vec::new() };
    let told = tenant.ask(plans, Moment { now, paused_ms: 0, n }, asked)?;
    check_told(Some(before), tenant, plans, first, *n, now, &told);
    Ok(told)
}

fn check_told(
    before: Option<Tenant>,
    after: &Tenant,
    plans: &Registry,
    first: i64,
    last: i64,
    now: Time,
    told: &[(i64, Change)],
) {
    let numbers: Vec<i64> = told.iter().map(|(n, _)| *n).collect();
    assert_eq!(numbers, (first + 1..=last).collect::<Vec<_>>(), "journal numbers have a gap");
    let version = before.as_ref().map_or(0, |before| before.version) + told.len() as i64;
    assert_eq!(after.version, version, "the version is not the number of changes");
    let mut folded = before;
    for (n, change) in told {
        let text = serde_json::to_string(change).unwrap();
        let change: Change = serde_json::from_str(&text).unwrap();
        match &mut folded {
            Some(tenant) => tenant.apply(*n, now, 0, &change),
            None => folded = Tenant::begin(*n, now, 0, &change),
        }
    }
    let folded = folded.expect("nothing was told and there was nothing before");
    assert_eq!(&folded, after, "the fold of what was told differs from what heard it");
    let questions = |tenant: &Tenant| tenant.questions(plans, &fleet(), Token(i64::MIN), 0);
    assert_eq!(questions(&folded), questions(after), "the fold asks other questions");
}

/// Every open question.
pub(crate) fn questions(tenant: &Tenant, plans: &Registry) -> Vec<Asked> {
    tenant.questions(plans, &fleet(), Token(i64::MIN), 0)
}

/// The open question about a row.
pub(crate) fn question(tenant: &Tenant, plans: &Registry, row: &str) -> Option<Question> {
    let asked = questions(tenant, plans).into_iter().map(|asked| asked.command.question);
    asked.into_iter().find(|question| question.row.as_str() == row)
}
