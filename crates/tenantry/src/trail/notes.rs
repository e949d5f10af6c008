//! What was published about the log: `tenant.audit.checkpoints`, from its beginning.

use tenantry_audit::{Checkpoint, PublicKey, Published, Rotation, Said};
use tenantry_contracts::{Record, Topic};
use tenantry_kafka::{Options, Read, Reader, Start};
use tenantry_ports::Place;

use super::Trouble;

/// The one partition of the checkpoints.
pub(crate) const PLACE: Place = Place { topic: Topic::Checkpoints, partition: 0 };

/// What was published so far.
#[derive(Debug)]
pub(crate) struct Notes {
    /// The row of notes.
    pub(crate) published: Published,
    /// The offset that is written next.
    pub(crate) end: i64,
}

/// Reads all notes of the log with this name, for somebody who trusts these keys. `each` hears every note that says
/// something new, with the checkpoint that it is, if it is one.
pub(crate) async fn read_notes(
    options: &Options,
    origin: &str,
    trusted: &[PublicKey],
    mut each: impl FnMut(&[u8], Option<Checkpoint>) -> Result<(), Trouble>,
) -> Result<Notes, Trouble> {
    // Which keys count is known only when every take-over is: so they are read first.
    let mut rotations: Vec<Vec<u8>> = Vec::new();
    let end = pass(options, |note| {
        if Rotation::is(note) && !rotations.iter().any(|known| known == note) {
            rotations.push(note.to_vec());
        }
        Ok(())
    });
    end.await?;
    let mut published = Published::new(origin, trusted, rotations)?;
    let end = pass(options, |note| match published.hear(note)? {
        Said::Checkpoint(checkpoint) => each(note, Some(checkpoint)),
        Said::Rotation => each(note, None),
        Said::Again => Ok(()),
    });
    let end = end.await?;
    Ok(Notes { published, end })
}

/// Every note from the first to the last; says the offset after it.
async fn pass(options: &Options, mut each: impl FnMut(&[u8]) -> Result<(), Trouble>) -> Result<i64, Trouble> {
    let mut reader = Reader::open(options, vec![PLACE], Start::Earliest).await?;
    let end = reader.ends().get(&PLACE).copied().unwrap_or_default();
    while let Read::Records(records) = reader.read().await? {
        for Record { value, .. } in &records {
            each(value.as_deref().unwrap_or_default())?;
        }
    }
    Ok(end)
}
