//! The `TenantProvisioningRequest` interface: nested, camelCase, everything in it (seed 001).
//!
//! What the interface requires is required, what it marks optional is optional.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draft::{Draft, DraftAdmin, Parts, maybe, said};
use crate::event::Assumed;
use crate::strict::{maybe_object, object};
use crate::{Json, Refusal};

/// What tells this shape from the others.
pub(super) const MARKERS: &[&str] =
    &["tenantName", "organizationName", "adminUser", "subscription", "configuration", "compliance"];

/// A request as the interface declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "Tenant request, interface shape")]
pub struct Document {
    /// The display name; the slug is derived from it.
    #[schemars(length(min = 1, max = 200))]
    pub tenant_name: String,
    /// The organisation.
    pub organization_name: String,
    /// The first administrator.
    #[serde(deserialize_with = "object")]
    pub admin_user: AdminUser,
    /// What is bought.
    #[serde(deserialize_with = "object")]
    pub subscription: Subscription,
    /// How it is set up.
    #[serde(deserialize_with = "object")]
    pub configuration: Configuration,
    /// What the law asks for.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_object")]
    pub compliance: Option<Compliance>,
}

/// The first administrator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AdminUser {
    /// The address that the claim link goes to.
    #[schemars(extend("format" = "email"))]
    pub email: String,
    /// The given name.
    pub first_name: String,
    /// The family name.
    pub last_name: String,
    /// The role.
    pub role: String,
}

/// What is bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Subscription {
    /// The plan: starter, professional, enterprise.
    pub plan: String,
    /// `monthly` or `yearly`.
    pub billing_cycle: String,
    /// Features asked for.
    pub features: Vec<String>,
}

/// How it is set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Configuration {
    /// The tenant's own host name, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_domain: Option<String>,
    /// Colours and logos: carried as part of the customisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branding: Option<BTreeMap<String, Json>>,
    /// Integrations asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrations: Option<Vec<String>>,
    /// Settings of any form: carried as part of the customisation. No secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<BTreeMap<String, Json>>,
}

/// What the law asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Compliance {
    /// Where data must stay (US, EU, ...).
    pub data_residency: String,
    /// For how long data is kept; read as days.
    pub retention_period: u32,
    /// `standard` or `enhanced`.
    pub encryption_level: String,
}

impl Document {
    pub(super) fn draft(self) -> Result<Draft, Refusal> {
        let Configuration { custom_domain, branding, integrations, settings } = self.configuration;
        let parts = [("branding", branding), ("settings", settings)];
        let parts: Parts = parts
            .into_iter()
            .filter_map(|(name, part)| Some((name.to_owned(), Json::of(&part?).ok()?)))
            .collect();
        let mut draft = Draft {
            organization: Some(said(self.organization_name, "/organizationName")),
            admin: Some(DraftAdmin {
                email: said(self.admin_user.email, "/adminUser/email"),
                first_name: Some(said(self.admin_user.first_name, "/adminUser/firstName")),
                last_name: Some(said(self.admin_user.last_name, "/adminUser/lastName")),
                role: Some(said(self.admin_user.role, "/adminUser/role")),
            }),
            plan: Some(said(self.subscription.plan, "/subscription/plan")),
            billing_cycle: Some(said(self.subscription.billing_cycle, "/subscription/billingCycle")),
            features: said(self.subscription.features, "/subscription/features"),
            domain: maybe(custom_domain, "/configuration/customDomain"),
            integrations: said(integrations.unwrap_or_default(), "/configuration/integrations"),
            customisation: said(parts, "/configuration"),
            ..Draft::new(said(self.tenant_name, "/tenantName"))
        };
        if let Some(compliance) = self.compliance {
            let days = compliance.retention_period;
            draft.residency = Some(said(compliance.data_residency, "/compliance/dataResidency"));
            draft.retention_days = Some(days);
            draft.encryption = Some(said(compliance.encryption_level, "/compliance/encryptionLevel"));
            draft.assumed.push(Assumed {
                field: "/retention_days".into(),
                value: days.to_string(),
                why: "retentionPeriod names no unit; it is read as days".into(),
            });
        }
        Ok(draft)
    }
}
