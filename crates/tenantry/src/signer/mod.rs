//! The signer: every audit event of every chain becomes a leaf of one log, and what the log has is signed every minute or
//! every thousand records, also when nothing happened, so that silence is provable. It never signs over a breach.
//!
//! A fleet has exactly one. It needs Kafka and a folder, no database and no tenant's key.

mod begin;
mod lock;
mod older;
mod state;
mod telemetry;
mod window;
mod witness;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tenantry_audit::log::Frontier;
use tenantry_audit::{Chains, Checkpoint, Heard, Published, Rotation, Signer, Took};
use tenantry_contracts::Time;
use tenantry_kafka::{Options, Read};
use tenantry_ports::Clock;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::SystemClock;
use crate::out::{Refused, failed, told, usage};
use crate::ready::Ready;
use crate::settings::Secret;
use crate::trail::{PLACE, Trouble};
use crate::watch::Publisher;
use lock::Lock;
use state::State;
pub(crate) use telemetry::describe;
use window::Window;
use witness::Witness;

/// How often the state is written, at most: a start reads again what was signed since.
const STATE_EVERY: Duration = Duration::from_secs(30);

/// What the signer needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the log.
    pub origin: String,
    /// Signs.
    pub key: Arc<Signer>,
    /// The key that signed until now, where another takes over.
    pub previous: Option<Arc<Signer>>,
    /// The folder of its state.
    pub dir: PathBuf,
    /// The folder of the witness file.
    pub witness: PathBuf,
    /// The longest time from one checkpoint to the next.
    pub every: Duration,
    /// The most records from one checkpoint to the next.
    pub records: usize,
}

/// Signs until `stop`. Where it may not go on it says so, and waits to be stopped: starting it again would not help.
///
/// # Errors
/// Where it may be right the next time.
pub async fn run(
    settings: &Settings,
    options: &Options,
    clock: SystemClock,
    ready: &Ready,
    stop: CancellationToken,
) -> Result<(), String> {
    ready.signer(Err("reads what was signed so far".to_owned()));
    let last = watch::Sender::new(None);
    let signing = async {
        let Err(trouble) = sign(settings, options, clock, ready, &last).await;
        match trouble {
            Trouble::Passing(why) => {
                ready.signer(Err(why.to_string()));
                why.to_string()
            }
            Trouble::Breach(why) => {
                tracing::error!(code = %why.code, why = why.text, "nothing is signed any more: the audit is not what it should be");
                telemetry::refuses();
                ready.signer_refuses(why.to_string());
                std::future::pending().await
            }
        }
    };
    tokio::select! {
        why = signing => Err(why),
        () = telemetry::ages(last.subscribe(), clock) => Ok(()),
        () = stop.cancelled() => Ok(()),
    }
}

async fn sign(
    settings: &Settings,
    options: &Options,
    clock: SystemClock,
    ready: &Ready,
    last: &watch::Sender<Option<Time>>,
) -> Result<Infallible, Trouble> {
    let lock = Lock::take(&settings.dir)?;
    let (mut log, mut reader) = begin::begin(settings, options, clock, lock).await?;
    last.send_replace(log.published.last().map(|(last, _)| last.time));
    // The first one as soon as everything that was there is read: that the signer is back is worth a checkpoint.
    let mut due = None;
    loop {
        let sleep = due.unwrap_or_else(|| Instant::now() + settings.every);
        tokio::select! {
            read = reader.read() => match read? {
                Read::Records(records) => {
                    for record in records {
                        log.hear(record)?;
                        if log.window.len() >= settings.records {
                            log.sign(options).await?;
                            due = due.map(|_| Instant::now() + settings.every);
                        }
                    }
                }
                Read::CaughtUp => {
                    log.sign(options).await?;
                    due = Some(Instant::now() + settings.every);
                }
            },
            () = tokio::time::sleep_until(sleep) => {
                log.sign(options).await?;
                due = due.map(|_| Instant::now() + settings.every);
            }
        }
        log.tell(ready, last);
    }
}

/// The log under way.
struct Log {
    settings: Settings,
    clock: SystemClock,
    chains: Chains,
    frontier: Frontier,
    published: Published,
    /// What was heard since the last checkpoint.
    window: Window,
    witness: Witness,
    voice: Voice,
    state: State,
    _lock: Lock,
}

impl Log {
    fn hear(&mut self, record: tenantry_contracts::Record) -> Result<(), Trouble> {
        if self.window.is_new(&record) {
            return self.window.hear(record);
        }
        // It is in the log already. A repeat of it is known from here on.
        self.chains.remember(record.value.as_deref().unwrap_or_default());
        Ok(())
    }

    /// Takes what was heard into the log, and signs it.
    async fn sign(&mut self, options: &Options) -> Result<(), Trouble> {
        let mut older = Vec::new();
        for record in self.window.take()? {
            let at = record.origin();
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            match self.chains.take(Heard { key, value, at: &at })? {
                Took::Leaf(hash) => {
                    self.frontier.append(hash);
                }
                Took::Repeat => {}
                Took::Older(repeat) => older.push((repeat, at)),
            }
        }
        older::compare(options, older).await?;
        let checkpoint = self.checkpoint();
        let note = checkpoint.sign(&[&self.settings.key]).map_err(unsigned)?;
        self.say(note.into_bytes()).await?;
        telemetry::signed(&checkpoint);
        self.state.write(&checkpoint, &self.frontier, self.chains.heads(), STATE_EVERY)
    }

    fn checkpoint(&mut self) -> Checkpoint {
        let last = self.published.last().map(|(last, _)| last);
        // A clock that was set back makes no checkpoint older than the one before.
        let time = last.map_or(Time(i64::MIN), |last| last.time).max(self.clock.now());
        Checkpoint {
            origin: self.settings.origin.clone(),
            size: self.frontier.size(),
            root: self.frontier.root(),
            time,
            chains: self.chains.heads().count(),
            heads: self.chains.root(),
            previous: last.map(Checkpoint::digest),
            read: self.window.read(),
        }
    }

    /// The key takes over from the one before, where it is not its turn yet.
    async fn take_over(&mut self) -> Result<(), Trouble> {
        let Some(turn) = self.published.turn() else { return Ok(()) };
        if turn.bytes() == self.settings.key.public().bytes() {
            return Ok(());
        }
        let previous = self.settings.previous.as_ref().filter(|key| key.public().bytes() == turn.bytes());
        let Some(previous) = previous else {
            let text = format!(
                "it is the turn of key {}, and this is {}; sign with that one, or give its file with \
                 --previous-key-file, and this one takes over",
                turn.id(),
                self.settings.key.public().id()
            );
            return Err(Trouble::breach("signer_key_differs", text));
        };
        let (origin, new) = (&self.settings.origin, &self.settings.key);
        let note = Rotation::sign(origin, previous, new, self.frontier.size(), self.clock.now());
        self.say(note.map_err(unsigned)?.into_bytes()).await?;
        tracing::warn!(key = self.settings.key.public().id(), "another key signs from here on");
        Ok(())
    }

    /// Publishes a note. It is with the witness before anybody else can have it, so that after a crash the same bytes are
    /// said again, and never others in their place.
    async fn say(&mut self, note: Vec<u8>) -> Result<(), Trouble> {
        self.witness.add(&note)?;
        self.voice.say(&note).await?;
        self.published.hear(&note)?;
        Ok(())
    }

    fn tell(&self, ready: &Ready, told: &watch::Sender<Option<Time>>) {
        let Some((last, _)) = self.published.last() else { return };
        if told.send_replace(Some(last.time)) != Some(last.time) {
            ready.signer(Ok(format!("{} records signed at {}", last.size, last.time)));
        }
    }
}

/// Publishes notes, and notices where somebody else does.
struct Voice {
    publisher: Publisher,
    origin: String,
    /// The offset of the next note.
    next: i64,
}

impl Voice {
    async fn say(&mut self, note: &[u8]) -> Result<(), Trouble> {
        let (key, value) = (Bytes::copy_from_slice(self.origin.as_bytes()), Bytes::copy_from_slice(note));
        let sent = self.publisher.publish(PLACE, Some(key), Vec::new(), value).await;
        let at = sent.map_err(Trouble::Passing)?;
        if at.offset != self.next {
            let text = format!(
                "{at} was written by another signer before this one (expected offset {}); a fleet has exactly one: stop \
                 the other, then start this one again",
                self.next
            );
            return Err(Trouble::breach("signer_doubled", text));
        }
        self.next += 1;
        Ok(())
    }
}

fn unsigned(error: tenantry_audit::NoteError) -> Trouble {
    Trouble::Breach(failed("origin_invalid", format!("the log's name cannot be signed: {error}")))
}

/// Reads a key that signs for the log of this name.
///
/// # Errors
/// The file cannot be read, or is no key.
pub(crate) fn read_key(path: &Path, origin: &str) -> Result<Signer, Refused> {
    let text = Secret::read(path)?;
    Signer::from_pem(origin, text.expose()).map_err(|error| {
        let told = told(error);
        usage("key_invalid", format!("{}: {}", path.display(), told.text))
    })
}
