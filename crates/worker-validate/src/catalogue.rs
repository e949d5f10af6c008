//! What there is to choose from beside the templates: regions with their residencies, modules.

use tenantry_contracts::{Class, Code};
use tenantry_step::{Answer, Trouble};

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

/// The modules to migrate, in declared order: those asked for with those that no tenant can be without. Where none is
/// asked for, those of the template; all where it names none either.
///
/// # Errors
/// `module_unknown` at the element; `misconfigured` where the template names a module that the fleet does not have.
pub(crate) fn modules(asked: &[String], of_template: &[String]) -> Answer<Vec<String>> {
    let names: Vec<_> = MODULES.iter().map(|(name, _)| *name).collect();
    let source = if asked.is_empty() { of_template } else { asked };
    let chosen: Vec<_> = source.iter().map(|name| name.trim().to_lowercase()).collect();
    if let Some(at) = chosen.iter().position(|name| !names.contains(&name.as_str())) {
        if asked.is_empty() {
            let message =
                format!("the template enables a module at /modules/{at} that the fleet does not have");
            return Err(Trouble::no(Code::Misconfigured, Class::Config, message));
        }
        return Err(unknown(Code::ModuleUnknown, format!("/modules/{at}"), "module", &names));
    }
    let wanted =
        |(name, required): &&(&str, bool)| *required || chosen.is_empty() || chosen.iter().any(|a| a == name);
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
        let (identity, crm) = ("Identity".to_owned(), "crm".to_owned());
        assert_eq!(modules(&[], &[]).unwrap(), ["multitenancy", "identity", "auditing"]);
        assert_eq!(modules(std::slice::from_ref(&identity), &[]).unwrap(), ["multitenancy", "identity"]);
        assert_eq!(modules(&[], std::slice::from_ref(&identity)).unwrap(), ["multitenancy", "identity"]);
        assert_eq!(modules(&["auditing".to_owned()], std::slice::from_ref(&identity)).unwrap().len(), 3);
        let (code, at, _) = refused(modules(&[identity, crm.clone()], &[]));
        assert_eq!((code, at.as_str()), (Code::ModuleUnknown, "/modules/1"));
        let no = modules(&[], &[crm]).unwrap_err();
        assert!(matches!(no, Trouble::No { code: Code::Misconfigured, class: Class::Config, .. }), "{no}");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/tenant");
        let count = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(count, MODULES.len(), "each module has a folder of migrations");
        assert!(MODULES.iter().all(|(name, _)| std::path::Path::new(folder).join(name).is_dir()));
    }
}
