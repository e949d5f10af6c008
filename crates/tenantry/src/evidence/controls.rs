//! `tenantry evidence controls`: which controls of which standards this system supports, with what, and where in a bundle
//! the evidence lies. A data file; it lies in every bundle too.

use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::out::{self, failed, usage};
use crate::show::Style;
use crate::show::style::wrap;

/// The control map as it lies in `schemas/`.
pub(super) const DOCUMENT: &str = include_str!("../../../../schemas/controls.json");

/// Show which controls this system supports, and where in a bundle the evidence lies; it certifies nothing
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Only of this standard
    #[arg(long, env = "TENANTRY_FRAMEWORK", value_enum)]
    framework: Option<Framework>,
    /// Only in this edition; of ISO/IEC 27001 both are known
    #[arg(long, env = "TENANTRY_EDITION", value_name = "YEAR")]
    edition: Option<String>,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
}

/// A standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Framework {
    /// ISO/IEC 27001, annex A
    Iso27001,
    /// SOC 2, common criteria
    Soc2,
    /// The General Data Protection Regulation
    Gdpr,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Map {
    format: u16,
    /// What the map says and what it does not.
    wording: String,
    controls: Vec<Control>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Control {
    framework: Framework,
    edition: String,
    /// Its number there.
    id: String,
    title: String,
    /// What in this system supports it.
    supports: String,
    /// Where the evidence lies in a bundle.
    evidence: Vec<String>,
    /// What it does not cover, and somebody else must show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_covered: Option<String>,
    /// Its numbers in other editions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    elsewhere: Vec<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut map = read()?;
    map.controls.retain(|control| {
        args.framework.is_none_or(|framework| control.framework == framework)
            && args.edition.as_ref().is_none_or(|edition| control.edition == *edition)
    });
    if map.controls.is_empty() {
        let text = "the map has no such standard in that edition; `tenantry evidence controls` shows all";
        return Err(usage("controls_unknown", text).into());
    }
    if args.json {
        out::json(&map)?;
        return Ok(ExitCode::SUCCESS);
    }
    let style = Style::detect();
    for line in wrap(&map.wording, 0) {
        out::line(line);
    }
    for control in &map.controls {
        out::line("");
        for line in lines(style, control) {
            out::line(line);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(style: Style, control: &Control) -> Vec<String> {
    let Control { framework, edition, id, title, supports, evidence, not_covered, elsewhere } = control;
    let name = match framework {
        Framework::Iso27001 => "ISO/IEC 27001",
        Framework::Soc2 => "SOC 2",
        Framework::Gdpr => "GDPR",
    };
    let also = match elsewhere.join(", ") {
        none if none.is_empty() => none,
        also => style.dim(&format!("  also {also}")),
    };
    let mut lines = vec![format!("{}  {title}{also}", style.bold(&format!("{name}:{edition} {id}")))];
    lines.extend(wrap(&format!("supported by: {supports}"), 2));
    lines.extend(wrap(&format!("evidence: {}", evidence.join(", ")), 2));
    lines.extend(not_covered.iter().flat_map(|text| wrap(&format!("not covered: {text}"), 2)));
    lines
}

fn read() -> anyhow::Result<Map> {
    Ok(serde_json::from_str(DOCUMENT).map_err(|error| {
        failed("internal", format!("the control map cannot be read: {error}; report this"))
    })?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Where evidence can lie in a bundle.
    const PLACES: &[&str] = &[
        "events/",
        "heads.ndjson",
        "proofs/",
        "checkpoints/",
        "keys/",
        "selection.json",
        "manifest.dsse.json",
        "attachments/history.ndjson",
        "attachments/state.json",
        "attachments/approvals.ndjson",
        "attachments/policy.json",
        "attachments/plan.txt",
        "attachments/receipts/",
        "attachments/provenance.json",
        "attachments/about.json",
    ];

    #[test]
    fn every_control_names_what_supports_it_and_where_the_evidence_lies() {
        let map = read().unwrap();
        let mut ids = BTreeSet::new();
        for control in &map.controls {
            let id = format!("{:?} {} {}", control.framework, control.edition, control.id);
            assert!(ids.insert(id.clone()), "{id} stands there twice");
            assert!(!control.supports.is_empty() && !control.evidence.is_empty(), "{id}");
            for place in &control.evidence {
                assert!(PLACES.contains(&place.as_str()), "{id}: a bundle has no {place}");
            }
        }
        let text = DOCUMENT.to_lowercase();
        for claim in ["certifies that", "certified", "guarantees", "compliant with"] {
            assert!(!text.contains(claim), "the map supports, it never claims: {claim}");
        }
    }

    #[test]
    fn what_was_asked_for_is_there_and_both_editions_know_each_other() {
        let map = read().unwrap();
        let has = |framework, edition: &str, begins: &str| {
            map.controls.iter().any(|control| {
                (control.framework, control.edition.as_str()) == (framework, edition)
                    && control.id.starts_with(begins)
            })
        };
        for begins in ["CC6", "CC7", "CC8"] {
            assert!(has(Framework::Soc2, "2017", begins), "{begins}");
        }
        for article in ["5(2)", "17", "30", "32"] {
            assert!(has(Framework::Gdpr, "2016", article), "{article}");
        }
        for (edition, id) in [
            ("2013", "A.12.1"),
            ("2013", "A.12.4.1"),
            ("2013", "A.8.3.2"),
            ("2022", "A.8.15"),
            ("2022", "A.8.10"),
        ] {
            assert!(has(Framework::Iso27001, edition, id), "{edition} {id}");
        }
        for control in map.controls.iter().filter(|control| control.framework == Framework::Iso27001) {
            for other in &control.elsewhere {
                let (edition, id) = other.split_once(' ').unwrap();
                assert!(has(Framework::Iso27001, edition, id), "{}: {other}", control.id);
            }
        }
    }
}
