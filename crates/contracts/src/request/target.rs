//! What every other kind of request sends: which tenant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draft::{Draft, maybe, said};
use crate::{Refusal, Slug, TenantId};

/// A request about a tenant that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Tenant request about an existing tenant")]
pub struct Document {
    /// The tenant's slug.
    #[schemars(extend("pattern" = crate::schema::SLUG))]
    pub slug: String,
    /// The tenant's environment; `prod` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::schema::ENVIRONMENT))]
    pub environment: Option<String>,
    /// The tenant's id, where one among those that had the slug is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Why. Not carried yet: no plan of these kinds exists, so every such request is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Document {
    /// The slug stands in for the name, which stays what it is.
    pub(super) fn draft(self) -> Result<Draft, Refusal> {
        let slug = Slug::parse(&self.slug).map_err(|refusal| refusal.at("/slug"))?;
        Ok(Draft {
            environment: maybe(self.environment, "/environment"),
            tenant: self.tenant,
            slug: maybe(Some(slug.to_string()), "/slug"),
            ..Draft::new(said(slug.to_string(), "/slug"))
        })
    }
}
