//! What a fleet or a deployment may decide about its sagas: data, read from files before anything runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tenantry_contracts::catalogue::{Catalogue, Fault, Template};
use tenantry_contracts::{Class, Refusal, strict};

use crate::{End, Row, Then, What};

/// The rules of a fleet.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The capability packs that are switched on.
    pub packs: Vec<String>,
    /// The approvals that every tenant needs, beside those of its template.
    pub approvals: Vec<String>,
    /// The templates.
    pub catalogue: Arc<Catalogue>,
    /// The failure presets.
    pub presets: Presets,
    /// The failure preset of the fleet; the plans' own policies where absent.
    pub preset: Option<String>,
    /// Who may decide at gates.
    pub approvers: Approvers,
}

impl Rules {
    /// The failure preset for tenants of this template.
    pub fn preset(&self, template: Option<&Template>) -> Option<&Preset> {
        let name = template.and_then(|template| template.failure.as_ref()).or(self.preset.as_ref())?;
        self.presets.find(name)
    }
}

/// Failure policies by name.
#[derive(Clone, Debug, Default)]
pub struct Presets(Vec<Preset>);

/// The house's own presets, by file.
pub const PRESETS: [(&str, &str); 3] = [
    ("governed.json", include_str!("../../../schemas/presets/governed.json")),
    ("resume.json", include_str!("../../../schemas/presets/resume.json")),
    ("rollback.json", include_str!("../../../schemas/presets/rollback.json")),
];

/// What final failures mean, by row and class: the words of one kind of operator.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub title: String,
    /// For every step that the plan would undo or hold for.
    pub default: Option<Then>,
    /// How often a step is asked in all before its failure is final.
    pub attempts: Option<u8>,
    /// For failures of a class.
    #[serde(default)]
    pub classes: BTreeMap<Class, Then>,
    /// For rows.
    #[serde(default)]
    pub rows: BTreeMap<String, OfRow>,
}

/// The same for one row.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfRow {
    /// For every class that is not named.
    pub default: Option<Then>,
    /// How often it is asked.
    pub attempts: Option<u8>,
    /// By class.
    #[serde(default)]
    pub classes: BTreeMap<Class, Then>,
}

impl Presets {
    /// The house's own.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test reads them.
    pub fn built_in() -> Self {
        let files = PRESETS.map(|(name, text)| (name.to_owned(), text.to_owned()));
        Self::read(files).expect("the files are part of the program, and a test reads them")
    }

    /// Reads files, given by name and text.
    ///
    /// # Errors
    /// Everything that is wrong with any of them, with file and JSON pointer.
    pub fn read(files: impl IntoIterator<Item = (String, String)>) -> Result<Self, Vec<Fault>> {
        let (mut presets, mut faults) = (Vec::new(), Vec::new());
        for (file, text) in files {
            match strict::read(&text) {
                Ok(preset) => presets.push(preset),
                Err(refusal) => faults.push(Fault { file, refusal }),
            }
        }
        if faults.is_empty() { Ok(Self(presets)) } else { Err(faults) }
    }

    /// The preset of this name.
    pub fn find(&self, name: &str) -> Option<&Preset> {
        self.0.iter().find(|preset| preset.name == name)
    }

    /// The names of all.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|preset| preset.name.as_str()).collect()
    }
}

impl Preset {
    /// The end policy of a row under this preset. What the plan only degrades, asks about or rejects stays so unless the
    /// preset names it.
    pub fn end(&self, row: &Row) -> End {
        if !matches!(row.what, What::Step { .. }) {
            return row.end.clone();
        }
        let own = self.rows.get(row.name);
        let serious = matches!(row.end.default, Then::Compensate | Then::Hold);
        let general = self.default.filter(|_| serious);
        let mut except: Vec<(Class, Then)> = Vec::new();
        let mut add = |class: Class, then: Then| {
            if !except.iter().any(|(have, _)| *have == class) {
                except.push((class, then));
            }
        };
        if let Some(own) = own {
            own.classes.iter().for_each(|(class, then)| add(*class, *then));
        }
        // Where the row has a word of its own for everything, the general classes are not asked.
        if own.is_none_or(|own| own.default.is_none()) {
            if serious {
                self.classes.iter().for_each(|(class, then)| add(*class, *then));
            }
            row.end.except.iter().for_each(|(class, then)| add(*class, *then));
        }
        let default = own.and_then(|own| own.default).or(general).unwrap_or(row.end.default);
        let attempts = own.and_then(|own| own.attempts).or(self.attempts);
        End { default, except: except.into(), attempts }
    }
}

/// Who may decide at gates, by role. `*` is everybody but whoever asked for the tenant.
#[derive(Clone, Debug)]
pub struct Approvers {
    roles: BTreeMap<String, Vec<String>>,
    /// The beginning of the file's SHA-256, hexadecimal: decisions name it.
    pub digest: String,
}

/// The house's own file: every account may decide in every role.
pub const APPROVERS: &str = include_str!("../../../schemas/policies/approvers.json");

impl Default for Approvers {
    fn default() -> Self {
        Self::read(APPROVERS).expect("the file is part of the program, and a test reads it")
    }
}

impl Approvers {
    /// Reads the file: `{"roles": {"security-admin": ["alice", "bob"]}}`.
    ///
    /// # Errors
    /// Where it breaks its form, with the JSON pointer.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            roles: BTreeMap<String, Vec<String>>,
        }
        let File { roles } = strict::read(text)?;
        let mut digest = hex::encode(Sha256::digest(text));
        digest.truncate(16);
        Ok(Self { roles, digest })
    }

    /// Whether this account may decide in that role.
    pub fn may(&self, role: &str, account: &str) -> bool {
        self.roles.get(role).is_some_and(|names| names.iter().any(|name| name == "*" || name == account))
    }
}
