//! The onboarding guide's request: a name, a domain and somebody to write to, snake case (seed 003).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draft::{Draft, DraftAdmin, Parts, maybe, said};
use crate::{Json, Refusal, TenantId};

/// What tells this shape from the others.
pub(super) const MARKERS: &[&str] = &["contact_email", "theme", "limits"];

/// A request as the onboarding guide shows it, with the members of its tenant settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Tenant request, onboarding shape", extend("anyOf" = crate::schema::any_of(MARKERS)))]
pub struct Document {
    /// The tenant's id, where upstream brings one; the fleet makes one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<TenantId>,
    /// The display name; the slug is derived from it.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// The tenant's own host name, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The first administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "email"))]
    pub contact_email: Option<String>,
    /// Colours and branding: carried as part of the customisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theme: Option<Json>,
    /// Resource quotas: carried as part of the customisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Json>,
}

impl Document {
    pub(super) fn draft(self) -> Result<Draft, Refusal> {
        let parts = [("theme", self.theme), ("limits", self.limits)];
        let parts: Parts =
            parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part?))).collect();
        Ok(Draft {
            tenant: self.id,
            domain: maybe(self.domain, "/domain"),
            admin: maybe(self.contact_email, "/contact_email").map(DraftAdmin::by_email),
            customisation: said(parts, ""),
            ..Draft::new(said(self.name, "/name"))
        })
    }
}
