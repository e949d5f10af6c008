//! The verifier: reads audit records in the order in which a reader of the topic (or of the journal) hears them and
//! says that nothing is missing, altered, doubled with other bytes or out of order, or names the first place where
//! something is. It works on exact bytes, on any number of chains at once, and trusts nothing but SHA-256.
//!
//! Memory: per chain its name, its head and one place; per record 16 bytes, by which a repeat is compared with the
//! first occurrence. A reader takes the first occurrence of (chain, seq); an older one that comes again is legal.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use tenantry_contracts::audit::{AuditEvent, AuditKind, FORMAT};
use tenantry_contracts::{Lane, Origin};

use crate::{Breach, Head, Problem, digest};

/// A record as it was heard.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// Its key: the chain.
    pub key: Option<&'a [u8]>,
    /// Its value's exact bytes.
    pub value: Option<&'a [u8]>,
    /// Where it was heard.
    pub at: &'a Origin,
}

/// The heads that chains must reach, from the store: without them a tail that was cut off, and a chain that was
/// rewritten from some place to its end, cannot be found.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The head of each chain.
    pub heads: BTreeMap<String, Head>,
    /// Nothing was written between reading the heads and the last record: there is no other chain, and no chain goes
    /// further. Else the heads are what chains reach at least; read them before the records.
    pub exact: bool,
}

/// What was found sound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Chains.
    pub chains: u64,
    /// Records, each counted once.
    pub records: u64,
    /// Further occurrences of the same records, byte for byte the same.
    pub repeats: u64,
    /// Records by what they say happened.
    pub kinds: BTreeMap<&'static str, u64>,
}

/// Whether to go on reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Read on. After a gap this is to see whether the missing record comes later.
    GoOn,
    /// The verdict is known; [`Verifier::finish`] has it.
    Stop,
}

/// Reads records and comes to a verdict.
#[derive(Debug, Default)]
pub struct Verifier {
    chains: HashMap<String, Chain>,
    report: Report,
    problem: Option<Problem>,
    /// The first problem is a gap: this record of this chain is missing so far.
    gap: Option<(String, i64)>,
}

/// What is remembered of a chain.
#[derive(Debug)]
struct Chain {
    head: Head,
    /// Where the head was heard.
    at: Origin,
    /// The first half of each record's digest, by seq.
    seen: Vec<[u8; 16]>,
}

impl Verifier {
    /// A verifier that has heard nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next record.
    pub fn hear(&mut self, heard: Heard<'_>) -> Flow {
        if self.gap.is_some() {
            self.hear_after_gap(heard);
        } else if self.problem.is_none()
            && let Err(problem) = self.check(heard)
        {
            self.problem = Some(*problem);
        }
        if self.problem.is_some() && self.gap.is_none() { Flow::Stop } else { Flow::GoOn }
    }

    /// The verdict over everything heard.
    ///
    /// # Errors
    /// The first problem.
    pub fn finish(mut self, expected: Option<&Expected>) -> Result<Report, Problem> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        if let Some(expected) = expected {
            self.check_heads(expected)?;
        }
        self.report.chains = self.chains.len() as u64;
        Ok(self.report)
    }

    /// The heads of all chains so far.
    pub fn heads(&self) -> impl Iterator<Item = (&str, Head)> {
        self.chains.iter().map(|(name, chain)| (name.as_str(), chain.head))
    }

    fn check(&mut self, heard: Heard<'_>) -> Result<(), Box<Problem>> {
        let (value, event) = chained(heard)?;
        let place = |breach, message: String| at_place(&event, heard, breach, message);
        let known = self.chains.get(&event.chain);
        let head = known.map_or_else(|| Head::start(&event.chain), |chain| chain.head);
        let print = digest(value);
        if let Some(chain) = known
            && event.seq <= head.seq
        {
            let first = usize::try_from(event.seq - 1).ok().and_then(|at| chain.seen.get(at));
            if first != Some(&half(&print)) {
                let message = "its bytes differ from those of its first occurrence".to_owned();
                return Err(place(Breach::Doubled, message).into());
            }
            self.report.repeats += 1;
            return Ok(());
        }
        if event.seq > head.seq + 1 {
            self.gap = Some((event.chain.clone(), head.seq + 1));
            let message = format!("record {} comes after record {}", event.seq, head.seq);
            let missing = Problem { seq: Some(head.seq + 1), ..place(Breach::Missing, message) };
            return Err(missing.into());
        }
        if event.prev != head.prev() {
            let message = match known {
                Some(chain) => format!(
                    "what record {} says of record {} does not match its bytes, heard at {}",
                    event.seq, head.seq, chain.at
                ),
                None => "it does not begin this chain".to_owned(),
            };
            return Err(place(Breach::Altered, message).into());
        }
        let chain = self.chains.entry(event.chain).or_insert_with_key(|name| Chain {
            head: Head::start(name),
            at: heard.at.clone(),
            seen: Vec::new(),
        });
        chain.head = chain.head.after(value);
        chain.at.clone_from(heard.at);
        chain.seen.push(half(&print));
        self.report.records += 1;
        *self.report.kinds.entry(event.kind.as_str()).or_default() += 1;
        Ok(())
    }

    /// After a gap only one thing is still open: does the missing record come later, or never?
    fn hear_after_gap(&mut self, heard: Heard<'_>) {
        let Some((chain, seq)) = &self.gap else { return };
        let Ok((_, event)) = read(heard) else { return };
        if event.chain == *chain && event.seq == *seq {
            if let Some(problem) = &mut self.problem {
                problem.breach = Breach::OutOfOrder;
                problem.message = format!("{}, and record {seq} only at {}", problem.message, heard.at);
            }
            self.gap = None;
        }
    }

    fn check_heads(&self, expected: &Expected) -> Result<(), Problem> {
        // After an accepted restore the store lacks chains and ends that were published: the audit itself says so.
        let restored = self.report.kinds.contains_key(AuditKind::RestoreAccepted.as_str());
        let exact = expected.exact && !restored;
        for (name, want) in &expected.heads {
            let have = self.chains.get(name);
            let problem = |breach, seq, message| Problem {
                breach,
                chain: Some(name.clone()),
                seq: Some(seq),
                at: have.map(|chain| chain.at.clone()),
                message,
            };
            let last = have.map_or(0, |chain| chain.head.seq);
            if last < want.seq {
                let message = format!("the chain ends at record {last}, the store has {}", want.seq);
                return Err(problem(Breach::Missing, last + 1, message));
            }
            if exact && last > want.seq {
                let message = format!("the chain goes on to record {last}, the store has {}", want.seq);
                return Err(problem(Breach::Unknown, want.seq + 1, message));
            }
            let seen = have.zip(usize::try_from(want.seq - 1).ok());
            let same = seen.is_none_or(|(chain, at)| chain.seen.get(at) == Some(&half(&want.digest)));
            if !same {
                let message = "the chain is sound in itself, but not the one that the store has".to_owned();
                return Err(problem(Breach::Altered, want.seq, message));
            }
        }
        let unknown = self.chains.keys().filter(|name| !expected.heads.contains_key(*name)).min();
        match unknown {
            Some(name) if exact => Err(Problem {
                breach: Breach::Unknown,
                chain: Some(name.clone()),
                seq: Some(1),
                at: self.chains.get(name).map(|chain| chain.at.clone()),
                message: "the store has no such chain".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// Reads a record as an event of the chain that it stands in.
pub(crate) fn chained(heard: Heard<'_>) -> Result<(&[u8], AuditEvent), Box<Problem>> {
    let (value, event) = read(heard)?;
    let wrong = |message: String| Err(at_place(&event, heard, Breach::WrongChain, message).into());
    if heard.key != Some(event.chain.as_bytes()) {
        let key = heard.key.map_or("none".into(), String::from_utf8_lossy);
        return wrong(format!("its key is {key}"));
    }
    if let Some(owner) = owner(&event).filter(|owner| *owner != event.chain) {
        return wrong(format!("it belongs to {owner}"));
    }
    Ok((value, event))
}

/// A problem with an event, at its place.
pub(crate) fn at_place(event: &AuditEvent, heard: Heard<'_>, breach: Breach, message: String) -> Problem {
    Problem {
        breach,
        chain: Some(event.chain.clone()),
        seq: Some(event.seq),
        at: Some(heard.at.clone()),
        message,
    }
}

/// Reads a record as an event of a format that this version knows.
fn read(heard: Heard<'_>) -> Result<(&[u8], AuditEvent), Box<Problem>> {
    let key = heard.key.map(|key| String::from_utf8_lossy(key).into_owned());
    let place = |breach, message: String| {
        Box::new(Problem { breach, chain: key.clone(), seq: None, at: Some(heard.at.clone()), message })
    };
    let Some(value) = heard.value else {
        return Err(place(Breach::Unreadable, "the record has no value".to_owned()));
    };
    let unreadable = |error: serde_json::Error| {
        // The error's text can quote the document, its place and class cannot.
        let message = format!("{:?} at line {} column {}", error.classify(), error.line(), error.column());
        place(Breach::Unreadable, message)
    };
    let format = serde_json::from_slice::<FormatOnly>(value).map_err(unreadable)?.format;
    if format != FORMAT {
        return Err(place(Breach::FormatUnknown, format!("it has format {format}")));
    }
    let event: AuditEvent = serde_json::from_slice(value).map_err(unreadable)?;
    if event.seq < 1 {
        return Err(place(Breach::Unreadable, format!("it has place {}, chains begin with 1", event.seq)));
    }
    Ok((value, event))
}

#[derive(serde::Deserialize)]
struct FormatOnly {
    format: u16,
}

/// The chain that an event belongs to by what it says itself: its lane's, or its tenant's.
fn owner(event: &AuditEvent) -> Option<String> {
    if event.chain.starts_with("lane-") {
        return Some(Lane::chain(event.lane));
    }
    event.tenant.as_ref().map(|tenant| tenant.id.to_string())
}

/// The first half of a digest: enough to tell records apart.
pub(crate) fn half(digest: &[u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}
