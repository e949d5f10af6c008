//! The lifecycle service's `CreateTenant`: provider, connection string template, validity, demo data (seed 004).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draft::{Draft, DraftAdmin, Parts, maybe, said};
use super::secrets;
use crate::{Code, Json, Refusal, TenantId};

/// What tells this shape from the others.
pub(super) const MARKERS: &[&str] =
    &["provider", "connectionStringTemplate", "adminEmail", "issuer", "validUntil", "demoData"];

/// A request as `CreateTenant` sends it. Only the name is required.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "Tenant request, lifecycle shape", extend("anyOf" = crate::schema::any_of(MARKERS)))]
pub struct Document {
    /// The tenant's id where it is a UUID, else its short name. Derived from `name` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The display name.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// The database's kind: `postgresql`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// How the tenant's database is reached; without a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_string_template: Option<String>,
    /// The first administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "email"))]
    pub admin_email: Option<String>,
    /// The issuer of the tenant's tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The end of the tenant's validity, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub valid_until: Option<String>,
    /// Whether demonstration data is wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub demo_data: bool,
    /// Modules to enable; the fleet's default set where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
    /// The plan; the fleet's default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The tenant's environment; `prod` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::schema::ENVIRONMENT))]
    pub environment: Option<String>,
}

impl Document {
    pub(super) fn draft(self) -> Result<Draft, Refusal> {
        if let Some(provider) = &self.provider {
            let known = ["postgresql", "postgres", "npgsql"];
            if !known.contains(&provider.trim().to_ascii_lowercase().as_str()) {
                let message = "this fleet makes tenants on PostgreSQL only; expected postgresql";
                return Err(Refusal::new(Code::FieldInvalid, message).at("/provider"));
            }
        }
        if self.connection_string_template.as_deref().is_some_and(secrets::is_in) {
            return Err(secrets::refusal().at("/connectionStringTemplate"));
        }
        let parts = [("connectionStringTemplate", self.connection_string_template), ("issuer", self.issuer)];
        let parts: Parts = parts
            .into_iter()
            .filter_map(|(name, part)| Some((name.to_owned(), Json::of(&part?).ok()?)))
            .collect();
        let tenant: Option<TenantId> = self.id.as_deref().and_then(|id| id.parse().ok());
        let slug = self.id.filter(|_| tenant.is_none());
        Ok(Draft {
            tenant,
            slug: maybe(slug, "/id"),
            admin: maybe(self.admin_email, "/adminEmail").map(DraftAdmin::by_email),
            valid_until: maybe(self.valid_until, "/validUntil"),
            demo_data: self.demo_data,
            modules: said(self.modules, "/modules"),
            plan: maybe(self.plan, "/plan"),
            environment: maybe(self.environment, "/environment"),
            customisation: said(parts, ""),
            ..Draft::new(said(self.name, "/name"))
        })
    }
}
