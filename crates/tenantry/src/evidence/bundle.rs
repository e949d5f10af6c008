//! Makes the bundle: reads the topic once, walks through the leaves twice, proves as it goes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use tenantry_audit::bundle::{Bound, Contents, Proofs, Selector, WriteError, Writer};
use tenantry_audit::log::Hash;
use tenantry_audit::{Chains, Checkpoint, Signer};
use tenantry_contracts::Time;
use tenantry_kafka::Options;

use super::sheaf::Paper;
use crate::out::failed;
use crate::trail::{Base, Leaves, Trouble, read_notes, unnamed};

/// What is exported.
pub(super) struct Wanted<'a> {
    /// The name of the log.
    pub(super) origin: &'a str,
    /// Signs the manifest: the key whose turn it is.
    pub(super) key: &'a Signer,
    /// The checkpoint that the reader knows.
    pub(super) known: Option<Checkpoint>,
    /// The chains; `None` for all.
    pub(super) chains: Option<BTreeSet<String>>,
    pub(super) from: Option<Time>,
    pub(super) to: Option<Time>,
}

/// What the topic and the checkpoints have for it.
pub(super) struct Gathered {
    first: (Checkpoint, Vec<u8>),
    last: (Checkpoint, Vec<u8>),
    rotations: Vec<Vec<u8>>,
    rows: Vec<Checkpoint>,
    leaves: Leaves,
}

/// What was written.
pub(super) struct Made {
    /// SHA-256 of the file.
    pub(super) digest: Hash,
    pub(super) records: usize,
    pub(super) chains: usize,
    /// The last checkpoint.
    pub(super) last: Checkpoint,
}

/// Reads the checkpoints, and the topic up to the last of them. What is put aside lies in `dir`.
pub(super) async fn gather(options: &Options, wanted: &Wanted<'_>, dir: &Path) -> Result<Gathered, Trouble> {
    let (mut first, mut rows) = (None::<(Checkpoint, Vec<u8>)>, Vec::<Checkpoint>::new());
    let trusted = [wanted.key.public().clone()];
    let notes = read_notes(options, wanted.origin, &trusted, |note, checkpoint| {
        let Some(checkpoint) = checkpoint else { return Ok(()) };
        let begins = match (&wanted.known, wanted.from) {
            (Some(known), _) => checkpoint == *known,
            (None, Some(from)) => first.is_none() || checkpoint.time < from,
            (None, None) => first.is_none(),
        };
        if begins {
            first = Some((checkpoint.clone(), note.to_vec()));
        }
        if rows.last().is_none_or(|last| last.read != checkpoint.read) {
            rows.push(checkpoint);
        }
        Ok(())
    });
    let published = notes.await?.published;
    let Some((last, note)) = published.last() else {
        let text = "nothing was signed yet: see that the signer runs (`tenantry serve signer`)";
        return Err(Trouble::breach("nothing_signed", text));
    };
    let Some(first) = first else {
        let text = "the checkpoint of --known is not one that was published for this log; keep it: either it is of \
                    another log, or checkpoints were removed";
        return Err(Trouble::breach("checkpoint_foreign", text));
    };
    if published.turn().is_some_and(|turn| turn.bytes() != wanted.key.public().bytes()) {
        let text = "this is not the key whose turn it is to sign; export with that of the signer";
        return Err(Trouble::breach("signer_key_differs", text));
    }
    let chains = &wanted.chains;
    let is_wanted = |key: &[u8]| match (chains, std::str::from_utf8(key)) {
        (None, _) => true,
        (Some(chains), Ok(key)) => chains.contains(key),
        (Some(_), Err(_)) => false,
    };
    let mut leaves = Leaves::read(options, dir, (&[], &last.read), Chains::new(), is_wanted).await?;
    if (leaves.chains.heads().count(), leaves.chains.root()) != (last.chains, last.heads) {
        let text =
            "the chains on the topic do not end where the last checkpoint says; run `tenantry audit verify`";
        return Err(Trouble::breach("log_differs", text));
    }
    let last = (last.clone(), note.to_vec());
    Ok(Gathered { first, last, rotations: published.rotations().to_vec(), rows, leaves })
}

/// Writes the bundle, and says what is in it. `dir`: where something is put aside.
pub(super) fn write(
    gathered: &Gathered,
    wanted: &Wanted<'_>,
    papers: &[Paper],
    made: Time,
    dir: &Path,
    out: File,
) -> Result<Made, Trouble> {
    let Gathered { first, last, rotations, rows, leaves } = gathered;
    let bound = |time: Option<Time>| time.map(Bound::Time);
    let mut selector = Selector::new(wanted.chains.clone(), bound(wanted.from), bound(wanted.to));
    let mut tree = Tree::new(dir).map_err(Trouble::file(dir))?;
    leaves.walk(&Base::default(), rows, |index, hash, value| {
        tree.put(hash).map_err(Trouble::file(dir))?;
        match value {
            Some(value) => Ok(selector.see(index, value)?),
            None => Ok(()),
        }
    })?;
    let heads = leaves.chains.heads();
    let unsigned = |chain: &&String| heads.get(chain).is_none();
    if let Some(chain) = wanted.chains.iter().flatten().find(unsigned) {
        let text = format!(
            "no checkpoint covers chain {chain} yet; the newest one was signed at {}, and the next comes within the \
             minute: export again then",
            last.0.time
        );
        return Err(Trouble::Passing(failed("not_signed_yet", text)));
    }
    let (selection, indices) = selector.finish(heads)?;
    let mut tree = tree.written().map_err(Trouble::file(dir))?;
    let proofs = Proofs::make(first.0.size, last.0.size, &indices, |index| tree.leaf(index));
    let proofs = proofs.map_err(Trouble::file(dir))?;
    let contents =
        Contents { selection: &selection, rotations, first: &first.1, last: &last.1, heads, proofs: &proofs };
    let out = Hashed { out: BufWriter::with_capacity(1 << 18, out), digest: Sha256::new() };
    let mut writer = Writer::begin(out, contents).map_err(unwritten)?;
    let mut open = indices.iter().peekable();
    leaves.walk(&Base::default(), rows, |index, _, value| {
        if let Some(value) = value
            && open.next_if_eq(&&index).is_some()
        {
            writer.record(index, value).map_err(unwritten)?;
        }
        Ok(())
    })?;
    for Paper { path, content } in papers {
        writer.attach(path, content.len() as u64, content.as_slice()).map_err(unwritten)?;
    }
    let generator = format!("tenantry {}", env!("CARGO_PKG_VERSION"));
    let mut out = writer.finish(wanted.key, made, &generator).map_err(unwritten)?;
    out.flush().and_then(|()| out.out.get_ref().sync_all()).map_err(Trouble::file(dir))?;
    let chains = selection.chains.len();
    Ok(Made { digest: out.digest.finalize().into(), records: indices.len(), chains, last: last.0.clone() })
}

fn unwritten(error: WriteError) -> Trouble {
    match error {
        WriteError::Refused(refused) => refused.into(),
        WriteError::Io(error) => Trouble::Passing(failed("bundle_unwritten", error.to_string())),
    }
}

/// The digests of all leaves, in a file without a name.
struct Tree {
    file: BufWriter<File>,
}

impl Tree {
    fn new(dir: &Path) -> std::io::Result<Self> {
        Ok(Self { file: BufWriter::with_capacity(1 << 18, unnamed(dir)?) })
    }

    fn put(&mut self, hash: &Hash) -> std::io::Result<()> {
        self.file.write_all(hash)
    }

    fn written(self) -> std::io::Result<Digests> {
        let file = self.file.into_inner().map_err(|error| error.into_error())?;
        Ok(Digests { file, from: 0, block: Vec::new() })
    }
}

/// The same, to be asked for one after the other.
struct Digests {
    file: File,
    /// The index of the first digest in the block.
    from: u64,
    block: Vec<u8>,
}

/// How many digests are read at once.
const BLOCK: usize = 1 << 12;

impl Digests {
    fn leaf(&mut self, index: u64) -> std::io::Result<Hash> {
        let count = (self.block.len() / 32) as u64;
        if index < self.from || index >= self.from + count {
            self.block.resize(BLOCK * 32, 0);
            let read = self.file.read_at(&mut self.block, index * 32)?;
            self.block.truncate(read - read % 32);
            self.from = index;
        }
        let mut hash = [0; 32];
        let at = usize::try_from(index - self.from).unwrap_or(usize::MAX).saturating_mul(32);
        self.block.get(at..).unwrap_or_default().read_exact(&mut hash)?;
        Ok(hash)
    }
}

/// Takes the digest of what is written.
struct Hashed<W> {
    out: W,
    digest: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_come_back_at_their_places() {
        let dir = tempfile::tempdir().unwrap();
        let hash = |index: u64| <Hash>::from(Sha256::digest(index.to_le_bytes()));
        let count = BLOCK as u64 * 2 + 7;
        let mut tree = Tree::new(dir.path()).unwrap();
        (0..count).for_each(|index| tree.put(&hash(index)).unwrap());
        let mut tree = tree.written().unwrap();
        for index in (0..count).chain([0, count - 1, 5]) {
            assert_eq!(tree.leaf(index).unwrap(), hash(index));
        }
        assert!(tree.leaf(count).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "what is put aside has no name");
    }
}
