//! The admin console's request: flat, camelCase, with seats and an estimate of storage (seed 002).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draft::{Draft, maybe, said};
use crate::Refusal;

/// What tells this shape from the others.
pub(super) const MARKERS: &[&str] = &["requestedSeats", "storageEstimateBytes"];

/// A request as the admin console sends it. Only the name is required.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "Tenant request, admin shape", extend("anyOf" = crate::schema::any_of(MARKERS)))]
pub struct Document {
    /// The display name.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// The tenant's short name. Derived from `name` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::schema::SLUG))]
    pub slug: Option<String>,
    /// Where data must stay (US, EU, ...).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residency: Option<String>,
    /// Where the tenant is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The plan, in any case; the fleet's default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The tenant's environment; `prod` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::schema::ENVIRONMENT))]
    pub environment: Option<String>,
    /// Seats asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_seats: Option<u32>,
    /// Storage asked for, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_estimate_bytes: Option<u64>,
}

impl Document {
    pub(super) fn draft(self) -> Result<Draft, Refusal> {
        Ok(Draft {
            slug: maybe(self.slug, "/slug"),
            residency: maybe(self.residency, "/residency"),
            region: maybe(self.region, "/region"),
            plan: maybe(self.plan, "/plan"),
            environment: maybe(self.environment, "/environment"),
            seats: self.requested_seats,
            storage_bytes: self.storage_estimate_bytes,
            ..Draft::new(said(self.name, "/name"))
        })
    }
}
