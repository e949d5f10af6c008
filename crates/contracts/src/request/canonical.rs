//! The fleet's own shape: the normal form's members in snake case.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Request;
use super::draft::{Draft, DraftAdmin, maybe, said};
use crate::strict::maybe_object;
use crate::{Json, Refusal, TenantId};

/// A request in the fleet's own shape. Only the name is required.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Tenant request, canonical shape")]
pub struct Document {
    /// The display name: 1 to 200 printable characters of one line.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// The tenant's short name. Derived from `name` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::schema::SLUG))]
    pub slug: Option<String>,
    /// The tenant's environment; `prod` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::schema::ENVIRONMENT))]
    pub environment: Option<String>,
    /// The tenant's id, where upstream brings one; the fleet makes one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// The organisation, where it is named apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// The first administrator.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_object")]
    pub admin: Option<Admin>,
    /// The plan; the fleet's default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// `monthly` or `yearly`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_cycle: Option<String>,
    /// Features asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// The tenant's own host name, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Integrations asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub integrations: Vec<String>,
    /// Settings and branding: carried, not understood. No secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub customisation: BTreeMap<String, Json>,
    /// Where data must stay (US, EU, ...).
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
    /// Modules to enable; the fleet's default set where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
    /// Whether demonstration data is wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub demo_data: bool,
    /// The end of the tenant's validity, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub valid_until: Option<String>,
    /// Who asks: the account of a person. Nobody approves what they asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// `admin` or `self`: whether the platform's admins ask or the tenant's own people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiator: Option<String>,
    /// A reference to an onboarding that was approved already, elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
}

/// The first administrator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// The address that the claim link goes to.
    #[schemars(extend("format" = "email"))]
    pub email: String,
    /// The given name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// The family name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// The role; the fleet's default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

impl Document {
    pub(super) fn draft(self) -> Result<Draft, Refusal> {
        Ok(Draft {
            requested_by: maybe(self.requested_by, "/requested_by"),
            initiator: maybe(self.initiator, "/initiator"),
            approval: maybe(self.approval, "/approval"),
            slug: maybe(self.slug, "/slug"),
            environment: maybe(self.environment, "/environment"),
            tenant: self.tenant,
            organization: maybe(self.organization, "/organization"),
            admin: self.admin.map(|admin| DraftAdmin {
                email: said(admin.email, "/admin/email"),
                first_name: maybe(admin.first_name, "/admin/first_name"),
                last_name: maybe(admin.last_name, "/admin/last_name"),
                role: maybe(admin.role, "/admin/role"),
            }),
            plan: maybe(self.plan, "/plan"),
            billing_cycle: maybe(self.billing_cycle, "/billing_cycle"),
            features: said(self.features, "/features"),
            domain: maybe(self.domain, "/domain"),
            integrations: said(self.integrations, "/integrations"),
            customisation: said(self.customisation, "/customisation"),
            residency: maybe(self.residency, "/residency"),
            region: maybe(self.region, "/region"),
            retention_days: self.retention_days,
            encryption: maybe(self.encryption, "/encryption"),
            seats: self.seats,
            storage_bytes: self.storage_bytes,
            modules: said(self.modules, "/modules"),
            demo_data: self.demo_data,
            valid_until: maybe(self.valid_until, "/valid_until"),
            ..Draft::new(said(self.name, "/name"))
        })
    }
}

/// A request said again in the fleet's own shape; reading it yields the same request.
impl From<Request<String>> for Document {
    fn from(request: Request<String>) -> Self {
        // The customisation is written by the fleet as one object; one that is none has nothing to say.
        let customisation =
            request.customisation.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Self {
            name: request.name,
            slug: Some(request.slug.to_string()),
            environment: Some(request.environment.to_string()),
            tenant: request.tenant,
            organization: request.organization,
            admin: request.admin.map(|admin| Admin {
                email: admin.email,
                first_name: admin.first_name,
                last_name: admin.last_name,
                role: admin.role,
            }),
            plan: Some(request.plan),
            billing_cycle: request.billing_cycle,
            features: request.features,
            domain: request.domain,
            integrations: request.integrations,
            customisation,
            residency: request.residency,
            region: request.region,
            retention_days: request.retention_days,
            encryption: request.encryption,
            seats: request.seats,
            storage_bytes: request.storage_bytes,
            modules: request.modules,
            demo_data: request.demo_data,
            valid_until: request.valid_until.map(|until| until.to_string()),
            requested_by: request.requested_by,
            initiator: request.initiator,
            approval: request.approval,
        }
    }
}
