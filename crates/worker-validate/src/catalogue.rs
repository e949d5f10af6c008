//! What there is to choose from: plans with their templates, regions with their residencies, modules.

use std::sync::LazyLock;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tenantry_contracts::steps::validate::Requirements;
use tenantry_contracts::{Class, Code};
use tenantry_step::{Answer, Trouble};

/// The content of `schemas/templates`: the template of a plan has the plan's name.
const FILES: &[&str] = &[
    include_str!("../../../schemas/templates/starter.json"),
    include_str!("../../../schemas/templates/professional.json"),
    include_str!("../../../schemas/templates/enterprise.json"),
];

static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| {
    let read = |text: &&str| {
        let mut template: Template =
            serde_json::from_str(text).expect("the files are embedded, and a test reads them");
        template.digest = hex::encode(Sha256::digest(text));
        template
    };
    FILES.iter().map(read).collect()
});

/// What a plan gives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Template {
    pub(crate) name: String,
    aliases: Vec<String>,
    pub(crate) isolation: String,
    /// Where the request names none.
    seats: u32,
    storage_bytes: u64,
    database_connections: Scale,
    compute_millis: Scale,
    /// Hexadecimal SHA-256 of the file.
    #[serde(skip)]
    pub(crate) digest: String,
}

/// A need that grows with the seats.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    base: u32,
    per_thousand_seats: u32,
    most: u32,
}

impl Scale {
    fn at(&self, seats: u32) -> u32 {
        let grown = u64::from(self.per_thousand_seats) * u64::from(seats) / 1000;
        let sum = u64::from(self.base).saturating_add(grown);
        u32::try_from(sum).unwrap_or(u32::MAX).min(self.most)
    }
}

impl Template {
    /// What a tenant of this template will need.
    pub(crate) fn requirements(&self, seats: Option<u32>, storage_bytes: Option<u64>) -> Requirements {
        let seats = seats.unwrap_or(self.seats);
        Requirements {
            seats,
            storage_bytes: storage_bytes.unwrap_or(self.storage_bytes),
            database_connections: self.database_connections.at(seats),
            compute_millis: self.compute_millis.at(seats),
        }
    }
}

/// The template of a plan, by name or alias in any case.
///
/// # Errors
/// `plan_unknown` at `/plan`, with the plans there are.
pub(crate) fn template(plan: &str) -> Answer<&'static Template> {
    let plan = plan.trim().to_lowercase();
    let known = |template: &&Template| template.name == plan || template.aliases.contains(&plan);
    TEMPLATES.iter().find(known).ok_or_else(|| {
        let names: Vec<_> = TEMPLATES.iter().map(|template| template.name.as_str()).collect();
        unknown(Code::PlanUnknown, "/plan", "plan", &names)
    })
}

fn unknown(code: Code, pointer: impl Into<String>, what: &str, known: &[&str]) -> Trouble {
    let message = format!("there is no such {what}; there are {}", known.join(", "));
    Trouble::no_at(code, Class::Validation, pointer, message)
}

/// A region and the residency it lies in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) region: &'static str,
    pub(crate) residency: &'static str,
}

/// The regions by residency. The first of a residency is its default, the very first is the fleet's.
const REGIONS: &[(&str, &[&str])] = &[
    ("US", &["us-east-1", "us-east-2", "us-west-1", "us-west-2"]),
    ("EU", &["eu-central-1", "eu-west-1", "eu-west-3", "eu-north-1", "eu-south-1"]),
    ("UK", &["eu-west-2"]),
    ("CH", &["eu-central-2"]),
    ("CA", &["ca-central-1"]),
    ("APAC", &["ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "ap-south-1"]),
    ("LATAM", &["sa-east-1"]),
];

/// Where the tenant is made. What is not said is the default.
///
/// # Errors
/// `residency_unknown`, `region_unknown`, or `region_outside_residency`.
pub(crate) fn place(residency: Option<&str>, region: Option<&str>) -> Answer<Place> {
    let places =
        || REGIONS.iter().flat_map(|(residency, all)| all.iter().map(|region| Place { region, residency }));
    let of = |residency: &str| REGIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(residency));
    let residency = match residency.map(|asked| (asked, of(asked.trim()))) {
        None => None,
        Some((_, Some((name, all)))) => Some((*name, *all)),
        Some((_, None)) => {
            let names: Vec<_> = REGIONS.iter().map(|(name, _)| *name).collect();
            return Err(unknown(Code::ResidencyUnknown, "/residency", "residency", &names));
        }
    };
    let Some(region) = region else {
        let (name, all) = residency.unwrap_or(REGIONS[0]);
        return Ok(Place { region: all[0], residency: name });
    };
    let region = region.trim().to_lowercase();
    let Some(place) = places().find(|place| place.region == region) else {
        let names: Vec<_> = places().map(|place| place.region).collect();
        return Err(unknown(Code::RegionUnknown, "/region", "region", &names));
    };
    match residency {
        Some((name, all)) if name != place.residency => Err(Trouble::no_at(
            Code::RegionOutsideResidency,
            Class::Validation,
            "/region",
            format!(
                "{} lies in {}, not in {name}; regions of {name} are {}",
                place.region,
                place.residency,
                all.join(", ")
            ),
        )),
        _ => Ok(place),
    }
}

/// The modules in the order of their migration, and whether every tenant has them.
const MODULES: &[(&str, bool)] = &[("multitenancy", true), ("identity", true), ("auditing", false)];

/// The modules to migrate, in declared order: those asked for with those that no tenant can be without; all where none
/// is named.
///
/// # Errors
/// `module_unknown` at the element.
pub(crate) fn modules(asked: &[String]) -> Answer<Vec<String>> {
    let asked: Vec<_> = asked.iter().map(|name| name.trim().to_lowercase()).collect();
    if let Some(at) = asked.iter().position(|name| !MODULES.iter().any(|(known, _)| known == name)) {
        let names: Vec<_> = MODULES.iter().map(|(name, _)| *name).collect();
        return Err(unknown(Code::ModuleUnknown, format!("/modules/{at}"), "module", &names));
    }
    let wanted =
        |(name, required): &&(&str, bool)| *required || asked.is_empty() || asked.iter().any(|a| a == name);
    Ok(MODULES.iter().filter(wanted).map(|(name, _)| (*name).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: std::fmt::Debug>(answer: Answer<T>) -> (Code, String, String) {
        match answer.unwrap_err() {
            Trouble::No { code, class: Class::Validation, pointer: Some(at), message } => (code, at, message),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn plans_are_found_by_name_and_alias_in_any_case() {
        for (asked, name) in [
            ("FREE", "starter"),
            ("STARTER", "starter"),
            ("pro", "professional"),
            ("Professional", "professional"),
            ("ENTERPRISE", "enterprise"),
        ] {
            assert_eq!(template(asked).unwrap().name, name);
        }
        let (code, at, message) = refused(template("gold"));
        assert_eq!((code, at.as_str()), (Code::PlanUnknown, "/plan"));
        assert!(message.contains("starter, professional, enterprise"), "{message}");
    }

    #[test]
    fn every_template_of_the_folder_is_embedded_and_sound() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/templates");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let mut names: Vec<_> = TEMPLATES.iter().map(|template| format!("{}.json", template.name)).collect();
        names.sort();
        assert_eq!(files, names);
        for template in TEMPLATES.iter() {
            assert_eq!(template.isolation, "schema");
            assert_eq!(template.digest.len(), 64);
            let most = template.requirements(Some(u32::MAX), Some(u64::MAX));
            assert_eq!(most.database_connections, template.database_connections.most);
        }
    }

    #[test]
    fn needs_grow_with_the_seats() {
        let enterprise = template("enterprise").unwrap();
        let asked = enterprise.requirements(Some(250), Some(500_000_000_000));
        assert_eq!(
            asked,
            Requirements {
                seats: 250,
                storage_bytes: 500_000_000_000,
                database_connections: 45,
                compute_millis: 3500
            }
        );
        assert_eq!(enterprise.requirements(None, None).seats, 250);
    }

    #[test]
    fn a_region_lies_in_its_residency() {
        let at = |residency, region| place(residency, region).map(|place| (place.residency, place.region));
        assert_eq!(at(None, None).unwrap(), ("US", "us-east-1"));
        assert_eq!(at(Some("eu"), None).unwrap(), ("EU", "eu-central-1"));
        assert_eq!(at(None, Some("ap-southeast-1")).unwrap(), ("APAC", "ap-southeast-1"));
        assert_eq!(at(Some("US"), Some("us-west-2")).unwrap(), ("US", "us-west-2"));
        let (code, pointer, message) = refused(at(Some("EU"), Some("us-east-1")));
        assert_eq!((code, pointer.as_str()), (Code::RegionOutsideResidency, "/region"));
        assert!(message.contains("us-east-1 lies in US, not in EU"), "{message}");
        assert_eq!(refused(at(Some("MOON"), None)).0, Code::ResidencyUnknown);
        assert_eq!(refused(at(Some("US"), Some("us-moon-1"))).0, Code::RegionUnknown);
    }

    #[test]
    fn modules_are_those_that_can_be_migrated_in_declared_order() {
        assert_eq!(modules(&[]).unwrap(), ["multitenancy", "identity", "auditing"]);
        assert_eq!(modules(&["Identity".to_owned()]).unwrap(), ["multitenancy", "identity"]);
        let (code, at, _) = refused(modules(&["identity".to_owned(), "crm".to_owned()]));
        assert_eq!((code, at.as_str()), (Code::ModuleUnknown, "/modules/1"));
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/tenant");
        let count = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(count, MODULES.len(), "each module has a folder of migrations");
        assert!(MODULES.iter().all(|(name, _)| std::path::Path::new(folder).join(name).is_dir()));
    }
}
