//! Templates: what a plan gives, as data files (`schemas/templates`). Seed 001's `ProvisioningTemplate`, in one form.
//!
//! A file is one version of one template and never changes: a saga pins its digest. The newest version of a template
//! serves new sagas; the older ones are kept for sagas that pinned them.

mod asked;

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::steps::validate::Requirements;
use crate::{Code, Json, Refusal, limits, strict};

pub use asked::said;

/// The approvals that a template, or a fleet, can ask for: each is a gate of the plan.
pub const APPROVALS: [&str; 4] = ["onboarding", "security", "compliance", "compliance-after"];

/// What a plan gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its name, which is also the plan's: lower-case letters, digits and hyphens.
    pub id: String,
    /// For people.
    pub title: String,
    /// The version, three numbers with dots between them.
    pub version: String,
    /// Who answers for it.
    pub owner: String,
    /// When somebody last looked at all of it, as a date.
    pub reviewed: String,
    /// The tier, as quotas and receipts call it.
    pub tier: String,
    /// Other names of the plan, in lower case.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// How a tenant's tables are kept apart from others'.
    pub isolation: Isolation,
    /// What a tenant of this plan will need.
    pub resources: Resources,
    /// Seats.
    pub seats: Seats,
    /// The modules that are enabled where the request names none; empty means all.
    #[serde(default)]
    pub modules: Vec<String>,
    /// What may be used in a day.
    pub quota: Quota,
    /// Every feature flag, and how it stands where the request does not ask for it.
    pub features: BTreeMap<String, bool>,
    /// The features that a request may ask for.
    #[serde(default)]
    pub optional_features: Vec<String>,
    /// The integrations that a request may ask for.
    #[serde(default)]
    pub integrations: Vec<String>,
    /// For how long what is kept.
    pub retention: Retention,
    /// `standard` or `enhanced`, where the request does not say; a request may ask for more, never for less.
    pub encryption: String,
    /// What a request may change.
    pub customisations: Customisations,
    /// The approvals that a tenant of this plan needs: see [`APPROVALS`].
    #[serde(default)]
    pub approvals: Vec<String>,
    /// The failure preset for tenants of this plan; the fleet's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Hexadecimal SHA-256 of the file.
    #[serde(skip)]
    pub digest: String,
}

/// An isolation strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Shared tables with row-level security.
    PooledRls,
    /// A schema and a role of its own.
    Schema,
    /// A database and a role of its own.
    Database,
}

impl Isolation {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PooledRls => "pooled_rls",
            Self::Schema => "schema",
            Self::Database => "database",
        }
    }
}

/// What a tenant needs of each kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Database connections.
    pub database_connections: Scale,
    /// Storage.
    pub storage: Storage,
    /// Compute, in thousandths of a core.
    pub compute_millis: Scale,
    /// Network segments.
    pub network_segments: u32,
}

/// Storage, in bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Where the request names none.
    pub bytes: u64,
    /// The most that a request may ask for.
    pub most_bytes: u64,
}

/// Seats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seats {
    /// Where the request names none.
    pub default: u32,
    /// The most that a request may ask for.
    pub most: u32,
}

/// A need that grows with the seats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// With no seat at all.
    pub base: u32,
    /// For each thousand seats more.
    pub per_thousand_seats: u32,
    /// Never more than this.
    pub most: u32,
}

impl Scale {
    fn at(&self, seats: u32) -> u32 {
        let grown = u64::from(self.per_thousand_seats) * u64::from(seats) / 1000;
        let sum = u64::from(self.base).saturating_add(grown);
        u32::try_from(sum).unwrap_or(u32::MAX).min(self.most)
    }
}

/// What may be used in a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Requests.
    pub requests_per_day: u64,
}

/// Days for which things are kept (seed 003). A request may lengthen, never shorten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Operational logs.
    pub operational_days: u32,
    /// Security events.
    pub security_days: u32,
    /// Audit records.
    pub audit_days: u32,
}

/// What a request may change of the template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Customisations {
    /// JSON pointers into the request's customisation: what lies there and below may be said.
    pub allowed: Vec<String>,
    /// What must hold for it.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// A rule for a customisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, which a refusal names.
    pub id: String,
    /// JSON pointer to what it is about; the rule holds where nothing is there.
    pub at: String,
    /// A JSON Schema that it must fit.
    pub schema: Json,
    /// What to say where it does not.
    pub message: String,
}

impl Template {
    /// What a tenant of this template will need.
    pub fn requirements(&self, seats: Option<u32>, storage_bytes: Option<u64>) -> Requirements {
        let seats = seats.unwrap_or(self.seats.default);
        Requirements {
            seats,
            storage_bytes: storage_bytes.unwrap_or(self.resources.storage.bytes),
            database_connections: self.resources.database_connections.at(seats),
            compute_millis: self.resources.compute_millis.at(seats),
            network_segments: self.resources.network_segments,
        }
    }

    /// Whether this plan needs that approval.
    pub fn needs(&self, approval: &str) -> bool {
        self.approvals.iter().any(|have| have == approval)
    }

    /// Name, version and digest, for those who come after the validation.
    pub fn pinned(&self) -> crate::steps::validate::Template {
        crate::steps::validate::Template {
            name: self.id.clone(),
            version: self.version.clone(),
            digest: self.digest.clone(),
            tier: self.tier.clone(),
            isolation: self.isolation.as_str().to_owned(),
        }
    }

    fn release(&self) -> Option<[u32; 3]> {
        let numbers: Option<Vec<u32>> = self.version.split('.').map(|part| part.parse().ok()).collect();
        numbers?.try_into().ok()
    }

    fn check(&self) -> Result<(), Refusal> {
        let no = |at: &str, message: String| Err(Refusal::new(Code::FieldInvalid, message).at(at));
        let word = |text: &str| {
            let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            (1..=32).contains(&text.len()) && text.bytes().all(sound)
        };
        if !word(&self.id) {
            return no("/id", "expected 1 to 32 lower-case letters, digits and hyphens".into());
        }
        if let Some(at) = self.aliases.iter().position(|alias| !word(alias)) {
            return no(
                &format!("/aliases/{at}"),
                "expected 1 to 32 lower-case letters, digits and hyphens".into(),
            );
        }
        if self.release().is_none() {
            return no("/version", "expected three numbers with dots between them, as in 1.0.0".into());
        }
        if !["standard", "enhanced"].contains(&self.encryption.as_str()) {
            return no("/encryption", "expected standard or enhanced".into());
        }
        if self.seats.default > self.seats.most {
            return no("/seats/default", "more seats by default than at most".into());
        }
        if self.resources.storage.bytes > self.resources.storage.most_bytes {
            return no("/resources/storage/bytes", "more storage by default than at most".into());
        }
        if let Some(at) = self.approvals.iter().position(|name| !APPROVALS.contains(&name.as_str())) {
            let known = APPROVALS.join(", ");
            return no(&format!("/approvals/{at}"), format!("there is no such approval; there are {known}"));
        }
        let pointers = self.customisations.allowed.iter().enumerate();
        let rules = self.customisations.rules.iter().enumerate();
        let places = pointers
            .map(|(at, pointer)| (format!("/customisations/allowed/{at}"), pointer))
            .chain(rules.map(|(at, rule)| (format!("/customisations/rules/{at}/at"), &rule.at)));
        for (at, pointer) in places {
            if !pointer.starts_with('/') {
                return no(&at, "a JSON pointer begins with a slash".into());
            }
        }
        Ok(())
    }
}

/// All templates that there are.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    templates: Vec<Template>,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// What, and where in it.
    pub refusal: Refusal,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.refusal)
    }
}

/// The house's own files, by name.
pub const BUILT_IN: [(&str, &str); 3] = [
    ("enterprise.json", include_str!("../../../schemas/templates/enterprise.json")),
    ("professional.json", include_str!("../../../schemas/templates/professional.json")),
    ("starter.json", include_str!("../../../schemas/templates/starter.json")),
];

impl Catalogue {
    /// The house's own templates.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test reads them.
    pub fn built_in() -> Self {
        let files = BUILT_IN.map(|(name, text)| (name.to_owned(), text.to_owned()));
        Self::read(files).expect("the files are part of the program, and a test reads them")
    }

    /// Reads files, given by name and text.
    ///
    /// # Errors
    /// Everything that is wrong with any of them, with file and JSON pointer: breaches of the schema, values outside
    /// their range, one version twice with different content, one name for two plans.
    pub fn read(files: impl IntoIterator<Item = (String, String)>) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut templates: Vec<Template> = Vec::new();
        for (file, text) in files {
            let read = limits::check(text.as_bytes())
                .and_then(|_| strict::read::<Template>(&text))
                .and_then(|template| template.check().map(|()| template));
            let mut template = match read {
                Ok(template) => template,
                Err(refusal) => {
                    faults.push(Fault { file, refusal });
                    continue;
                }
            };
            template.digest = hex::encode(Sha256::digest(&text));
            let clash = |have: &&Template| {
                let same_name = have.id != template.id
                    && (have.names().any(|name| template.names().any(|other| other == name)));
                let same_version = have.id == template.id
                    && have.release() == template.release()
                    && have.digest != template.digest;
                same_name || same_version
            };
            if let Some(other) = templates.iter().find(clash) {
                let message = if other.id == template.id {
                    format!("version {} of {} is there already with other content", other.version, other.id)
                } else {
                    format!("plan {} has a name of plan {}", template.id, other.id)
                };
                faults.push(Fault { file, refusal: Refusal::new(Code::FieldInvalid, message).at("/id") });
                continue;
            }
            templates.push(template);
        }
        if templates.is_empty() && faults.is_empty() {
            let refusal = Refusal::new(Code::FieldMissing, "there is no template at all");
            faults.push(Fault { file: "templates".to_owned(), refusal });
        }
        if faults.is_empty() { Ok(Self { templates }) } else { Err(faults) }
    }

    /// The newest template of a plan, by its name or an alias in any case.
    pub fn newest(&self, plan: &str) -> Option<&Template> {
        let plan = plan.trim().to_lowercase();
        let known = |template: &&Template| template.names().any(|name| name == plan);
        self.templates.iter().filter(known).max_by_key(|template| template.release())
    }

    /// The template with this digest.
    pub fn pinned(&self, digest: &str) -> Option<&Template> {
        self.templates.iter().find(|template| template.digest == digest)
    }

    /// The names of all plans, each once.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.templates.iter().map(|template| template.id.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// All templates.
    pub fn templates(&self) -> &[Template] {
        &self.templates
    }
}

impl Template {
    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests;
