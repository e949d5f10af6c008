//! Which tenant is meant on a command line.

use tenantry_contracts::{Slug, TenantId};

/// Which tenant is meant on a command line: an id, or a slug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// By its id.
    Id(TenantId),
    /// By its slug.
    Slug(Slug),
}

impl std::str::FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        Slug::parse(text).map(Self::Slug).map_err(|refusal| refusal.message)
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Slug(slug) => slug.fmt(f),
        }
    }
}
