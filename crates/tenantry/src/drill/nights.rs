//! The ten usual nights, as a table: what happens, what whoever is called is told, what helps, and when it is over.

use serde_json::{Value, json};
use tenantry_contracts::State;

/// One night.
#[derive(Clone, Copy, Debug)]
pub struct Night {
    /// Its name.
    pub name: &'static str,
    /// The tenants that rest.
    pub slugs: &'static [&'static str],
    /// What whoever is called is told.
    pub page: &'static str,
    /// What is broken on purpose; rules name whole slugs, so that no night disturbs another.
    pub faults: &'static str,
    /// What the request has other than an ordinary one; a member that is null is left out.
    pub asks: &'static str,
    /// What happens, in order.
    pub trouble: &'static [Move],
    /// Where the tenants come to rest.
    pub rests: State,
    /// What helps, from the first look to the last word.
    pub hints: &'static [&'static str],
    /// What ends it, in order.
    pub solution: &'static [Move],
    /// Where the tenants are when it is over.
    pub over: State,
    /// Its page of the runbook.
    pub runbook: &'static str,
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub enum Move {
    /// Upstream asks for the night's tenants.
    Ask,
    /// Upstream asks for them with this difference.
    AskWith(&'static str),
    /// Somebody with a client of the tenants' database does this; `{id}` is the tenant's id without hyphens.
    Sql(&'static str),
    /// A reviewer says no at this gate.
    Reject(&'static str),
    /// The tenants come to rest in this state.
    Until(State),
    /// The mended build, settings and pools are rolled out: the fleet starts again.
    Mend,
    /// A person types this command of the program.
    Type(&'static str),
}

/// The id that upstream brings for the tenant whose schema is there already.
pub const FOREIGN: &str = "0190f1f1-0000-7000-8000-00000000f00d";

/// The ten.
pub const NIGHTS: [Night; 10] = [
    Night {
        name: "config",
        slugs: &["night-config-1", "night-config-2"],
        page: "2 tenants HELD within a minute, both at row database.",
        faults: "database.before-ddl=no:class:config:slug:night-config-*",
        asks: "{}",
        trouble: &[Move::Ask],
        rests: State::Held,
        hints: &[
            "tenantry why night-config-1: the cause, and who shares it",
            "one cause for both: it is a setting of the fleet, not of a tenant. Mend it (m), as a rollout would",
            "then retry each, or both at once: tenantry batch plan --state held --worker database --verb retry -o s.json",
        ],
        solution: &[
            Move::Mend,
            Move::Type("tenant retry night-config-1"),
            Move::Type("tenant retry night-config-2"),
        ],
        over: State::Active,
        runbook: "codes/misconfigured.md",
    },
    Night {
        name: "full",
        slugs: &["night-full"],
        page: "night-full is HELD at row capacity.",
        faults: "",
        asks: r#"{"region": "us-east-1", "residency": "US"}"#,
        trouble: &[Move::Ask],
        rests: State::Held,
        hints: &[
            "tenantry capacity: which pool of which region is full",
            "more room is a decision of the platform's owners: they grant it (m)",
            "tenantry tenant retry night-full --yes",
        ],
        solution: &[Move::Mend, Move::Type("tenant retry night-full")],
        over: State::Active,
        runbook: "codes/capacity_insufficient.md",
    },
    Night {
        name: "gate",
        slugs: &["night-gate"],
        page: "Sales asks why night-gate is not in service: nobody saw a failure.",
        faults: "",
        asks: r#"{"plan": "enterprise"}"#,
        trouble: &[Move::Ask],
        rests: State::Awaiting,
        hints: &[
            "tenantry why night-gate: whose turn is it?",
            "a security review is open; in this drill you may decide as the account eve",
            "tenantry tenant approve night-gate --gate approval.security --actor eve --yes",
        ],
        solution: &[Move::Type("tenant approve night-gate --gate approval.security --actor eve")],
        over: State::Active,
        runbook: "codes/gate_expired.md",
    },
    Night {
        name: "leak",
        slugs: &["night-leak"],
        page: "night-leak is HELD at row verify. Security has been paged too.",
        faults: "verify.before-checks=not-yet:6000:slug:night-leak",
        asks: "{}",
        trouble: &[Move::Ask, Move::Sql("grant usage on schema worker_policy to r_{id}")],
        rests: State::Held,
        hints: &[
            "tenantry why night-leak: which attempt was not refused?",
            "its role (r_ and its id without hyphens) has a right that it must not have; psql on the database of the tenants",
            "revoke usage on schema worker_policy from r_<id>; then tenantry tenant retry night-leak --yes",
        ],
        solution: &[
            Move::Sql("revoke usage on schema worker_policy from r_{id}"),
            Move::Type("tenant retry night-leak"),
        ],
        over: State::Active,
        runbook: "codes/isolation_broken.md",
    },
    Night {
        name: "no",
        slugs: &["night-no"],
        page: "night-no is BLOCKED: a reviewer said no. The evidence that was missing is there by now.",
        faults: "",
        asks: r#"{"plan": "enterprise"}"#,
        trouble: &[Move::Ask, Move::Until(State::Awaiting), Move::Reject("approval.security")],
        rests: State::Blocked,
        hints: &[
            "tenantry why night-no: who said no, and why",
            "tenantry tenant retry night-no --yes opens the gate again; it decides nothing",
            "tenantry tenant approve night-no --gate approval.security --actor eve --yes",
        ],
        solution: &[
            Move::Type("tenant retry night-no"),
            Move::Until(State::Awaiting),
            Move::Type("tenant approve night-no --gate approval.security --actor eve"),
        ],
        over: State::Active,
        runbook: "codes/gate_rejected.md",
    },
    Night {
        name: "late",
        slugs: &["night-late"],
        page: "night-late is HELD at row credentials. Its admin waits for the mail.",
        faults: "credentials.before-mint=no:class:config:slug:night-late",
        asks: "{}",
        trouble: &[Move::Ask],
        rests: State::Held,
        hints: &[
            "tenantry why night-late: can it still be undone?",
            "it is behind the pivot: it only goes forward. Mend the cause (m)",
            "tenantry tenant retry night-late --yes",
        ],
        solution: &[Move::Mend, Move::Type("tenant retry night-late")],
        over: State::Active,
        runbook: "codes/misconfigured.md",
    },
    Night {
        name: "stuck",
        slugs: &["night-stuck"],
        page: "night-stuck is STUCK: an undo failed for good, and upstream wants the slug back.",
        faults: "quota.before-record=no:slug:night-stuck; storage.before-remove=no:slug:night-stuck",
        asks: "{}",
        trouble: &[Move::Ask],
        rests: State::Stuck,
        hints: &[
            "tenantry why night-stuck: what remains?",
            "nothing else frees the slug than the undo itself. Mend the storage (m)",
            "tenantry tenant retry night-stuck --yes undoes what remains",
        ],
        solution: &[Move::Mend, Move::Type("tenant retry night-stuck")],
        over: State::RolledBack,
        runbook: "README.md, the line STUCK",
    },
    Night {
        name: "foreign",
        slugs: &["night-foreign"],
        page: "night-foreign is HELD at row database: something of that name is there.",
        faults: "",
        asks: r#"{"plan": "professional", "tenant": "0190f1f1-0000-7000-8000-00000000f00d"}"#,
        trouble: &[Move::Sql("create schema t_{id}"), Move::Ask],
        rests: State::Held,
        hints: &[
            "tenantry why night-foreign: whose is it? Do not drop what you do not know",
            "its owner says: ours, from a test; keep it under another name. psql on the database of the tenants",
            "alter schema t_<id> rename to kept_<id>; then tenantry tenant retry night-foreign --yes",
        ],
        solution: &[
            Move::Sql("alter schema t_{id} rename to kept_{id}"),
            Move::Type("tenant retry night-foreign"),
        ],
        over: State::Active,
        runbook: "codes/owned_by_other.md",
    },
    Night {
        name: "shaky",
        slugs: &["night-shaky"],
        page: "night-shaky has been PROVISIONING for far too long.",
        faults: "config.before-record=shaky:slug:night-shaky",
        asks: "{}",
        trouble: &[Move::Ask],
        rests: State::Provisioning,
        hints: &[
            "tenantry why night-shaky: which row is tried again and again; tenantry top: its worker's breaker",
            "nobody needs to retry what the fleet itself tries again. What it needs is down: mend that (m)",
        ],
        solution: &[Move::Mend],
        over: State::Active,
        runbook: "codes/no_answer.md",
    },
    Night {
        name: "policy",
        slugs: &["night-policy"],
        page: "night-policy was REJECTED; upstream says that nothing changed on their side.",
        faults: "",
        asks: r#"{"initiator": "self"}"#,
        trouble: &[Move::Ask],
        rests: State::Rejected,
        hints: &[
            "tenantry why night-policy: which policy, and what it wants",
            "a rejected request is over: nothing was made, and the slug is free",
            "upstream asks again without the initiator self: tenantry request -f corrected.json (drill.json, corrected)",
        ],
        solution: &[Move::AskWith(r#"{"initiator": null}"#)],
        over: State::Active,
        runbook: "codes/policy_denied.md",
    },
];

impl Night {
    /// The night of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        NIGHTS.iter().find(|night| night.name == name)
    }

    /// What upstream asks for one of its tenants.
    pub fn request(&self, slug: &str, difference: &str) -> Value {
        let mut body = json!({
            "name": format!("Name of {slug}"), "slug": slug, "plan": "starter", "region": "eu-west-1", "residency": "EU",
            "admin": {"email": format!("admin@{slug}.example.com"), "first_name": "Ada", "last_name": "Lovelace"},
        });
        for text in [self.asks, difference] {
            let Ok(Value::Object(members)) = serde_json::from_str(text) else { continue };
            for (name, value) in members {
                body[name] = value;
            }
        }
        if let Some(body) = body.as_object_mut() {
            body.retain(|_, value| !value.is_null());
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Faults;

    #[test]
    fn every_night_has_a_name_of_its_own_sound_rules_and_hints() {
        let mut names: Vec<_> = NIGHTS.iter().map(|night| night.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NIGHTS.len());
        for night in &NIGHTS {
            assert!(Faults::parse(night.faults).is_ok(), "{}", night.name);
            assert!(
                night.hints.len() > 1 && night.hints.iter().all(|hint| hint.len() <= 130),
                "{}",
                night.name
            );
            assert!(night.asks.starts_with('{') && !night.slugs.is_empty(), "{}", night.name);
        }
    }

    #[test]
    fn what_upstream_asks_differs_where_the_night_says_so() {
        let night = Night::find("policy").unwrap();
        assert_eq!(night.request("night-policy", "{}")["initiator"], "self");
        assert_eq!(night.request("night-policy", r#"{"initiator": null}"#).get("initiator"), None);
        assert_eq!(Night::find("foreign").unwrap().request("x", "{}")["tenant"], FOREIGN);
    }
}
