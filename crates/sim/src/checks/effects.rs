//! Fenced, and at most one live effect: the providers' own lists, replayed.

use std::collections::BTreeMap;

use tenantry_contracts::result::{Answer, Said};
use tenantry_contracts::{Token, Topic};

use super::report;
use crate::evidence::{Broken, Evidence, What, stem};

pub(super) fn check(evidence: &Evidence, broken: &mut Vec<Broken>) {
    let mut fences: BTreeMap<&str, Token> = BTreeMap::new();
    let mut live: BTreeMap<&str, i64> = BTreeMap::new();
    for effect in &evidence.effects {
        if !evidence.fenced.iter().any(|name| name == stem(&effect.resource)) {
            continue;
        }
        let fence = fences.entry(&effect.resource).or_default();
        if effect.token < *fence {
            let how = format!("{} under {} after {fence}", effect.resource, effect.token);
            report(broken, "fenced", how);
        }
        *fence = effect.token.max(*fence);
        let count = live.entry(&effect.resource).or_default();
        match effect.what {
            What::Made => *count += 1,
            What::Removed => *count -= 1,
            What::Found | What::Absent | What::Sent => {}
        }
        if *count > 1 {
            report(broken, "at most one live effect", format!("{} has {count}", effect.resource));
        }
    }
    first_answers(evidence, broken);
}

/// What a step that cannot be repeated answers to one question is the same each time, and was really done.
fn first_answers(evidence: &Evidence, broken: &mut Vec<Broken>) {
    let mut first: BTreeMap<String, Said> = BTreeMap::new();
    for ((topic, _), records) in &evidence.logs {
        if *topic != Topic::Results {
            continue;
        }
        for record in records {
            let Ok(answer) = Answer::decode(record) else { continue };
            if !evidence.once.iter().any(|row| *row == answer.question.row.as_str()) {
                continue;
            }
            if !matches!(answer.body.said, Said::Succeeded(_)) {
                continue;
            }
            let id = answer.question.id();
            match first.get(&id) {
                Some(said) if *said != answer.body.said => {
                    report(broken, "the first answer stands", format!("{id} was answered differently"));
                }
                Some(_) => {}
                None => drop(first.insert(id, answer.body.said)),
            }
        }
    }
}
