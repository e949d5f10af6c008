//! What a plan is: a table of rows that one can read aloud.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tenantry_contracts::audit::PlanRef;
use tenantry_contracts::catalogue::Template;
use tenantry_contracts::request::{Kind, Request};
use tenantry_contracts::result::Failure;
use tenantry_contracts::{Class, Json, StepName, WorkerName};

use crate::{Rules, View};

/// The plan of one kind of saga, in one version that is never edited once it is released.
#[derive(Debug)]
pub struct Plan {
    /// The kind.
    pub kind: Kind,
    /// The version, counted from one.
    pub version: u16,
    /// The rows. A row waits only for rows above it.
    pub rows: &'static [Row],
    /// Rows whose success readers of the audit know by another name too.
    pub known_as: &'static [(&'static str, &'static str)],
}

/// One row: a step, a gate, a wait, or the pivot.
#[derive(Debug)]
pub struct Row {
    /// Its name, unique in the plan.
    pub name: &'static str,
    /// What it is.
    pub what: What,
    /// The rows that must be done before it begins.
    pub waits_for: &'static [&'static str],
    /// Whether it is chosen for a saga at all.
    pub when: When,
    /// What a final failure means.
    pub end: End,
}

/// What a row is.
#[derive(Debug)]
pub enum What {
    /// A question to a worker.
    Step {
        /// Who is asked.
        worker: WorkerName,
        /// What it is asked to do.
        step: StepName,
        /// How its input is made from the request and the outputs of earlier rows.
        input: InputFn,
        /// How often it is asked in all before an exhausted or unanswered question is final.
        attempts: u8,
        /// How long one question stays open, in milliseconds.
        limit_ms: i64,
        /// The same two for its undo.
        undo: (u8, i64),
    },
    /// A decision by a person with a role.
    Gate {
        /// Who may decide.
        role: &'static str,
        /// An approval must carry the digest of what was seen, and holds for that only.
        binds: bool,
        /// After how many milliseconds without a decision somebody is told; 0: never.
        escalates_ms: i64,
        /// After how many milliseconds no decision is a *no*.
        expires_ms: i64,
    },
    /// A clock.
    Wait {
        /// For how many milliseconds.
        for_ms: i64,
    },
    /// From here on the saga only goes forward.
    Pivot,
}

/// Makes a step's input.
pub type InputFn = fn(&View<'_>) -> Result<Json, Failure>;

/// Whether a row is chosen. Data, so that it can be printed, digested and explained.
#[derive(Debug)]
pub enum When {
    /// In every saga.
    Always,
    /// Where this capability pack is switched on.
    Pack(&'static str),
    /// For requests of the plan with this template.
    Template(&'static str),
    /// Where the fleet or the plan's template asks for this approval.
    Approval(&'static str),
    /// Where the request has this field.
    Field(Field),
    /// Where all hold.
    All(&'static [When]),
    /// Where any holds.
    Any(&'static [When]),
    /// Where it does not hold.
    Not(&'static When),
}

/// A field of the request that a [`When`] can look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A domain of the tenant's own.
    Domain,
    /// A first administrator.
    Admin,
    /// Settings or branding.
    Customisation,
    /// Demonstration data.
    DemoData,
    /// A reference to an approval that was given elsewhere.
    Approval,
}

/// What a final failure means, by default and for some classes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct End {
    /// The default.
    #[serde(rename = "d")]
    pub default: Then,
    /// Exceptions by class, the first that matches.
    #[serde(default, rename = "x", skip_serializing_if = "<[_]>::is_empty")]
    pub except: std::borrow::Cow<'static, [(Class, Then)]>,
    /// How often the step is asked in all before it is final, where a preset says so; else as in the plan.
    #[serde(default, rename = "n", skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u8>,
}

/// What follows a final failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// Undo everything.
    Compensate,
    /// Park until a person retries or cancels.
    Hold,
    /// Go on without it, and say so.
    Degrade,
    /// Let a person choose: retry, go on without it, undo everything.
    Ask,
    /// Refuse the request. Whatever the row may have left is undone first, as by [`Then::Compensate`].
    Reject,
}

impl End {
    /// The same for every class.
    pub const fn always(default: Then) -> Self {
        Self { default, except: std::borrow::Cow::Borrowed(&[]), attempts: None }
    }

    /// With exceptions.
    pub const fn with(default: Then, except: &'static [(Class, Then)]) -> Self {
        Self { default, except: std::borrow::Cow::Borrowed(except), attempts: None }
    }

    /// What a failure of this class means.
    pub fn of(&self, class: Class) -> Then {
        self.except.iter().find(|(have, _)| *have == class).map_or(self.default, |(_, then)| *then)
    }
}

impl Plan {
    /// Checked as the plan compiles: names are unique, a row waits only for rows above it, there is at most one pivot,
    /// and every step is asked at least once and has time to answer.
    pub const fn is_sound(&self) -> bool {
        let mut pivots = 0;
        let mut i = 0;
        while i < self.rows.len() {
            let row = &self.rows[i];
            if row.name.is_empty() || index_of(self.rows, row.name, i).is_some() {
                return false;
            }
            let mut w = 0;
            while w < row.waits_for.len() {
                if index_of(self.rows, row.waits_for[w], i).is_none() {
                    return false;
                }
                w += 1;
            }
            if let What::Pivot = row.what {
                pivots += 1;
            }
            if let What::Step { attempts, limit_ms, undo, .. } = row.what
                && (attempts == 0 || limit_ms <= 0 || undo.0 == 0 || undo.1 <= 0)
            {
                return false;
            }
            i += 1;
        }
        pivots <= 1 && !self.rows.is_empty()
    }

    /// The index of a row by its name.
    pub fn index_of(&self, name: &str) -> Option<u16> {
        index_of(self.rows, name, self.rows.len()).map(|at| at as u16)
    }

    /// The name by which readers of the audit know the success of a row, where they have one.
    pub fn known_as(&self, row: &str) -> Option<&'static str> {
        self.known_as.iter().find(|(name, _)| *name == row).map(|(_, known)| *known)
    }

    /// Kind and version, as in `provision/1`, with the digest of the printed plan.
    pub fn reference(&self) -> PlanRef {
        let digest = hex::encode(Sha256::digest(self.to_string().as_bytes()));
        PlanRef { name: format!("{}/{}", self.kind.as_str(), self.version), digest }
    }
}

const fn index_of(rows: &[Row], name: &str, below: usize) -> Option<usize> {
    let mut i = 0;
    while i < below {
        if same(rows[i].name.as_bytes(), name.as_bytes()) {
            return Some(i);
        }
        i += 1;
    }
    None
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

impl When {
    /// Whether the row is chosen for this request in a fleet with these rules. `template` is that of the request's plan.
    pub fn holds(&self, request: &Request, template: Option<&Template>, rules: &Rules) -> bool {
        match self {
            Self::Always => true,
            Self::Pack(pack) => rules.packs.iter().any(|have| have == pack),
            Self::Template(name) => template.map_or(request.plan == *name, |template| template.id == *name),
            Self::Approval(name) => {
                rules.approvals.iter().any(|have| have == name)
                    || template.is_some_and(|template| template.needs(name))
            }
            Self::Field(field) => match field {
                Field::Domain => request.domain.is_some(),
                Field::Admin => request.admin.is_some(),
                Field::Customisation => request.customisation.is_some(),
                Field::DemoData => request.demo_data,
                Field::Approval => request.approval.is_some(),
            },
            Self::All(all) => all.iter().all(|when| when.holds(request, template, rules)),
            Self::Any(any) => any.iter().any(|when| when.holds(request, template, rules)),
            Self::Not(when) => !when.holds(request, template, rules),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, word: &str, of: &[Self]| {
            write!(f, "{word}(")?;
            for (i, when) in of.iter().enumerate() {
                write!(f, "{}{when}", if i > 0 { ", " } else { "" })?;
            }
            f.write_str(")")
        };
        match self {
            Self::Always => f.write_str("always"),
            Self::Pack(pack) => write!(f, "pack {pack}"),
            Self::Template(name) => write!(f, "template {name}"),
            Self::Approval(name) => write!(f, "approval {name}"),
            Self::Field(field) => write!(f, "field {field:?}"),
            Self::Not(when) => write!(f, "not {when}"),
            Self::All(all) => list(f, "all", all),
            Self::Any(any) => list(f, "any", any),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}/{}", self.kind.as_str(), self.version)?;
        for row in self.rows {
            write!(f, "{}: ", row.name)?;
            match &row.what {
                What::Step { worker, step, attempts, limit_ms, undo, .. } => write!(
                    f,
                    "step {step} of {worker}, {attempts} x {limit_ms} ms, undo {} x {} ms",
                    undo.0, undo.1
                )?,
                What::Gate { role, binds, escalates_ms, expires_ms } => {
                    write!(f, "gate for {role}, ")?;
                    if *binds {
                        f.write_str("binds what was seen, ")?;
                    }
                    if *escalates_ms > 0 {
                        write!(f, "escalates after {escalates_ms} ms, ")?;
                    }
                    write!(f, "expires after {expires_ms} ms")?
                }
                What::Wait { for_ms } => write!(f, "wait {for_ms} ms")?,
                What::Pivot => f.write_str("pivot")?,
            }
            write!(f, "; waits for [{}]; {}; {:?}", row.waits_for.join(", "), row.when, row.end.default)?;
            for (class, then) in row.end.except.iter() {
                write!(f, ", {} {then:?}", class.as_str())?;
            }
            match self.known_as(row.name) {
                Some(name) => writeln!(f, "; known as {name}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
