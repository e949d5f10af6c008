//! The signer's start: where the log stands. What was signed is what `tenant.audit.checkpoints` says; that the audit topic
//! still has all of it, and that the witness says the same, is looked at before anything more is signed.

use std::collections::BTreeMap;

use tenantry_audit::{Chains, Checkpoint, PublicKey, Published, Said};
use tenantry_contracts::Topic;
use tenantry_kafka::{Options, Reader, Start};
use tenantry_ports::Place;

use super::state::{Kept, State};
use super::witness::Witness;
use super::{Lock, Log, Settings, Voice, Window};
use crate::clock::SystemClock;
use crate::trail::{Base, Leaves, Notes, Trouble, read_notes};
use crate::watch::Publisher;

/// How many records of each partition that are in the log already are read again, so that repeats of them are known.
const AGAIN: i64 = 4_096;

/// Finds where the log stands, and begins to read what comes next.
pub(super) async fn begin(
    settings: &Settings,
    options: &Options,
    clock: SystemClock,
    lock: Lock,
) -> Result<(Log, Reader), Trouble> {
    let public = settings.dir.join("public.pem");
    std::fs::write(&public, settings.key.public().to_pem()).map_err(Trouble::file(&public))?;
    let state = State::new(&settings.dir);
    let (mut witness, mut compare) = Witness::open(&settings.witness)?;
    let mut rows = Rows::after(state.read());
    let mut trusted: Vec<PublicKey> = vec![settings.key.public().clone()];
    trusted.extend(settings.previous.iter().map(|key| key.public().clone()));
    let notes = read_notes(options, &settings.origin, &trusted, |note, checkpoint| {
        if let Some(checkpoint) = checkpoint {
            rows.add(checkpoint);
        }
        compare.hear(&mut witness, note)
    });
    let Notes { mut published, end } = notes.await?;
    let pending = compare.finish(&witness)?;
    if let Some(note) = &pending {
        // It was signed, and nobody knows whether it was published. If it follows, it is the next one.
        if let Said::Checkpoint(checkpoint) = published.hear(note)? {
            rows.add(checkpoint);
        }
    }
    let last = published.last().map(|(last, _)| last.clone());
    let (chains, frontier) = stand(settings, options, rows, &published).await?;
    let mut voice =
        Voice { publisher: publisher(options).await?, origin: settings.origin.clone(), next: end };
    if let Some(note) = &pending {
        voice.say(note).await?;
    }
    let lanes = partitions(options).await?;
    let read = last.map(|last| last.read).unwrap_or_default();
    let mut log = Log {
        settings: settings.clone(),
        clock,
        chains,
        frontier,
        published,
        window: Window::after(&read, lanes),
        witness,
        voice,
        state,
        _lock: lock,
    };
    log.take_over().await?;
    let reader = follow(options, &log.window.read()).await?;
    Ok((log, reader))
}

/// The log at the last checkpoint: from what was kept, else from the beginning of the topic.
async fn stand(
    settings: &Settings,
    options: &Options,
    rows: Rows,
    published: &Published,
) -> Result<(Chains, tenantry_audit::log::Frontier), Trouble> {
    let Some((last, _)) = published.last() else { return Ok(Default::default()) };
    let (base, chains) = match rows.kept {
        Some((kept, read)) => (Base { frontier: kept.frontier, read }, Chains::stored(kept.heads)),
        None => Default::default(),
    };
    let between = (base.read.as_slice(), last.read.as_slice());
    let leaves = Leaves::read(options, &settings.dir, between, chains, |_| false).await?;
    let frontier = leaves.walk(&base, &rows.rows, |_, _, _| Ok(()))?;
    let mut chains = leaves.chains;
    if (chains.heads().count(), chains.root()) != (last.chains, last.heads) || frontier.root() != last.root {
        let text = format!(
            "the chains on the topic do not end where they ended when {} was signed; compare it with a copy of the \
             topic and with the witness file",
            last.time
        );
        return Err(Trouble::breach("log_differs", text));
    }
    Ok((chains, frontier))
}

/// The checkpoints that must be walked through: those after what was kept, without those that read nothing new.
struct Rows {
    waiting: Option<Kept>,
    kept: Option<(Kept, Vec<(i32, i64)>)>,
    rows: Vec<Checkpoint>,
}

impl Rows {
    fn after(kept: Option<Kept>) -> Self {
        Self { waiting: kept, kept: None, rows: Vec::new() }
    }

    fn add(&mut self, checkpoint: Checkpoint) {
        if let Some(kept) = self.waiting.take_if(|kept| kept.fits(&checkpoint)) {
            self.kept = Some((kept, checkpoint.read));
            self.rows.clear();
            return;
        }
        let silent = self.rows.last().is_some_and(|last| {
            (last.size, last.root, &last.read) == (checkpoint.size, checkpoint.root, &checkpoint.read)
        });
        if !silent {
            self.rows.push(checkpoint);
        }
    }
}

async fn partitions(options: &Options) -> Result<u16, Trouble> {
    let places = Reader::places(options, vec![Topic::Audit]).await?;
    Ok(u16::try_from(places.len()).unwrap_or(u16::MAX))
}

async fn publisher(options: &Options) -> Result<Publisher, Trouble> {
    Publisher::open(options).await.map_err(Trouble::Passing)
}

/// Reads on from where the log ends, and a little before.
async fn follow(options: &Options, read: &[(i32, i64)]) -> Result<Reader, Trouble> {
    let at: BTreeMap<Place, i64> = read
        .iter()
        .filter_map(|(partition, offset)| {
            let place = Place { topic: Topic::Audit, partition: u16::try_from(*partition).ok()? };
            Some((place, (offset - AGAIN).max(0)))
        })
        .collect();
    let reader = Reader::open(options, at.keys().cloned().collect(), Start::At(at)).await?;
    for (partition, offset) in read {
        let place = Place { topic: Topic::Audit, partition: u16::try_from(*partition).unwrap_or(u16::MAX) };
        let end = reader.ends().get(&place).copied().unwrap_or_default();
        if end < *offset {
            let text = format!(
                "{}/{partition} ends at offset {end}, but what was signed goes to {offset}: the topic was cut or made \
                 anew; put it back from a copy",
                place.topic
            );
            return Err(Trouble::breach("log_cut", text));
        }
    }
    Ok(reader)
}
