//! A manifest: exactly which letters are to be answered, and how. It does not grow between the plan and its replay.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tenantry_contracts::command::Question;
use tenantry_contracts::time::rfc3339;
use tenantry_contracts::{Fleet, Origin, RequestId, Time};

use super::verdict::Verdict;
use crate::out::{Refused, failed, usage};

/// The format of this version.
const FORMAT: u16 = 1;
/// The largest file that is read as a manifest.
const MOST: u64 = 256 << 20;
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
        let mut manifest =
            Self { format: FORMAT, fleet, made, by, filter, count, verdicts, letters, digest, run };
        manifest.digest = manifest.computed();
        manifest
    }

    /// The letters that a replay acts on.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Entry> {
        self.letters.iter().filter(|entry| entry.verdict.runs())
    }

    /// The digest over everything but itself.
    fn computed(&self) -> String {
        let bare = Self { digest: String::new(), ..self.clone() };
        // A manifest always has a JSON form; if it had none, no digest would fit.
        let bytes = serde_json::to_vec(&bare).unwrap_or_default();
        hex::encode(Sha256::digest(bytes))
    }

    /// The first digits of the digest, for people.
    pub(super) fn short(&self) -> &str {
        self.digest.get(..12).unwrap_or(&self.digest)
    }

    /// The id of the operation that answers a letter: the same for each replay of this manifest.
    pub(super) fn operation(&self, letter: &Origin) -> RequestId {
        let digest = Sha256::digest(format!("tenantry/1\ndlq\n{}\n{letter}", self.digest));
        RequestId { source: SOURCE.to_owned(), id: hex::encode(&digest[..16]) }
    }

    /// Writes it to a new file, durably; never over another one.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let refused = |error: std::io::Error| {
            usage("manifest_unwritable", format!("{}: {error}; name a new file with -o", path.display()))
        };
        let mut file = std::fs::File::create_new(path).map_err(refused)?;
        file.write_all(&serde_json::to_vec_pretty(self)?).map_err(refused)?;
        file.write_all(b"\n").map_err(refused)?;
        file.sync_all().map_err(refused)?;
        Ok(())
    }

    /// Reads one, and sees that nobody changed it.
    pub(super) fn read(path: &Path) -> Result<Self, Refused> {
        let shown = path.display();
        let file = std::fs::metadata(path).and_then(|found| match found.len() {
            0..=MOST => std::fs::read(path),
            _ => Err(std::io::Error::other("it is too large")),
        });
        let bytes = file.map_err(|error| {
            usage("manifest_unreadable", format!("{shown}: {error}; make one with `tenantry dlq plan -o`"))
        })?;
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| {
            usage(
                "manifest_unreadable",
                format!("{shown} is no manifest: {error}; make one with `tenantry dlq plan -o`"),
            )
        })?;
        if manifest.format != FORMAT {
            let text = format!("{shown} has format {}, not {FORMAT}; plan it again", manifest.format);
            return Err(usage("manifest_unreadable", text));
        }
        if manifest.computed() != manifest.digest {
            let text = format!("{shown} is not what was planned: its digest does not fit; plan it again");
            return Err(failed("manifest_changed", text));
        }
        Ok(manifest)
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
        let letter = Origin { topic: topic.into(), partition: 0, offset };
        Entry {
            lies: Origin { topic: format!("{topic}.dlq"), partition: 0, offset },
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
        made.write(&path).unwrap();
        assert_eq!(Manifest::read(&path).unwrap(), made);
        assert_eq!(made.letters.iter().map(|entry| entry.letter.offset).collect::<Vec<_>>(), [9, 1, 3]);
        assert_eq!((made.count, made.runs().count(), made.run.as_str()), (3, 2, "2"));
        assert!(made.write(&path).is_err(), "a manifest is never written over");
        let text = std::fs::read_to_string(&path).unwrap();
        for (was, is) in [
            ("\"offset\": 3", "\"offset\": 4"),
            ("needs-edit", "replay"),
            ("\"version\": 7", "\"version\": 8"),
            ("because", "for fun"),
            ("\"local\"", "\"other\""),
        ] {
            std::fs::write(&path, text.replacen(was, is, 1)).unwrap();
            assert_eq!(Manifest::read(&path).unwrap_err().code, "manifest_changed", "{was}");
        }
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(Manifest::read(&path).unwrap_err().code, "manifest_unreadable");
    }

    #[test]
    fn operation_ids_follow_from_manifest_and_letter() {
        let one = manifest(vec![entry("tenant.commands.database", 1, Verdict::AskAfresh)]);
        let two = manifest(vec![entry("tenant.commands.database", 2, Verdict::AskAfresh)]);
        let letter = &one.letters[0].letter;
        assert_eq!(one.operation(letter), one.clone().operation(letter));
        assert_ne!(one.operation(letter), two.operation(letter), "another manifest");
        assert_ne!(one.operation(letter), one.operation(&two.letters[0].letter), "another letter");
    }
}
