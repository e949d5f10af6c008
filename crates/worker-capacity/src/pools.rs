//! The pools' file: how much each region can give to all of its tenants together (`schemas/capacity`).

use std::collections::BTreeMap;

use serde::Deserialize;
use tenantry_contracts::catalogue::Fault;
use tenantry_contracts::{Code, Refusal, limits, strict};

/// The region that stands for every region that the file does not name.
pub(crate) const ANY: &str = "*";

/// What the house comes with.
const BUILT_IN: (&str, &str) = ("pools.json", include_str!("../../../schemas/capacity/pools.json"));

/// The pools of all regions, as the operator set them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pools {
    regions: BTreeMap<String, Region>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Region {
    database: Size,
    storage: Size,
    compute: Size,
    network: Size,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Size {
    total: u64,
    #[serde(default = "eighty")]
    threshold_percent: u8,
}

fn eighty() -> u8 {
    80
}

/// One pool of one region, as it stands in the file.
pub(crate) struct Line<'a> {
    pub(crate) region: &'a str,
    pub(crate) pool: &'static str,
    pub(crate) total: u64,
    pub(crate) threshold_percent: u8,
}

impl Region {
    fn sizes(&self) -> [(&'static str, &Size); 4] {
        [
            ("database", &self.database),
            ("storage", &self.storage),
            ("compute", &self.compute),
            ("network", &self.network),
        ]
    }
}

impl Pools {
    /// The house's own file: room for thousands of tenants in every region.
    ///
    /// # Panics
    /// Never: the file is part of the program, and a test reads it.
    pub fn built_in() -> Self {
        Self::read(BUILT_IN.0, BUILT_IN.1).expect("the file is part of the program, and a test reads it")
    }

    /// Reads a file, given by name and text.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(name: &str, text: &str) -> Result<Self, Fault> {
        limits::check(text.as_bytes())
            .and_then(|_| strict::read::<Self>(text))
            .and_then(|pools| pools.check().map(|()| pools))
            .map_err(|refusal| Fault { file: name.to_owned(), refusal })
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.regions.iter().flat_map(|(region, pools)| {
            pools.sizes().into_iter().map(move |(pool, size)| Line {
                region,
                pool,
                total: size.total,
                threshold_percent: size.threshold_percent,
            })
        })
    }

    pub(crate) fn regions(&self) -> impl Iterator<Item = &str> {
        self.regions.keys().map(String::as_str)
    }

    fn check(&self) -> Result<(), Refusal> {
        let no = |at: String, message: &str| Err(Refusal::new(Code::FieldInvalid, message).at(at));
        if !self.regions.contains_key(ANY) {
            let message = "member * is missing: what the regions have that are not named";
            return Err(Refusal::new(Code::FieldMissing, message).at("/regions/*"));
        }
        for region in self.regions().filter(|region| *region != ANY) {
            let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            if !((1..=63).contains(&region.len()) && region.bytes().all(sound)) {
                let message = format!(
                    "{region:?} is no region: expected 1 to 63 lower-case letters, digits and hyphens, or *"
                );
                return no("/regions".to_owned(), &message);
            }
        }
        for line in self.lines() {
            let at = |member: &str| format!("/regions/{}/{}/{member}", line.region, line.pool);
            if i64::try_from(line.total).is_err() {
                return no(at("total"), "expected at most 9223372036854775807");
            }
            if !(1..=100).contains(&line.threshold_percent) {
                return no(at("threshold_percent"), "expected 1 to 100");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_file_has_room_for_hundreds_of_the_largest_tenants() {
        let pools = Pools::built_in();
        let storage = pools.lines().find(|line| line.pool == "storage").unwrap();
        assert_eq!((storage.region, storage.threshold_percent), (ANY, 80));
        assert!(storage.total / 500_000_000_000 >= 1000);
    }

    #[test]
    fn a_fault_names_file_and_place() {
        let fault = |from: &str, to: &str| {
            let text = BUILT_IN.1.replacen(from, to, 1);
            assert_ne!(text, BUILT_IN.1, "{from} stands in the file");
            let fault = Pools::read("mine.json", &text).unwrap_err();
            assert!(fault.to_string().starts_with("mine.json: "), "{fault}");
            (fault.refusal.code, fault.refusal.pointer.unwrap_or_default())
        };
        let invalid = |at: &str| (Code::FieldInvalid, at.to_owned());
        assert_eq!(fault("\"*\"", "\"eu-central-1\""), (Code::FieldMissing, "/regions/*".to_owned()));
        assert_eq!(
            fault(
                "\"*\"",
                "\"Mars One\": {\"database\": {\"total\": 1}, \"storage\": {\"total\": 1}, \"compute\": {\"total\": 1}, \"network\": {\"total\": 1}}, \"*\""
            ),
            invalid("/regions")
        );
        assert_eq!(fault("2000000", "-1").0, Code::FieldInvalid);
        assert_eq!(fault("2000000", "9223372036854775808"), invalid("/regions/*/database/total"));
        assert_eq!(fault("80", "0"), invalid("/regions/*/database/threshold_percent"));
        assert_eq!(fault("80", "101"), invalid("/regions/*/database/threshold_percent"));
        assert_eq!(fault("\"network\"", "\"quantum\"").0, Code::FieldUnknown);
        assert_eq!(fault("{", "[").0, Code::NotJson);
    }
}
