//! `tenantry dlq edit`: a request that cannot be served as it is, corrected by a person and published as a new one.
//!
//! The letter stays where it is, byte for byte. The new request has an id of its own, which follows from the letter and the
//! corrected document, so that the same correction twice is one request; it names the letter, the digest of the
//! original, the places that were changed, and who changed them. The audit has the deed, with the digest of the difference,
//! before the request is published.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args as ClapArgs;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tenantry_contracts::envelope::{self, Mode};
use tenantry_contracts::operation::{Deed, DeedKind};
use tenantry_contracts::{Lane, Origin, Record, Topic};
use tenantry_ports::{Clock, Place};

use super::read::{self, Scope};
use crate::clock::SystemClock;
use crate::frozen::entry;
use crate::frozen::people::People;
use crate::out::{self, failed, usage};
use crate::request::Document;
use crate::settings::Find;
use crate::show::Style;
use crate::show::trouble::Trouble;
use crate::watch;

/// The most places that are named in a header.
const PLACES: usize = 50;

/// Correct a request that cannot be served as it is, and publish it as a new one
///
/// Without --yes it only shows what would change. Exit codes: 0 published (or shown), 3 the fleet would refuse it still.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The letter's id: topic/partition/offset
    #[arg(value_name = "LETTER")]
    letter: Origin,
    /// The corrected document; - reads the standard input [default: $EDITOR on the original]
    #[arg(short, long, env = "TENANTRY_DLQ_CORRECTED", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Do it
    #[arg(long, env = "TENANTRY_YES")]
    yes: bool,
    #[command(flatten)]
    people: People,
    #[command(flatten)]
    find: Find,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let options = args.find.bus()?;
    let lanes = watch::lanes(&options).await?;
    let letter = read::one(&options, Scope::All, &args.letter).await?;
    if letter.record.topic != Topic::Requests {
        let text =
            format!("{} is no request; only requests are corrected. See `tenantry dlq show`", args.letter);
        return Err(usage("edit_not_request", text).into());
    }
    args.people.demand(1, false)?;
    let original = document(&letter.record);
    let corrected = match &args.file {
        Some(path) => Document::read(path)?,
        None => Document::read(edited(&original)?.path())?,
    };
    let actor = args.people.person.account();
    let now = SystemClock::from_env()?.now();
    let first = corrected.clone().ready(lanes, now, Some("preview"), Some("preview"));
    if first.data == original {
        let text = "the document is as it was; nothing was published";
        return Err(failed("edit_unchanged", text).into());
    }
    let style = Style::detect();
    let places = changed(&original, &first.data);
    out::line(format_args!("{}  changed: {}", style.title(&args.letter.to_string()), places.join(", ")));
    if let Some(refusal) = &first.refusal {
        for line in Trouble::from(refusal).lines(style, 0) {
            out::line(line);
        }
        out::line("The fleet would refuse this still, so nothing was published.");
        return Ok(ExitCode::from(3));
    }
    if !args.yes {
        out::line("Nothing was published. Add --yes to do it.");
        return Ok(ExitCode::SUCCESS);
    }
    let digest = Sha256::digest([args.letter.to_string().as_bytes(), b"\n", &first.data].concat());
    let (id, source) = (hex::encode(&digest[..16]), format!("tenantry-dlq/{actor}"));
    let ready = corrected.ready(lanes, now, Some(&id), Some(&source));
    let was = hex::encode(Sha256::digest(letter.record.value.as_deref().unwrap_or_default()));
    let deed = difference(&args.letter, &was, &ready.data, &places, &ready.id.to_string())?;
    let key = format!("{id}.{}", args.people.digest());
    entry::once(&options, &args.people, &key, deed).await?;
    let mut headers = ready.headers;
    let text = |name: &'static str, value: String| (name.into(), Bytes::from(value));
    headers.extend([
        text("replay_of", args.letter.to_string()),
        text("replay_edited", "true".into()),
        text("replay_operator", actor),
        text(
            "replay_reason",
            args.people.person.reason.chars().filter(|c| !c.is_control()).take(300).collect(),
        ),
        text("replay_original", was),
        text("replay_changed", places.join(",")),
    ]);
    let lane = ready.slug.as_ref().map_or(0, |slug| Lane::of(slug, lanes).0);
    let key = ready.slug.as_ref().map(|slug| Bytes::copy_from_slice(slug.as_str().as_bytes()));
    let place = Place { topic: Topic::Requests, partition: lane };
    let at = watch::publish(&options, place, key, headers, ready.data).await?;
    out::line(format_args!("published as {} at {at}; the letter stays where it is", ready.id));
    Ok(ExitCode::SUCCESS)
}

/// What the audit says of a correction: the digest is that of a document with the letter, the digests of the original and
/// the corrected bytes, and the places that differ.
fn difference(
    letter: &Origin,
    was: &str,
    is: &[u8],
    places: &[String],
    request: &str,
) -> anyhow::Result<Deed> {
    let is = hex::encode(Sha256::digest(is));
    let letter = letter.to_string();
    let whole = serde_json::json!({"letter": letter, "original": was, "corrected": is, "changed": places});
    Ok(Deed {
        what: DeedKind::DlqEdited,
        digest: hex::encode(Sha256::digest(serde_json::to_vec(&whole)?)),
        note: format!(
            "{letter} (original {was}) became request {request} (corrected {is}); changed {}",
            places.join(", ")
        ),
    })
}

/// The document in a record, without its envelope.
fn document(record: &Record) -> Bytes {
    match envelope::read(record) {
        Ok(envelope) if envelope.mode == Mode::Structured => Bytes::copy_from_slice(envelope.data),
        _ => record.value.clone().unwrap_or_default(),
    }
}

/// The original in a file of its own that nobody else may read, after the person's editor was closed.
fn edited(original: &[u8]) -> anyhow::Result<Scratch> {
    let editor = std::env::var("EDITOR").ok().filter(|editor| !editor.trim().is_empty());
    let editor = editor.ok_or_else(|| {
        usage("editor_missing", "EDITOR is not set; set it, or give the corrected document with --file")
    })?;
    let scratch = Scratch::new(original)?;
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or_default();
    let ended = std::process::Command::new(program).args(words).arg(scratch.path()).status();
    match ended {
        Ok(status) if status.success() => Ok(scratch),
        Ok(status) => {
            Err(failed("editor_failed", format!("{editor} ended with {status}; nothing was published"))
                .into())
        }
        Err(error) => {
            Err(usage("editor_failed", format!("{editor}: {error}; set EDITOR, or use --file")).into())
        }
    }
}

/// A file that is removed when it is not needed any more: it may hold personal data.
struct Scratch(PathBuf);

impl Scratch {
    fn new(text: &[u8]) -> anyhow::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let name = format!("tenantry-letter-{}.json", crate::request::fresh_id());
        let path = std::env::temp_dir().join(name);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let scratch = Self(path);
        file.write_all(text)?;
        Ok(scratch)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The places that differ, as JSON pointers; the whole where either is no document.
fn changed(was: &[u8], is: &[u8]) -> Vec<String> {
    let (Ok(was), Ok(is)) = (serde_json::from_slice(was), serde_json::from_slice(is)) else {
        return vec!["/".into()];
    };
    let mut places = Vec::new();
    differ(&was, &is, "", &mut places);
    if places.is_empty() {
        places.push("/".into());
    }
    places.truncate(PLACES);
    places
}

fn differ(was: &Value, is: &Value, at: &str, places: &mut Vec<String>) {
    match (was, is) {
        (Value::Object(was), Value::Object(is)) => {
            for name in was.keys().chain(is.keys().filter(|name| !was.contains_key(*name))) {
                let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                match (was.get(name), is.get(name)) {
                    (Some(was), Some(is)) => differ(was, is, &at, places),
                    // The name may be anything; a header is ASCII.
                    _ => places.push(at.escape_default().take(80).collect()),
                }
            }
        }
        _ if was != is => places.push(at.escape_default().take(80).collect()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_names_places_and_no_values() {
        let was = br#"{"name":"Ada","seats":"many","admin":{"email":"a@b.c"},"gone":1}"#;
        let is = br#"{"name":"Ada","seats":5,"admin":{"email":"ada@b.c"},"new/one":2}"#;
        assert_eq!(changed(was, is), ["/admin/email", "/gone", "/seats", "/new~1one"]);
        assert_eq!(changed(b"{ not json", is), ["/"]);
        assert_eq!(changed(b"{}", b"{ }"), ["/"], "only its spelling");
    }

    #[test]
    fn what_is_edited_is_readable_for_its_owner_only_and_is_gone_afterwards() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new(b"{}").unwrap();
        let path = scratch.path().to_owned();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(scratch);
        assert!(!path.exists());
    }
}
