//! Telling: a change becomes a journal row with its facts, exactly as they will be said.

use std::borrow::Cow;

use bytes::Bytes;
use tenantry_audit::Head;
use tenantry_contracts::audit::{self, AuditEvent, AuditKind};
use tenantry_contracts::event::{Assumed, Event, EventKind, OpenGate, TenantRef};
use tenantry_contracts::steps::Remarks;
use tenantry_contracts::topic::REQUESTS;
use tenantry_contracts::{Fact, Fleet, Json, Origin, Refusal, RowName, State, Time, Topic, fact};
use tenantry_ports::Row;
use tenantry_saga::{Begun, Change, Registry, Saga, Set, Tenant, What};

use crate::entry::{Cause, Entry, FORMAT, Note};
use crate::lane::Held;

/// Who tells: everything that a record holds beside what was heard and what it changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice<'a> {
    /// The installation.
    pub(crate) fleet: &'a Fleet,
    /// The plans, for the names of rows.
    pub(crate) plans: &'a Registry,
}

impl Voice<'_> {
    /// The CloudEvents source of what the fleet says.
    fn source(self) -> String {
        format!("/tenantry/{}", self.fleet)
    }
}

/// What was heard, for everything that is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// The record, or nothing for a due time.
    pub(crate) origin: Option<Origin>,
    /// SHA-256 of its value, hexadecimal; empty for a due time.
    pub(crate) digest: String,
    /// When it was heard.
    pub(crate) now: Time,
}

impl Heard {
    fn cause(&self) -> Cause {
        self.origin.clone().map_or(Cause::Timer, Cause::Record)
    }

    /// The digest as the audit may show it. That of a request would let names be tried out: the audit has a salted
    /// commitment to it instead, and where there is no tenant, nothing.
    fn shown(&self) -> Option<String> {
        let request = self.origin.as_ref().is_some_and(|origin| origin.topic == REQUESTS);
        (!request && !self.digest.is_empty()).then(|| self.digest.clone())
    }
}

/// A row and what it says.
pub(crate) struct Told {
    pub(crate) row: Row,
    pub(crate) facts: Vec<Fact>,
}

/// Tells the changes of one hearing, in order. `held` is the tenant after all of them, `before` its state before them.
pub(crate) fn changes(
    voice: Voice<'_>,
    heard: &Heard,
    lane: &tenantry_ports::LaneRow,
    held: &mut Held,
    before: State,
    told: &[(i64, Change)],
    assumed: &[Assumed],
) -> Result<Vec<Told>, serde_json::Error> {
    let over = told.iter().position(|(_, change)| change.over);
    let mut state = before;
    let mut rows = Vec::with_capacity(told.len());
    for (at, (n, told)) in told.iter().enumerate() {
        state = told.state.unwrap_or(state);
        // A saga that ends with one of these changes has already left the tenant.
        let ended = over.is_some_and(|over| at <= over);
        rows.push(change(voice, heard, lane, held, (state, ended), *n, told, assumed)?);
    }
    Ok(rows)
}

#[allow(clippy::too_many_arguments)]
fn change(
    voice: Voice<'_>,
    heard: &Heard,
    lane: &tenantry_ports::LaneRow,
    held: &mut Held,
    (state, ended): (State, bool),
    n: i64,
    change: &Change,
    assumed: &[Assumed],
) -> Result<Told, serde_json::Error> {
    let tenant = &held.tenant;
    let saga = if ended { tenant.last.as_deref() } else { tenant.saga.as_ref() };
    let chain = tenant.id.to_string();
    let reference = reference(tenant);
    let row = change.run.and_then(|run| named(voice.plans, saga?, run));
    let by = change.by.as_deref();
    let remarks = change.output.as_ref().map(remarks).unwrap_or_default();
    let gate = gate(voice.plans, saga, change);
    let event = AuditEvent {
        fleet: voice.fleet.to_string(),
        chain: chain.clone(),
        seq: held.head.seq + 1,
        prev: held.head.prev(),
        cause: heard.origin.clone(),
        digest: heard.shown(),
        alias: alias(voice.plans, saga, change).map(str::to_owned),
        tenant: Some(reference.clone()),
        state: Some(state),
        saga: saga.map(|saga| saga.id),
        plan: change.begun.as_ref().map(|begun| begun.plan.clone()),
        row: row.as_ref().map(|(name, _)| name.clone()),
        step: row.and_then(|(_, step)| step),
        token: change.answered.map(|(token, _)| token),
        took_ms: change.answered.map(|(_, ms)| ms),
        actor: by.map(|by| by.actor.clone()),
        second: by.and_then(|by| by.second.clone()),
        reason: by.map(|by| by.reason.clone()),
        operation: Some(by.map_or_else(
            || saga.map_or(&tenant.request_id, |saga| &saga.request_id).clone(),
            |by| by.id.clone(),
        )),
        decision: by.and_then(|by| by.decision.clone()).or_else(|| remarks.decision.clone()),
        failure: change.failure.clone(),
        commitment: change.seen.clone().or_else(|| {
            let output = change.output.as_ref()?;
            Some(hex::encode(tenantry_audit::digest(output.text().as_bytes())))
        }),
        commitments: change.born.as_ref().map(|born| born.commitments.clone()).unwrap_or_default(),
        note: change.note.clone().or_else(|| change.begun.as_deref().and_then(chosen)),
        ..AuditEvent::new(change.what, heard.now, lane.lane, n)
    };
    let mut facts = vec![audited(voice, &chain, &event)?];
    if let Some(kind) = public(change) {
        let outputs = if kind == EventKind::Provisioned {
            saga.and_then(|saga| outputs(voice.plans, saga))
        } else {
            None
        };
        let answer = Event {
            request: event.operation.clone(),
            tenant: Some(reference),
            state: Some(state),
            saga: event.saga,
            assumed: if kind == EventKind::RequestAccepted { assumed.to_vec() } else { Vec::new() },
            refusal: change.failure.as_ref().map(|failure| Refusal {
                code: failure.code,
                pointer: failure.pointer.clone(),
                message: failure.message.clone(),
            }),
            origin: heard.origin.clone().filter(|_| kind == EventKind::RequestAccepted || by.is_some()),
            outputs,
            gate,
            ..Event::new(kind, heard.now)
        };
        facts.push(said(voice, &answer, tenant.request.slug.as_str(), &format!("{}:{n}", lane.lane))?);
    }
    if !remarks.notices.is_empty() {
        let answer = Event {
            request: event.operation.clone(),
            tenant: event.tenant.clone(),
            state: Some(state),
            saga: event.saga,
            notices: remarks.notices,
            ..Event::new(EventKind::Notice, heard.now)
        };
        let id = format!("{}:{n}:notice", lane.lane);
        facts.push(said(voice, &answer, tenant.request.slug.as_str(), &id)?);
    }
    let entry = Entry {
        format: FORMAT,
        cause: heard.cause(),
        digest: Cow::Borrowed(&heard.digest),
        paused_ms: lane.paused_ms,
        change: Some(Cow::Borrowed(change)),
        note: None,
    };
    let row = Row {
        lane: lane.lane,
        n,
        tenant: Some(tenant.id),
        seq: event.seq,
        prev_n: held.head_n,
        at: heard.now,
        entry: serde_json::to_vec(&entry)?.into(),
        facts: fact::encode(&facts),
    };
    held.head = held.head.after(&facts[0].value);
    held.head_n = n;
    Ok(Told { row, facts })
}

/// Tells a note of the lane's own chain, with the answer to upstream where there is one.
pub(crate) fn note(
    voice: Voice<'_>,
    heard: &Heard,
    lane: &mut tenantry_ports::LaneRow,
    n: i64,
    note: &Note,
    answer: Option<(Event, String)>,
) -> Result<Told, serde_json::Error> {
    let chain = lane.lane.chain();
    let by = note.by.as_deref();
    let head = Head { seq: lane.chain_seq, digest: lane.chain_head };
    let event = AuditEvent {
        fleet: voice.fleet.to_string(),
        chain: chain.clone(),
        seq: head.seq + 1,
        prev: if head.seq == 0 { Head::start(&chain).prev() } else { head.prev() },
        cause: heard.origin.clone(),
        digest: heard.shown(),
        operation: note.request.clone(),
        actor: by.map(|by| by.actor.clone()),
        second: by.and_then(|by| by.second.clone()),
        reason: by.map(|by| by.reason.clone()),
        commitment: note.commitment.clone(),
        note: Some(words(note)).filter(|words| !words.is_empty()),
        ..AuditEvent::new(note.what, heard.now, lane.lane, n)
    };
    let mut facts = vec![audited(voice, &chain, &event)?];
    if let Some((answer, key)) = answer {
        facts.push(said(voice, &answer, &key, &format!("{}:{n}", lane.lane))?);
    }
    let entry = Entry {
        format: FORMAT,
        cause: heard.cause(),
        digest: Cow::Borrowed(&heard.digest),
        paused_ms: lane.paused_ms,
        change: None,
        note: Some(Cow::Borrowed(note)),
    };
    let row = Row {
        lane: lane.lane,
        n,
        tenant: None,
        seq: event.seq,
        prev_n: 0,
        at: heard.now,
        entry: serde_json::to_vec(&entry)?.into(),
        facts: fact::encode(&facts),
    };
    let head = head.after(&facts[0].value);
    (lane.chain_seq, lane.chain_head) = (event.seq, head.digest);
    Ok(Told { row, facts })
}

fn words(note: &Note) -> String {
    let mut words: Vec<String> = note.words.iter().cloned().collect();
    if let Some(tenant) = note.tenant {
        words.push(format!("tenant {tenant}"));
    }
    if let Some(refusal) = &note.refusal {
        words.push(refusal.to_string());
    }
    words.join("; ")
}

fn audited(voice: Voice<'_>, chain: &str, event: &AuditEvent) -> Result<Fact, serde_json::Error> {
    let (headers, value) = audit::encode(event, &voice.source())?;
    Ok(Fact { topic: Topic::Audit, key: Bytes::copy_from_slice(chain.as_bytes()), headers, value })
}

fn said(voice: Voice<'_>, event: &Event, key: &str, id: &str) -> Result<Fact, serde_json::Error> {
    let (headers, value) = event.encode(id, &voice.source(), key)?;
    Ok(Fact { topic: Topic::Events, key: Bytes::copy_from_slice(key.as_bytes()), headers, value })
}

/// Which public event a change is, if it is one.
fn public(change: &Change) -> Option<EventKind> {
    match change.what {
        AuditKind::Requested => Some(EventKind::RequestAccepted),
        AuditKind::Completed => Some(EventKind::Provisioned),
        AuditKind::Rejected => Some(EventKind::Rejected),
        AuditKind::RolledBack => Some(EventKind::RolledBack),
        AuditKind::Held
        | AuditKind::Blocked
        | AuditKind::Stuck
        | AuditKind::GateOpened
        | AuditKind::GateEscalated => Some(EventKind::AttentionNeeded),
        AuditKind::ProofRefused => Some(EventKind::AttentionNeeded),
        // Whatever a person asked for and the tenant took up.
        _ if change.by.is_some() => Some(EventKind::OperationAccepted),
        _ => None,
    }
}

/// The name by which a reader may know what happened: of the kind, else of the row that succeeded.
fn alias(plans: &Registry, saga: Option<&Saga>, change: &Change) -> Option<&'static str> {
    let of_row = || {
        let done = matches!(change.what, AuditKind::StepSucceeded | AuditKind::GateDecided);
        let saga = saga.filter(|_| done && change.failure.is_none())?;
        let plan = plans.find(saga.kind, saga.version)?;
        plan.known_as(plan.rows[usize::from(saga.rows.get(usize::from(change.run?))?.row)].name)
    };
    change.what.alias().or_else(of_row)
}

/// What an output says for the audit and for those who run the fleet. Most say nothing, and are not read for it.
fn remarks(output: &Json) -> Remarks {
    let text = output.text();
    let speaks = text.contains("\"decision\":") || text.contains("\"notices\":");
    if speaks { output.read().unwrap_or_default() } else { Remarks::default() }
}

/// What a saga begins with, in words.
fn chosen(begun: &Begun) -> Option<String> {
    let template = begun.template.as_ref();
    let template = template.map(|template| {
        format!("template {} {} sha256:{}", template.name, template.version, template.digest)
    });
    let preset = begun.preset.as_ref().map(|preset| format!("failure preset {preset}"));
    let words: Vec<_> = template.into_iter().chain(preset).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// The gate that waits from here on, or still.
fn gate(plans: &Registry, saga: Option<&Saga>, change: &Change) -> Option<OpenGate> {
    let saga = saga.filter(|_| matches!(change.what, AuditKind::GateOpened | AuditKind::GateEscalated))?;
    let plan = plans.find(saga.kind, saga.version)?;
    let run = change.run?;
    let (_, Set::Open { until, .. }) = change.moves.iter().find(|(moved, _)| *moved == run)? else {
        return None;
    };
    let row = saga.rows.get(usize::from(run))?.row;
    let What::Gate { role, .. } = plan.rows[usize::from(row)].what else { return None };
    let seen = change.seen.clone().unwrap_or_else(|| saga.seen(plan, row));
    let name = RowName::new(plan.rows[usize::from(row)].name);
    Some(OpenGate { row: name, role: role.to_owned(), seen, until: *until })
}

/// The name of a chosen row, and its step.
fn named(plans: &Registry, saga: &Saga, run: u16) -> Option<(RowName, Option<tenantry_contracts::StepName>)> {
    let plan = plans.find(saga.kind, saga.version)?;
    let row = &plan.rows[usize::from(saga.rows.get(usize::from(run))?.row)];
    let step = match &row.what {
        What::Step { step, .. } => Some(step.clone()),
        _ => None,
    };
    Some((RowName::new(row.name), step))
}

/// What was made, by row.
fn outputs(plans: &Registry, saga: &Saga) -> Option<Json> {
    let plan = plans.find(saga.kind, saga.version)?;
    let made: std::collections::BTreeMap<&str, &Json> = saga
        .rows
        .iter()
        .filter_map(|run| Some((plan.rows[usize::from(run.row)].name, run.output.as_ref()?)))
        .collect();
    Json::of(&made).ok()
}

/// A tenant's names, for events.
pub(crate) fn reference(tenant: &Tenant) -> TenantRef {
    TenantRef {
        id: tenant.id,
        slug: tenant.request.slug.clone(),
        environment: tenant.request.environment.clone(),
    }
}
