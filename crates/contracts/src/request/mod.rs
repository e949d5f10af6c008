//! What upstream asks for, in one normal form whatever shape it came in.
//!
//! [`decode`] reads a record. Each accepted shape has a file of its own, all alike: a closed type and its way into a
//! `Draft`, which checks every value and fills in what was not said.

pub mod admin;
pub mod canonical;
mod correct;
mod decode;
mod draft;
pub mod interface;
pub mod lifecycle;
pub mod onboarding;
mod secrets;
pub mod slug;
pub mod target;
mod text;

pub use correct::CORRECTABLE;
pub use decode::{ALIAS, Decoded, TYPE, decode};

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::envelope::Outgoing;
use crate::event::Assumed;
use crate::{Environment, Headers, RequestId, Sealed, Slug, TenantId, Time};

/// The kinds of saga that a request can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Make a tenant.
    Provision,
    /// Enable one that was made inactive.
    Activate,
    /// Take it out of service, keep everything.
    Suspend,
    /// Bring it back.
    Resume,
    /// Change its configuration or plan.
    Update,
    /// Take it out of service for ever.
    Offboard,
    /// Compare what is with what should be.
    Reconcile,
}

impl Kind {
    /// The CloudEvents types of requests, in their only version so far, and the kind that each asks for.
    pub const TYPES: [(&'static str, Self); 8] = [
        (TYPE, Self::Provision),
        ("tenant.activate.requested.v1", Self::Activate),
        ("tenant.suspend.requested.v1", Self::Suspend),
        ("tenant.resume.requested.v1", Self::Resume),
        ("tenant.config.update.requested.v1", Self::Update),
        ("tenant.plan.change.requested.v1", Self::Update),
        ("tenant.offboard.requested.v1", Self::Offboard),
        ("tenant.reconcile.requested.v1", Self::Reconcile),
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::Activate => "activate",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Update => "update",
            Self::Offboard => "offboard",
            Self::Reconcile => "reconcile",
        }
    }
}

/// A request in normal form. `P` is how personal data stands in it: in clear as it was heard, sealed from then on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(bound(deserialize = "P: Deserialize<'de>"))]
pub struct Request<P = Sealed> {
    /// What is asked for.
    pub kind: Kind,
    /// The tenant's environment.
    pub environment: Environment,
    /// The tenant's slug.
    pub slug: Slug,
    /// The tenant's id, where upstream brought one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Who asks: the account of a person, where upstream names one. Nobody approves what they asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<P>,
    /// `self` where the tenant's own people ask for it; the platform's admins ask where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiator: Option<String>,
    /// A reference to an onboarding that was approved already, elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// The display name.
    pub name: P,
    /// The organisation, where it is named apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<P>,
    /// The first administrator, or the contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<Admin<P>>,
    /// The plan, in lower case.
    pub plan: String,
    /// `monthly` or `yearly`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_cycle: Option<String>,
    /// Features asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// The tenant's own host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Integrations asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub integrations: Vec<String>,
    /// Settings and branding, one JSON document as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customisation: Option<P>,
    /// Where data must stay, in upper case (US, EU, ...).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residency: Option<String>,
    /// Where the tenant is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Days for which data is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// `standard` or `enhanced`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Seats asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats: Option<u32>,
    /// Storage asked for, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_bytes: Option<u64>,
    /// Modules to enable; empty means the fleet's default set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
    /// Whether demonstration data is wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub demo_data: bool,
    /// The end of the tenant's validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
}

/// A person who administers the tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(bound(deserialize = "P: Deserialize<'de>"))]
pub struct Admin<P = Sealed> {
    /// The address that the claim link goes to.
    pub email: P,
    /// The given name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<P>,
    /// The family name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<P>,
    /// The role; the fleet's default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

impl Request<String> {
    /// Seals what is personal. `seal` gets the field's name and the clear text.
    pub fn seal(self, mut seal: impl FnMut(&'static str, &str) -> Sealed) -> Request<Sealed> {
        let requested_by = self.requested_by.map(|text| seal("requested_by", &text));
        let organization = self.organization.map(|text| seal("organization", &text));
        let customisation = self.customisation.map(|text| seal("customisation", &text));
        let admin = self.admin.map(|admin| Admin {
            email: seal("admin.email", &admin.email),
            first_name: admin.first_name.map(|text| seal("admin.first_name", &text)),
            last_name: admin.last_name.map(|text| seal("admin.last_name", &text)),
            role: admin.role,
        });
        Request {
            name: seal("name", &self.name),
            requested_by,
            initiator: self.initiator,
            approval: self.approval,
            organization,
            admin,
            customisation,
            kind: self.kind,
            environment: self.environment,
            slug: self.slug,
            tenant: self.tenant,
            plan: self.plan,
            billing_cycle: self.billing_cycle,
            features: self.features,
            domain: self.domain,
            integrations: self.integrations,
            residency: self.residency,
            region: self.region,
            retention_days: self.retention_days,
            encryption: self.encryption,
            seats: self.seats,
            storage_bytes: self.storage_bytes,
            modules: self.modules,
            demo_data: self.demo_data,
            valid_until: self.valid_until,
        }
    }
}

/// The headers of a request for publishing: binary mode, and the trace context where there is one.
///
/// `kind` is one of [`Kind::TYPES`]; `key` is the record's key, the slug.
pub fn headers(
    kind: &'static str,
    id: &RequestId,
    at: Time,
    key: &str,
    traceparent: Option<&str>,
) -> Headers {
    let RequestId { source, id } = id;
    let mut headers = Outgoing { kind, id, source, time: at, subject: key, key }.headers();
    if let Some(trace) = traceparent {
        headers.push(("traceparent".into(), Bytes::copy_from_slice(trace.as_bytes())));
    }
    headers
}

/// A requester without the name: who asks for a tenant is known again as an approver, and is not read.
pub fn requester(tenant: TenantId, account: &str) -> String {
    let account = account.trim().to_lowercase();
    hex::encode(Sha256::digest(format!("tenantry/1\nrequester\n{tenant}\n{account}")))
}

/// A request as it was understood: who asked, when, what, and what had to be assumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Who asked: equal ids are the same request.
    pub id: RequestId,
    /// When upstream says it asked (`ce_time`, else the record's time).
    pub asked: Time,
    /// SHA-256 of the document's exact bytes.
    pub digest: [u8; 32],
    /// The W3C trace context that came with it.
    pub traceparent: Option<String>,
    /// What is asked.
    pub request: Request<String>,
    /// What the request did not say.
    pub assumed: Vec<Assumed>,
}
