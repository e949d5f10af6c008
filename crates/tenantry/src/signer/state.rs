//! What the signer keeps between its runs, so that it need not read the topic from its beginning: the tree and the ends
//! of the chains at a checkpoint. It is believed only where it is what that checkpoint says; the topic is the truth.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tenantry_audit::log::{Frontier, Hash};
use tenantry_audit::{Checkpoint, Head, Heads};
use tokio::time::Instant;

use crate::trail::Trouble;

/// The version of the file.
const FORMAT: u16 = 1;

/// The file.
#[derive(Debug)]
pub(super) struct State {
    path: PathBuf,
    written: Option<Instant>,
}

/// What was kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// The digest of the checkpoint.
    pub(super) checkpoint: Hash,
    /// The tree.
    pub(super) frontier: Frontier,
    /// The ends of the chains.
    pub(super) heads: Heads,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u16,
    checkpoint: String,
    size: u64,
    roots: Vec<String>,
    heads: Vec<(String, i64, String)>,
}

impl State {
    pub(super) fn new(dir: &Path) -> Self {
        Self { path: dir.join("state.json"), written: None }
    }

    /// What was kept; `None` where nothing was, or it cannot be read: then the topic is read from its beginning.
    pub(super) fn read(&self) -> Option<Kept> {
        let file = File::open(&self.path).ok()?;
        let kept = serde_json::from_reader(BufReader::new(file)).ok().and_then(read);
        if kept.is_none() {
            tracing::warn!(path = %self.path.display(), "the state is damaged; the topic is read from its beginning");
        }
        kept
    }

    /// Keeps it, in one step that a crash cannot halve; not more often than `every`.
    pub(super) fn write(
        &mut self,
        checkpoint: &Checkpoint,
        frontier: &Frontier,
        heads: &Heads,
        every: Duration,
    ) -> Result<(), Trouble> {
        if self.written.is_some_and(|written| written.elapsed() < every) {
            return Ok(());
        }
        let stored = Stored {
            format: FORMAT,
            checkpoint: hex::encode(checkpoint.digest()),
            size: frontier.size(),
            roots: frontier.roots().iter().map(hex::encode).collect(),
            heads: heads.iter().map(|(chain, head)| (chain.to_owned(), head.seq, head.prev())).collect(),
        };
        let new = self.path.with_extension("new");
        let write = || {
            let _ = std::fs::remove_file(&new);
            let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
            let mut file = BufWriter::new(file);
            serde_json::to_writer(&mut file, &stored)?;
            file.flush()?;
            file.get_ref().sync_all()?;
            std::fs::rename(&new, &self.path)
        };
        write().map_err(Trouble::file(&self.path))?;
        self.written = Some(Instant::now());
        Ok(())
    }
}

impl Kept {
    /// Whether it is what this checkpoint says.
    pub(super) fn fits(&self, checkpoint: &Checkpoint) -> bool {
        self.checkpoint == checkpoint.digest()
            && (self.frontier.size(), self.frontier.root()) == (checkpoint.size, checkpoint.root)
            && (self.heads.count(), self.heads.root()) == (checkpoint.chains, checkpoint.heads)
    }
}

fn read(stored: Stored) -> Option<Kept> {
    let hash = |text: &String| <Hash>::try_from(hex::decode(text).ok()?).ok();
    let roots: Option<Vec<Hash>> = stored.roots.iter().map(hash).collect();
    let head = |(chain, seq, digest): &(String, i64, String)| {
        Some((chain.clone(), Head { seq: *seq, digest: hash(digest)? }))
    };
    let heads: Option<Heads> = stored.heads.iter().map(head).collect();
    let frontier = Frontier::stored(stored.size, roots?)?;
    (stored.format == FORMAT).then_some(Kept {
        checkpoint: hash(&stored.checkpoint)?,
        frontier,
        heads: heads?,
    })
}

#[cfg(test)]
mod tests {
    use tenantry_audit::log::leaf_hash;
    use tenantry_contracts::Time;

    use super::*;

    fn log(records: u8) -> (Checkpoint, Frontier, Heads) {
        let (mut frontier, mut heads) = (Frontier::new(), Heads::new());
        for record in 0..records {
            frontier.append(leaf_hash(&[record]));
            heads.set(&format!("lane-{}", record % 3), Head::start("x").after(&[record]));
        }
        let checkpoint = Checkpoint {
            origin: "log".to_owned(),
            size: frontier.size(),
            root: frontier.root(),
            time: Time(0),
            chains: heads.count(),
            heads: heads.root(),
            previous: None,
            read: vec![(0, records.into())],
        };
        (checkpoint, frontier, heads)
    }

    #[test]
    fn what_was_kept_comes_back_and_fits_its_checkpoint_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (checkpoint, frontier, heads) = log(7);
        let mut state = State::new(dir.path());
        assert_eq!(state.read(), None);
        state.write(&checkpoint, &frontier, &heads, Duration::ZERO).unwrap();
        let kept = state.read().unwrap();
        assert_eq!(kept, Kept { checkpoint: checkpoint.digest(), frontier, heads });
        assert!(kept.fits(&checkpoint));
        let later = Checkpoint { time: Time(1), ..checkpoint.clone() };
        assert!(!kept.fits(&later));
        // A state that was changed by hand fits nothing, whatever it says it is.
        let forged = Kept { heads: log(6).2, ..kept };
        assert!(!forged.fits(&checkpoint));
    }

    #[test]
    fn a_damaged_state_is_none_and_a_fresh_one_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let (checkpoint, frontier, heads) = log(3);
        let mut state = State::new(dir.path());
        state.write(&checkpoint, &frontier, &heads, Duration::ZERO).unwrap();
        let (later, frontier, heads) = log(4);
        state.write(&later, &frontier, &heads, Duration::from_secs(3600)).unwrap();
        assert_eq!(state.read().unwrap().checkpoint, checkpoint.digest());
        let text = std::fs::read_to_string(dir.path().join("state.json")).unwrap();
        for damaged in ["", &text[..text.len() / 2], &text.replace("\"size\":3", "\"size\":4")] {
            std::fs::write(dir.path().join("state.json"), damaged).unwrap();
            assert_eq!(state.read(), None);
        }
    }
}
