//! What a verification found: for people, for programs, and as an exit code.

use serde::Serialize;
use tenantry_audit::{Breach, Problem, Report};
use tenantry_contracts::Time;
use tenantry_contracts::time::rfc3339;
use tenantry_postgres::Queries;

use super::heads::Heads;
use super::history::Proved;
use super::{From, Reading};
use crate::show::style::{Style, count, wrap};

/// What was found.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// `ok`, `broken` or `incomplete`.
    pub verdict: &'static str,
    /// What was read.
    pub from: &'static str,
    /// Counts, where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Report>,
    /// From when to when the records are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// The ends of the chains, where they were compared with the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<Ends>,
    /// What the history showed, where it was told anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Proved>,
    /// The first problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<&'static str>,
}

/// From when to when.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Span {
    /// The first record.
    #[serde(with = "rfc3339")]
    pub first: Time,
    /// The last record.
    #[serde(with = "rfc3339")]
    pub last: Time,
}

/// The ends of the chains.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ends {
    /// How many were compared.
    pub compared: usize,
    /// How many were not: committed, and not yet known to be on the topic.
    pub ahead: usize,
    /// The fleet rested meanwhile: no chain goes further, and there is no other.
    pub exact: bool,
}

impl Verdict {
    pub(super) async fn of(
        from: From,
        reading: Reading<'_>,
        heads: Option<Heads>,
        store: Option<&Queries>,
    ) -> anyhow::Result<Self> {
        let (mut expected, mut ends) = (None, None);
        if let Some(heads) = heads {
            let (compared, ahead) = (heads.len(), heads.ahead);
            let known = heads.expected(store).await?;
            ends = Some(Ends { compared, ahead, exact: known.exact });
            expected = Some(known);
        }
        let from = from.as_str();
        let span = reading.span.map(|(first, last)| Span { first, last });
        let (found, problem) = match reading.verifier.finish(expected.as_ref()) {
            Ok(found) => (Some(found), None),
            Err(problem) => (None, Some(problem)),
        };
        let verdict = word(problem.as_ref());
        let advice = problem.as_ref().map(|problem| problem.breach.advice());
        Ok(Self { verdict, from, found, span, ends, history: None, problem, advice })
    }

    /// The history says something else than the records.
    pub(super) fn differs(from: From, mut proved: Proved) -> Self {
        let problem = proved.problem.take();
        Self {
            verdict: word(problem.as_ref()),
            from: from.as_str(),
            found: None,
            span: None,
            ends: None,
            advice: problem.as_ref().map(|problem| problem.breach.advice()),
            history: Some(proved),
            problem,
        }
    }

    /// 0 all is well, 1 broken, 2 incomplete.
    pub fn exit(&self) -> u8 {
        match self.verdict {
            "ok" => 0,
            "incomplete" => 2,
            _ => 1,
        }
    }

    /// Lines for people.
    pub fn lines(&self, style: Style) -> Vec<String> {
        let what = match self.from {
            "topic" => "tenant.audit.events",
            _ => "the journal",
        };
        let mut lines = Vec::new();
        if let Some(found) = &self.found {
            lines.push(format!(
                "{} {what}: {} in {}",
                style.green("OK"),
                count(number(found.records), "record"),
                count(number(found.chains), "chain"),
            ));
            lines.push("   nothing missing, altered, doubled or out of order".to_owned());
            if found.repeats > 0 {
                lines.extend(wrap(
                    &format!("{} byte for byte, which is legal", count(number(found.repeats), "repeat")),
                    3,
                ));
            }
        }
        if let Some(problem) = &self.problem {
            let word = if self.verdict == "incomplete" { "INCOMPLETE" } else { "BROKEN" };
            lines.push(format!("{} {what}", style.red(word)));
            lines.push(format!("   {}", style.red(problem.breach.as_str())));
            let mut field = |name: &str, value: Option<String>| {
                lines.extend(value.map(|value| format!("   {name:<8}{value}")));
            };
            field("chain", problem.chain.clone().map(|chain| crate::out::plain(&chain)));
            field("record", problem.seq.map(|seq| seq.to_string()));
            field("at", problem.at.as_ref().map(ToString::to_string));
            lines.extend(wrap(&problem.message, 3));
            lines.extend(wrap(&format!("next: {}", problem.breach.advice()), 3));
        }
        if let Some(span) = self.span {
            lines.push(style.dim(&format!("   from {} to {}", span.first, span.last)));
        }
        if let Some(found) = &self.found {
            let kinds: Vec<String> = found.kinds.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
            lines.extend(wrap(&kinds.join(", "), 3).iter().map(|line| style.dim(line)));
        }
        if let (Some(ends), true) = (self.ends, self.problem.is_none()) {
            let mut text = format!(
                "ends compared with the store: {}, {}",
                ends.compared,
                if ends.exact { "and there is nothing else" } else { "the fleet was working meanwhile" }
            );
            if ends.ahead > 0 {
                text.push_str(&format!(
                    "; {} not yet known to be on the topic: verify again later",
                    ends.ahead
                ));
            }
            lines.extend(wrap(&text, 3));
        } else if self.ends.is_none() && self.history.is_none() {
            lines.extend(wrap(
                "ends not compared: a tail that was cut off would not be seen without the store",
                3,
            ));
        }
        if let (Some(history), None) = (&self.history, &self.problem) {
            let text = format!(
                "history: {} of the journal told anew, {} also compared with the topic; each is byte for byte what was said",
                count(number(history.rows), "row"),
                history.on_topic
            );
            lines.extend(wrap(&text, 3));
        }
        lines
    }
}

fn word(problem: Option<&Problem>) -> &'static str {
    match problem.map(|problem| problem.breach) {
        None => "ok",
        Some(Breach::Missing) => "incomplete",
        Some(_) => "broken",
    }
}

fn number(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tenantry_contracts::Origin;

    use super::*;

    #[test]
    fn all_well_is_said_with_counts_on_a_narrow_terminal() {
        let verdict = Verdict {
            verdict: "ok",
            from: "topic",
            found: Some(Report {
                chains: 2,
                records: 7,
                repeats: 1,
                kinds: BTreeMap::from([("tenant.requested", 1), ("tenant.step.succeeded", 3)]),
            }),
            span: Some(Span { first: Time(0), last: Time(1) }),
            ends: Some(Ends { compared: 2, ahead: 0, exact: true }),
            history: None,
            problem: None,
            advice: None,
        };
        assert_eq!(verdict.exit(), 0);
        assert_eq!(
            verdict.lines(Style::PLAIN).join("\n"),
            "OK tenant.audit.events: 7 records in 2 chains\n   nothing missing, altered, doubled or out of order\n   \
             1 repeat byte for byte, which is legal\n   \
             from 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:00.001Z\n   \
             tenant.requested 1, tenant.step.succeeded 3\n   \
             ends compared with the store: 2, and there is nothing else"
        );
    }

    #[test]
    fn a_broken_trail_names_the_first_place_and_what_to_do() {
        let problem = Problem {
            breach: Breach::Altered,
            chain: Some("lane-1".into()),
            seq: Some(4),
            at: Some(Origin { topic: "tenant.audit.events".into(), partition: 1, offset: 9 }),
            message: "its bytes differ".into(),
        };
        let verdict = Verdict {
            verdict: "broken",
            from: "topic",
            found: None,
            span: None,
            ends: None,
            history: None,
            advice: Some(problem.breach.advice()),
            problem: Some(problem),
        };
        assert_eq!(verdict.exit(), 1);
        let lines = verdict.lines(Style::PLAIN).join("\n");
        for part in [
            "BROKEN tenant.audit.events",
            "audit_altered",
            "chain   lane-1",
            "record  4",
            "tenant.audit.events/1/9",
            "next: ",
        ] {
            assert!(lines.contains(part), "{lines}");
        }
    }
}
