//! What a document said, before it is checked: one form for all shapes, each value with the place where it stood.

use std::collections::BTreeMap;

use super::{Admin, Kind, Request, secrets, slug, text};
use crate::event::Assumed;
use crate::{Code, Environment, Json, Refusal, Slug, TenantId, Time};

/// The most bytes of settings and branding together.
const CUSTOMISATION_BYTES: usize = 64 << 10;

/// A value and the JSON pointer where it stood.
pub(super) struct Said<T> {
    what: T,
    at: &'static str,
}

/// A value that stood at a place.
pub(super) fn said<T>(what: T, at: &'static str) -> Said<T> {
    Said { what, at }
}

/// A value that may have stood at a place.
pub(super) fn maybe<T>(what: Option<T>, at: &'static str) -> Option<Said<T>> {
    what.map(|what| Said { what, at })
}

impl<T> Said<T> {
    fn check<U>(self, grammar: impl FnOnce(T) -> Result<U, Refusal>) -> Result<U, Refusal> {
        grammar(self.what).map_err(|refusal| refusal.at(self.at))
    }
}

/// Parts of a document that are carried, not understood.
pub(super) type Parts = BTreeMap<String, Json>;

/// A document, unchecked.
pub(super) struct Draft {
    pub(super) name: Said<String>,
    pub(super) requested_by: Option<Said<String>>,
    pub(super) initiator: Option<Said<String>>,
    pub(super) approval: Option<Said<String>>,
    pub(super) slug: Option<Said<String>>,
    pub(super) environment: Option<Said<String>>,
    pub(super) tenant: Option<TenantId>,
    pub(super) organization: Option<Said<String>>,
    pub(super) admin: Option<DraftAdmin>,
    pub(super) plan: Option<Said<String>>,
    pub(super) billing_cycle: Option<Said<String>>,
    pub(super) features: Said<Vec<String>>,
    pub(super) domain: Option<Said<String>>,
    pub(super) integrations: Said<Vec<String>>,
    pub(super) customisation: Said<Parts>,
    pub(super) residency: Option<Said<String>>,
    pub(super) region: Option<Said<String>>,
    pub(super) retention_days: Option<u32>,
    pub(super) encryption: Option<Said<String>>,
    pub(super) seats: Option<u32>,
    pub(super) storage_bytes: Option<u64>,
    pub(super) modules: Said<Vec<String>>,
    pub(super) demo_data: bool,
    pub(super) valid_until: Option<Said<String>>,
    /// What the shape itself leaves open and its reader filled in.
    pub(super) assumed: Vec<Assumed>,
}

/// An administrator, unchecked.
pub(super) struct DraftAdmin {
    pub(super) email: Said<String>,
    pub(super) first_name: Option<Said<String>>,
    pub(super) last_name: Option<Said<String>>,
    pub(super) role: Option<Said<String>>,
}

impl DraftAdmin {
    /// Somebody of whom only the address is known.
    pub(super) fn by_email(email: Said<String>) -> Self {
        Self { email, first_name: None, last_name: None, role: None }
    }

    fn check(self) -> Result<Admin<String>, Refusal> {
        Ok(Admin {
            email: self.email.check(|email| text::email(&email))?,
            first_name: checked(self.first_name, text::name)?,
            last_name: checked(self.last_name, text::name)?,
            role: checked(self.role, text::word)?,
        })
    }
}

impl Draft {
    /// A document of which only the name is known yet.
    pub(super) fn new(name: Said<String>) -> Self {
        Self {
            name,
            requested_by: None,
            initiator: None,
            approval: None,
            slug: None,
            environment: None,
            tenant: None,
            organization: None,
            admin: None,
            plan: None,
            billing_cycle: None,
            features: said(Vec::new(), "/features"),
            domain: None,
            integrations: said(Vec::new(), "/integrations"),
            customisation: said(Parts::new(), "/customisation"),
            residency: None,
            region: None,
            retention_days: None,
            encryption: None,
            seats: None,
            storage_bytes: None,
            modules: said(Vec::new(), "/modules"),
            demo_data: false,
            valid_until: None,
            assumed: Vec::new(),
        }
    }

    /// Checks every value and fills in what was not said.
    pub(super) fn finish(self, default_plan: &str) -> Result<(Request<String>, Vec<Assumed>), Refusal> {
        let mut assumed = self.assumed;
        let mut assume = |field: &str, value: &str, why: &str| {
            assumed.push(Assumed { field: field.into(), value: value.into(), why: why.into() });
        };
        let name_at = self.name.at;
        let name = self.name.check(|name| text::name(&name))?;
        let slug = match self.slug {
            Some(slug) => slug.check(|slug| Slug::parse(&slug))?,
            None => {
                let slug = slug::derive(&name).map_err(|refusal| refusal.at(name_at))?;
                assume("/slug", slug.as_str(), "the request names no slug; it is derived from the name");
                slug
            }
        };
        let environment = match self.environment {
            Some(environment) => environment.check(|environment| Environment::parse(&environment))?,
            None => {
                let environment = Environment::default();
                assume("/environment", environment.as_str(), "the request names no environment");
                environment
            }
        };
        let plan = match self.plan {
            Some(plan) => plan.check(|plan| text::lower(&plan))?,
            None => {
                assume("/plan", default_plan, "the request names no plan; this is the fleet's default");
                default_plan.to_owned()
            }
        };
        let request = Request {
            kind: Kind::Provision,
            environment,
            slug,
            tenant: self.tenant,
            requested_by: checked(self.requested_by, text::name)?,
            initiator: checked(self.initiator, |who| text::one_of(who, &["admin", "self"]))?
                .filter(|who| who == "self"),
            approval: checked(self.approval, text::label)?,
            name,
            organization: checked(self.organization, text::name)?,
            admin: self.admin.map(DraftAdmin::check).transpose()?,
            plan,
            billing_cycle: checked(self.billing_cycle, |cycle| text::one_of(cycle, &["monthly", "yearly"]))?,
            features: text::list(&self.features.what, self.features.at, text::label)?,
            domain: checked(self.domain, text::domain)?,
            integrations: text::list(&self.integrations.what, self.integrations.at, text::label)?,
            customisation: customisation(self.customisation)?,
            residency: checked(self.residency, text::upper)?,
            region: checked(self.region, text::word)?,
            retention_days: self.retention_days,
            encryption: checked(self.encryption, |level| text::one_of(level, &["standard", "enhanced"]))?,
            seats: self.seats,
            storage_bytes: self.storage_bytes,
            modules: text::list(&self.modules.what, self.modules.at, text::lower)?,
            demo_data: self.demo_data,
            valid_until: self.valid_until.map(|until| until.check(|until| time(&until))).transpose()?,
        };
        Ok((request, assumed))
    }
}

fn checked(
    said: Option<Said<String>>,
    grammar: impl FnOnce(&str) -> Result<String, Refusal>,
) -> Result<Option<String>, Refusal> {
    said.map(|said| said.check(|what| grammar(&what))).transpose()
}

fn time(text: &str) -> Result<Time, Refusal> {
    Time::parse(text).ok_or_else(|| Refusal::new(Code::FieldInvalid, "expected an RFC 3339 time"))
}

/// The parts as one JSON document, members in order of their names, each exactly as it was sent.
fn customisation(said: Said<Parts>) -> Result<Option<String>, Refusal> {
    if said.what.is_empty() {
        return Ok(None);
    }
    secrets::refuse(&said.what, said.at)?;
    said.check(|parts| {
        let text = serde_json::to_string(&parts)
            .map_err(|_| Refusal::new(Code::FieldInvalid, "settings that have no JSON form"))?;
        if text.len() > CUSTOMISATION_BYTES {
            let message = format!("settings and branding over {CUSTOMISATION_BYTES} bytes");
            return Err(Refusal::new(Code::FieldInvalid, message));
        }
        Ok(Some(text))
    })
}
