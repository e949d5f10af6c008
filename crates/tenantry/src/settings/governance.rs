//! The rules of a fleet: which files they stand in, and what they come to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::{Deserialize, Serialize};
use tenantry_contracts::catalogue::{APPROVALS, Catalogue, Fault};
use tenantry_coordinator::Operators;
use tenantry_saga::{Approvers, Presets, Rules};
use tenantry_worker_capacity::Pools;
use tenantry_worker_policy::{Engine, read_directory};

use super::Secret;
use crate::out::{Refused, usage};

/// The capability packs, and the failure preset that comes with each where none is named.
const PACKS: [(&str, Option<&str>); 4] =
    [("core", Some("resume")), ("summit", None), ("governed", Some("governed")), ("saas", Some("rollback"))];

/// What a fleet may decide about its sagas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args)]
#[command(next_help_heading = "Rules")]
pub struct Governance {
    /// The capability packs that are switched on: core, summit, governed, saas
    #[arg(long = "pack", env = "TENANTRY_PACKS", value_name = "PACK,...", value_delimiter = ',', value_parser = pack)]
    pub packs: Vec<String>,
    /// The approvals that every tenant needs, beside those of its template: onboarding, security, compliance,
    /// compliance-after
    #[arg(long = "approval", env = "TENANTRY_APPROVALS", value_name = "APPROVAL,...", value_delimiter = ',', value_parser = approval)]
    pub approvals: Vec<String>,
    /// What failures mean: governed, rollback or resume, or a name from --presets [default: by pack, else as the plan says]
    #[arg(long, env = "TENANTRY_PRESET", value_name = "NAME")]
    pub preset: Option<String>,
    /// A folder of failure presets (*.json) instead of the built-in ones
    #[arg(long, env = "TENANTRY_PRESETS", value_name = "FOLDER")]
    pub presets: Option<PathBuf>,
    /// A folder of templates (*.json) instead of the built-in ones
    #[arg(long, env = "TENANTRY_TEMPLATES", value_name = "FOLDER")]
    pub templates: Option<PathBuf>,
    /// A folder of policies (*.rego and data.json) instead of the built-in ones
    #[arg(long, env = "TENANTRY_POLICIES", value_name = "FOLDER", conflicts_with = "opa_url")]
    pub policies: Option<PathBuf>,
    /// An OPA server that decides instead, as in http://127.0.0.1:8181
    #[arg(long, env = "TENANTRY_OPA_URL", value_name = "URL")]
    pub opa_url: Option<String>,
    /// A file that says who may decide at gates: {"roles": {"security-admin": ["alice"]}} [default: everybody but the
    /// requester]
    #[arg(long, env = "TENANTRY_APPROVERS", value_name = "FILE")]
    pub approvers: Option<PathBuf>,
    /// A file with the keys of those who operate, and whether every verb must be signed [default: nobody has a key, nothing
    /// is demanded]
    #[arg(long, env = "TENANTRY_OPERATORS", value_name = "FILE")]
    pub operators: Option<PathBuf>,
    /// How many tenants a lane lets people turn back in an hour; more needs a second person [default: 20]
    #[arg(long, env = "TENANTRY_UNDO_LIMIT", value_name = "N")]
    pub undo_limit: Option<usize>,
    /// A file with the pools of capacity by region instead of the built-in one
    #[arg(long, env = "TENANTRY_POOLS", value_name = "FILE")]
    pub pools: Option<PathBuf>,
}

impl Governance {
    /// The rules under which sagas run.
    ///
    /// # Errors
    /// A file cannot be read or is not sound: `templates_invalid`, `presets_invalid`, `preset_unknown`,
    /// `approvers_invalid`, each with file and JSON pointer.
    pub fn rules(&self) -> Result<Rules, Refused> {
        let catalogue = self.catalogue()?;
        let presets = match &self.presets {
            Some(folder) => {
                Presets::read(files(folder)?).map_err(|faults| all("presets_invalid", &faults))?
            }
            None => Presets::built_in(),
        };
        let by_pack = || {
            let pack = PACKS
                .iter()
                .find(|(name, preset)| preset.is_some() && self.packs.iter().any(|have| have == name));
            pack.and_then(|(_, preset)| preset.map(str::to_owned))
        };
        let preset = self.preset.clone().or_else(by_pack);
        let named = catalogue.templates().iter().filter_map(|template| template.failure.as_ref());
        for name in preset.iter().chain(named) {
            if presets.find(name).is_none() {
                let known = presets.names().join(", ");
                let text = format!("there is no failure preset {name}; there are {known}");
                return Err(usage("preset_unknown", text));
            }
        }
        let approvers = match &self.approvers {
            Some(file) => Approvers::read(Secret::read(file)?.expose())
                .map_err(|refusal| usage("approvers_invalid", format!("{}: {refusal}", file.display())))?,
            None => Approvers::default(),
        };
        Ok(Rules {
            packs: self.packs.clone(),
            approvals: self.approvals.clone(),
            catalogue: Arc::new(catalogue),
            presets,
            preset,
            approvers,
        })
    }

    /// Whose verbs are taken up.
    ///
    /// # Errors
    /// `operators_invalid`, with file and JSON pointer.
    pub fn operators(&self) -> Result<Operators, Refused> {
        let Some(file) = &self.operators else { return Ok(Operators::default()) };
        Operators::read(Secret::read(file)?.expose())
            .map_err(|refusal| usage("operators_invalid", format!("{}: {refusal}", file.display())))
    }

    fn catalogue(&self) -> Result<Catalogue, Refused> {
        let Some(folder) = &self.templates else { return Ok(Catalogue::built_in()) };
        let read = Catalogue::read(files(folder)?);
        let checked =
            read.and_then(|catalogue| tenantry_worker_validate::check(&catalogue).map(|()| catalogue));
        checked.map_err(|faults| all("templates_invalid", &faults))
    }

    /// Who evaluates policies.
    ///
    /// # Errors
    /// `policies_invalid`, with file and place.
    pub fn engine(&self) -> Result<Engine, Refused> {
        let invalid = |fault: Fault| all("policies_invalid", &[fault]);
        match (&self.policies, &self.opa_url) {
            (_, Some(url)) => Engine::remote(url).map_err(invalid),
            (Some(folder), None) => read_directory(folder).and_then(Engine::embedded).map_err(invalid),
            (None, None) => Ok(Engine::built_in()),
        }
    }

    /// The pools of capacity.
    ///
    /// # Errors
    /// `pools_invalid`, with file and JSON pointer.
    pub fn pools(&self) -> Result<Pools, Refused> {
        match &self.pools {
            Some(file) => {
                let name = file.display().to_string();
                Pools::read(&name, Secret::read(file)?.expose())
                    .map_err(|fault| all("pools_invalid", &[fault]))
            }
            None => Ok(Pools::built_in()),
        }
    }

    /// What `--print-config` shows.
    pub(crate) fn shown(&self) -> serde_json::Value {
        serde_json::json!({
            "packs": self.packs,
            "approvals": self.approvals,
            "preset": self.preset,
            "presets": self.presets,
            "templates": self.templates,
            "policies": self.policies,
            "opa_url": self.opa_url,
            "approvers": self.approvers,
            "operators": self.operators,
            "undo_limit": self.undo_limit,
            "pools": self.pools,
        })
    }
}

/// The JSON files of a folder, by name.
fn files(folder: &Path) -> Result<Vec<(String, String)>, Refused> {
    let unreadable =
        |error: std::io::Error| usage("folder_unreadable", format!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let text = std::fs::read_to_string(&path).map_err(unreadable)?;
            files.push((path.display().to_string(), text));
        }
    }
    files.sort();
    Ok(files)
}

fn all(code: &'static str, faults: &[Fault]) -> Refused {
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    usage(code, faults.join("; "))
}

fn pack(text: &str) -> Result<String, String> {
    word(text, &PACKS.map(|(name, _)| name))
}

fn approval(text: &str) -> Result<String, String> {
    word(text, &APPROVALS)
}

fn word(text: &str, known: &[&str]) -> Result<String, String> {
    let text = text.trim();
    if known.contains(&text) { Ok(text.to_owned()) } else { Err(format!("there are {}", known.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_brings_its_preset_and_a_named_one_wins() {
        let rules = |packs: &[&str], preset: Option<&str>| {
            let packs = packs.iter().map(|pack| (*pack).to_owned()).collect();
            let preset = preset.map(str::to_owned);
            Governance { packs, preset, ..Governance::default() }.rules()
        };
        assert_eq!(rules(&[], None).unwrap().preset, None);
        assert_eq!(rules(&["summit", "saas"], None).unwrap().preset.as_deref(), Some("rollback"));
        assert_eq!(rules(&["saas"], Some("resume")).unwrap().preset.as_deref(), Some("resume"));
        let refused = rules(&[], Some("hope")).unwrap_err();
        assert_eq!(refused.code, "preset_unknown");
        assert!(refused.text.contains("governed"), "{refused}");
        assert!(pack("gold").is_err() && approval("security").is_ok());
    }

    #[test]
    fn an_operators_file_that_is_not_sound_is_named_with_file_and_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("operators.json");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Governance { operators: Some(file.clone()), ..Governance::default() }.operators()
        };
        let refused = read(r#"{"keys": {"ada": "x"}}"#).unwrap_err();
        assert_eq!(refused.code, "operators_invalid");
        assert!(refused.text.contains("operators.json: field_invalid at /keys/ada"), "{refused}");
        assert!(read(r#"{"demand": true}"#).is_err());
        read(include_str!("../../../../schemas/policies/operators.example.json")).unwrap();
    }

    #[test]
    fn a_bad_template_is_named_with_file_and_place() {
        let folder = tempfile::tempdir().unwrap();
        let text = tenantry_contracts::catalogue::BUILT_IN[0].1.replace("\"database\",", "\"cellar\",");
        std::fs::write(folder.path().join("mine.json"), text).unwrap();
        let governance = Governance { templates: Some(folder.path().into()), ..Governance::default() };
        let refused = governance.rules().unwrap_err();
        assert_eq!(refused.code, "templates_invalid");
        assert!(refused.text.contains("mine.json: field_invalid at /isolation"), "{refused}");
    }
}
