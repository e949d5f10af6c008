//! A manifest: exactly which letters are to be answered, and how. It does not grow between the plan and its replay.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tenantry_contracts::command::Question;
use tenantry_contracts::time::rfc3339;
use tenantry_contracts::{Fleet, Origin, RequestId, Time};

use super::verdict::Verdict;
use crate::frozen::file::{self, Frozen};

/// The format of this version.
const FORMAT: u16 = 1;
/// The source of the operations and of nothing else: `(source, id)` is what the fleet remembers.
pub(super) const SOURCE: &str = "tenantry-dlq";

/// A plan, frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: u16,
    /// The fleet whose letters they are.
    pub(super) fleet: Fleet,
    #[serde(with = "rfc3339")]
    pub(super) made: Time,
    /// Who planned it; not verified.
    pub(super) by: String,
    /// What was asked for.
    pub(super) filter: String,
    pub(super) count: usize,
    /// How many letters have each verdict.
    pub(super) verdicts: BTreeMap<Verdict, usize>,
    /// In the order in which they are answered.
    pub(super) letters: Vec<Entry>,
    /// SHA-256 over all the rest, hexadecimal.
    pub(super) digest: String,
    /// The command that runs it.
    pub(super) run: String,
}

/// One letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Its id: where the record was heard.
    pub(super) letter: Origin,
    /// Where the letter lies.
    pub(super) lies: Origin,
    /// SHA-256 over all that the letter keeps, hexadecimal.
    pub(super) digest: String,
    pub(super) verdict: Verdict,
    pub(super) why: String,
    /// What keeps order: letters with the same key are answered one after the other.
    pub(super) key: String,
    pub(super) code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<String>,
    /// The question, of a command or an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) question: Option<Question>,
    /// The tenant's version when the verdict was made: a retry is refused where it moved on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<i64>,
    /// The id under which the fleet decides about a request or an operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<RequestId>,
}

impl Manifest {
    /// Freezes these letters.
    pub(super) fn of(
        fleet: Fleet,
        made: Time,
        by: String,
        filter: String,
        mut letters: Vec<Entry>,
        run: impl FnOnce(usize) -> String,
    ) -> Self {
        letters.sort_by_cached_key(|entry| (rank(&entry.letter.topic), entry.letter.clone()));
        let mut verdicts = BTreeMap::new();
        for entry in &letters {
            *verdicts.entry(entry.verdict).or_default() += 1;
        }
        let runs = letters.iter().filter(|entry| entry.verdict.runs()).count();
        let (count, run) = (letters.len(), run(runs));
        let digest = String::new();
        file::sealed(Self { format: FORMAT, fleet, made, by, filter, count, verdicts, letters, digest, run })
    }

    /// The letters that a replay acts on.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Entry> {
        self.letters.iter().filter(|entry| entry.verdict.runs())
    }

    /// The first digits of the digest, for people.
    pub(super) fn short(&self) -> &str {
        file::short(&self.digest)
    }

    /// The id of the operation that answers a letter, after it was refused so often for a reason that passes: the same
    /// for each replay of this manifest.
    pub(super) fn operation(&self, letter: &Origin, back: u32) -> RequestId {
        let again = if back == 0 { String::new() } else { format!("\n{back}") };
        let digest = Sha256::digest(format!("tenantry/1\ndlq\n{}\n{letter}{again}", self.digest));
        RequestId { source: SOURCE.to_owned(), id: hex::encode(&digest[..16]) }
    }
}

impl Frozen for Manifest {
    const NAME: &'static str = "manifest";
    const MADE_BY: &'static str = "tenantry dlq plan";
    const CODES: [&'static str; 3] = ["manifest_unreadable", "manifest_unwritable", "manifest_changed"];
    const FORMAT: u16 = FORMAT;

    fn format(&self) -> u16 {
        self.format
    }

    fn digest(&mut self) -> &mut String {
        &mut self.digest
    }
}

/// Letters of requests come before those of what requests lead to.
fn rank(topic: &str) -> u8 {
    match topic {
        "tenant.requests" => 0,
        "tenant.operations" => 1,
        "tenant.results" => 2,
        _ => 3,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn entry(topic: &str, offset: i64, verdict: Verdict) -> Entry {
        let letter = Origin { topic: topic.to_owned().into(), partition: 0, offset };
        Entry {
            lies: Origin { topic: format!("{topic}.dlq").into(), partition: 0, offset },
            letter,
            digest: "00".into(),
            verdict,
            why: "because".into(),
            key: "acme".into(),
            code: "not_json".into(),
            step: None,
            question: None,
            version: Some(7),
            request: None,
        }
    }

    pub(crate) fn manifest(letters: Vec<Entry>) -> Manifest {
        Manifest::of(Fleet::new("local"), Time(1), "ada".into(), "code=not_json".into(), letters, |n| {
            n.to_string()
        })
    }

    #[test]
    fn a_manifest_reads_back_and_any_change_of_it_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.json");
        let made = manifest(vec![
            entry("tenant.commands.database", 3, Verdict::AskAfresh),
            entry("tenant.requests", 9, Verdict::NeedsEdit),
            entry("tenant.commands.database", 1, Verdict::AskAfresh),
        ]);
        file::write(&made, &path).unwrap();
        assert_eq!(file::read::<Manifest>(&path).unwrap(), made);
        assert_eq!(made.letters.iter().map(|entry| entry.letter.offset).collect::<Vec<_>>(), [9, 1, 3]);
        assert_eq!((made.count, made.runs().count(), made.run.as_str()), (3, 2, "2"));
        assert!(file::write(&made, &path).is_err(), "a manifest is never written over");
        let text = std::fs::read_to_string(&path).unwrap();
        for (was, is) in [
            ("\"offset\": 3", "\"offset\": 4"),
            ("needs-edit", "replay"),
            ("\"version\": 7", "\"version\": 8"),
            ("because", "for fun"),
            ("\"local\"", "\"other\""),
        ] {
            std::fs::write(&path, text.replacen(was, is, 1)).unwrap();
            assert_eq!(file::read::<Manifest>(&path).unwrap_err().code, "manifest_changed", "{was}");
        }
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(file::read::<Manifest>(&path).unwrap_err().code, "manifest_unreadable");
    }

    #[test]
    fn operation_ids_follow_from_manifest_and_letter() {
        let one = manifest(vec![entry("tenant.commands.database", 1, Verdict::AskAfresh)]);
        let two = manifest(vec![entry("tenant.commands.database", 2, Verdict::AskAfresh)]);
        let letter = &one.letters[0].letter;
        assert_eq!(one.operation(letter, 0), one.clone().operation(letter, 0));
        assert_ne!(one.operation(letter, 0), two.operation(letter, 0), "another manifest");
        assert_ne!(one.operation(letter, 0), one.operation(&two.letters[0].letter, 0), "another letter");
        assert_ne!(one.operation(letter, 0), one.operation(letter, 1), "after it was refused for now");
    }
}
