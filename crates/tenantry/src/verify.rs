//! `tenantry verify`: whether an evidence bundle proves what it says, offline, with a public key and nothing else.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args as ClapArgs;
use tenantry_audit::bundle::{Trust, Verdict, verify_bundle};
use tenantry_audit::{Checkpoint, PublicKey};

use crate::out::{self, Refused, usage};
use crate::settings::Secret;
use crate::show::Style;

/// Verify an evidence bundle: no network, no database (exit 1 tampered, 2 incomplete, 3 no key that you trust signed it)
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// A public key that you got from its owner by another way, as PEM or as a line name+hash+key; may be repeated
    #[arg(
        long = "key",
        env = "TENANTRY_VERIFY_KEYS",
        value_name = "FILE",
        required = true,
        value_delimiter = ','
    )]
    keys: Vec<PathBuf>,
    /// A checkpoint that you kept from before: a log that was cut or rewritten since is then found too
    #[arg(long, env = "TENANTRY_VERIFY_KNOWN", value_name = "FILE")]
    known: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// A file cannot be read (exit 2: then nothing was verified), or holds no key or no checkpoint.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let trust = Trust {
        keys: args.keys.iter().map(|path| key(path)).collect::<Result<_, _>>()?,
        known: args.known.as_deref().map(known).transpose()?,
    };
    let unreadable = |error: std::io::Error| unreadable(&args.bundle, &error);
    let bundle = File::open(&args.bundle).map_err(unreadable)?;
    let verdict = verify_bundle(BufReader::new(bundle), &trust).map_err(unreadable)?;
    if args.json {
        out::json(&verdict)?;
    } else {
        for line in lines(&verdict, Style::detect()) {
            out::line(line);
        }
    }
    Ok(ExitCode::from(verdict.exit))
}

fn lines(verdict: &Verdict, style: Style) -> Vec<String> {
    if let Some(finding) = &verdict.finding {
        return vec![format!("{} {finding}", style.red("✗"))];
    }
    let Some(proved) = &verdict.proved else { return Vec::new() };
    let all = if proved.all { ", which are all that the log has" } else { "" };
    vec![
        format!("{} {} records in {} chains{all}", style.green("✓"), proved.records, proved.chains),
        format!("  log {} with {} records at {}", proved.origin, proved.size, proved.time),
        format!("  made {} by {}, with {} attachments", proved.made, proved.generator, proved.attachments),
    ]
}

fn key(path: &Path) -> Result<PublicKey, Refused> {
    let text = Secret::read(path)?;
    PublicKey::read(text.expose())
        .map_err(|error| usage("key_invalid", format!("{}: {error}; name a public key", path.display())))
}

/// A checkpoint that was kept: the text before its signatures. Who keeps it vouches for it.
/// Reads a checkpoint that somebody kept; nothing of it is checked.
pub(crate) fn known(path: &Path) -> Result<Checkpoint, Refused> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let signed = text.split("\n\n").next().unwrap_or_default();
    Checkpoint::parse(&format!("{}\n", signed.trim_end())).map_err(|error| {
        usage("checkpoint_invalid", format!("{}: {error}; name a checkpoint", path.display()))
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Refused {
    usage("file_unreadable", format!("{}: {error}", path.display()))
}
