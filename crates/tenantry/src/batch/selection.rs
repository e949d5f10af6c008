//! A selection: exactly which tenants are meant, each at the version that was seen. It does not grow between plan and run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tenantry_contracts::operation::{OperationVerb, Target};
use tenantry_contracts::time::rfc3339;
use tenantry_contracts::{Environment, Fleet, RequestId, Slug, State, TenantId, Time};

use crate::frozen::file::{self, Frozen};

/// The format of this version.
const FORMAT: u16 = 1;
/// The source of the operations and of nothing else: `(source, id)` is what the fleet remembers.
const SOURCE: &str = "tenantry-batch";

/// Tenants and a verb, frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selection {
    pub(super) format: u16,
    /// The fleet whose tenants they are.
    pub(super) fleet: Fleet,
    #[serde(with = "rfc3339")]
    pub(super) made: Time,
    /// Who planned it; not verified.
    pub(super) by: String,
    /// What was asked for.
    pub(super) filter: String,
    pub(super) verb: OperationVerb,
    pub(super) count: usize,
    /// How many would take it up and how many would refuse it, when the plan was made.
    pub(super) would: BTreeMap<Would, usize>,
    /// In the order in which they are sent the verb.
    pub(super) tenants: Vec<Chosen>,
    /// SHA-256 over all the rest, hexadecimal.
    pub(super) digest: String,
    /// The command that runs it.
    pub(super) run: String,
}

/// What the core would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Would {
    /// It takes the verb up.
    TakeUp,
    /// It refuses it; such a tenant is sent nothing.
    Refuse,
}

/// One tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chosen {
    pub(super) tenant: TenantId,
    pub(super) slug: Slug,
    pub(super) environment: Environment,
    pub(super) state: State,
    /// Its version: the verb is refused where it moved on.
    pub(super) version: i64,
    /// What holds it, in words.
    pub(super) cause: String,
    pub(super) would: Would,
    /// Why it would refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
}

impl Chosen {
    /// The tenant as an operation names it.
    pub(super) fn target(&self) -> Target {
        let (slug, environment) = (self.slug.clone(), self.environment.clone());
        Target { slug, environment, tenant: Some(self.tenant) }
    }
}

impl Selection {
    /// Freezes these tenants.
    pub(super) fn of(
        fleet: Fleet,
        made: Time,
        by: String,
        (filter, verb): (String, OperationVerb),
        tenants: Vec<Chosen>,
        run: String,
    ) -> Self {
        let mut would = BTreeMap::new();
        for chosen in &tenants {
            *would.entry(chosen.would).or_default() += 1;
        }
        let (count, digest) = (tenants.len(), String::new());
        let format = FORMAT;
        file::sealed(Self { format, fleet, made, by, filter, verb, count, would, tenants, digest, run })
    }

    /// Those that are sent the verb.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Chosen> {
        self.tenants.iter().filter(|chosen| chosen.would == Would::TakeUp)
    }

    /// The id of the operation for a tenant, after it was refused so often for a reason that passes: the same for each run
    /// of this selection.
    pub(super) fn operation(&self, tenant: TenantId, back: u32) -> RequestId {
        let digest = Sha256::digest(format!("tenantry/1\nbatch\n{}\n{tenant}\n{back}", self.digest));
        RequestId { source: SOURCE.to_owned(), id: hex::encode(&digest[..16]) }
    }

    /// The lines that say what would happen.
    pub(super) fn summary(&self) -> Vec<String> {
        let verb = self.verb.as_str();
        let line = |would, what: String| {
            let number = self.would.get(&would)?;
            Some(format!("{number:>6}  {what}"))
        };
        let mut lines: Vec<_> = [
            line(Would::TakeUp, format!("{verb}: would be taken up")),
            line(Would::Refuse, format!("left alone: would refuse {verb}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
        for chosen in self.runs() {
            *causes.entry(&chosen.cause).or_default() += 1;
        }
        lines.extend(causes.into_iter().map(|(cause, number)| format!("{number:>6}    {cause}")));
        lines
    }
}

impl Frozen for Selection {
    const NAME: &'static str = "selection";
    const MADE_BY: &'static str = "tenantry batch plan";
    const CODES: [&'static str; 3] = ["selection_unreadable", "selection_unwritable", "selection_changed"];
    const FORMAT: u16 = FORMAT;

    fn format(&self) -> u16 {
        self.format
    }

    fn digest(&mut self) -> &mut String {
        &mut self.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_reads_back_any_change_is_noticed_and_only_those_who_take_it_up_are_sent_it() {
        let chosen = |n: u128, would| Chosen {
            tenant: TenantId(uuid::Uuid::from_u128(n)),
            slug: Slug::parse(&format!("acme-{n}")).unwrap(),
            environment: Environment::default(),
            state: State::Held,
            version: 7,
            cause: "database: misconfigured".into(),
            would,
            why: None,
        };
        let tenants = vec![chosen(1, Would::TakeUp), chosen(2, Would::Refuse), chosen(3, Would::TakeUp)];
        let what = ("state=HELD".into(), OperationVerb::Retry);
        let made = Selection::of(Fleet::new("local"), Time(1), "ada".into(), what, tenants, "run".into());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.json");
        file::write(&made, &path).unwrap();
        assert_eq!(file::read::<Selection>(&path).unwrap(), made);
        assert_eq!((made.count, made.runs().count()), (3, 2));
        assert_eq!(made.summary().len(), 3, "{:?}", made.summary());
        let text = std::fs::read_to_string(&path).unwrap();
        for (was, is) in [("acme-3", "acme-4"), ("\"version\": 7", "\"version\": 8"), ("retry", "cancel")] {
            std::fs::write(&path, text.replacen(was, is, 1)).unwrap();
            assert_eq!(file::read::<Selection>(&path).unwrap_err().code, "selection_changed", "{was}");
        }
        let (one, two) = (made.tenants[0].tenant, made.tenants[1].tenant);
        assert_ne!(made.operation(one, 0), made.operation(two, 0));
        assert_ne!(made.operation(one, 0), made.operation(one, 1));
    }
}
