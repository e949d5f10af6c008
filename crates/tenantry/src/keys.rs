//! `tenantry keys`: the keys with which people sign what they decide. A private key is made here once, and never shown.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use tenantry_audit::{PublicKey, Signer};
use tenantry_ports::Entropy;

use crate::clock::OsEntropy;
use crate::out::{self, Refused, usage};
use crate::request::user;
use crate::settings::read_key;
use crate::show::Style;

/// Keys of people: make one, show the public half of one
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    New(New),
    Show(Show),
}

/// Make a private key, and show what the owner of the operators file needs of it
///
/// The file is for its owner alone (mode 0600) and replaces nothing. Whoever has it decides in your name.
#[derive(Debug, ClapArgs)]
struct New {
    /// The file to keep it in (PKCS#8 PEM)
    #[arg(short, long, env = "TENANTRY_KEY_OUT", value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    of: Of,
}

/// Show the public half of a private key
#[derive(Debug, ClapArgs)]
struct Show {
    /// The file of the private key
    #[arg(value_name = "KEYFILE")]
    key: PathBuf,
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, ClapArgs)]
struct Of {
    /// Whose key it is [default: the operating system's user]
    #[arg(long, env = "TENANTRY_ACTOR", value_name = "ACCOUNT")]
    account: Option<String>,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
}

/// The public half of a key.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Shown {
    account: String,
    /// As PEM text.
    pem: String,
    /// As a verifier line.
    line: String,
    /// The member of `keys` in the operators file.
    entry: String,
}

/// Runs one of them.
///
/// # Errors
/// `file_exists`, `key_open_to_others`, `key_invalid`, `account_invalid`, or a file cannot be read or written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (shown, of) = match &args.what {
        What::New(New { out, of }) => {
            let mut entropy = [0; 32];
            OsEntropy::open()?.fill(&mut entropy);
            let account = of.account();
            let key = Signer::from_entropy("operator", entropy)?;
            // First everything that can be refused.
            let shown = Shown::of(&account, key.public())?;
            write_new(out, key.to_pem().as_bytes())?;
            (shown, of)
        }
        What::Show(Show { key, of }) => (Shown::of(&of.account(), read_key(key)?.public())?, of),
    };
    if of.json {
        out::json(&shown)?;
    } else {
        shown.lines(Style::detect()).iter().for_each(out::line);
    }
    Ok(ExitCode::SUCCESS)
}

impl Of {
    fn account(&self) -> String {
        self.account.clone().unwrap_or_else(user)
    }
}

impl Shown {
    fn of(account: &str, key: &PublicKey) -> Result<Self, Refused> {
        let key = key.clone().named(account).map_err(|_| {
            let text =
                format!("{account:?} cannot stand beside a key: an account has no white space and no `+`");
            usage("account_invalid", text)
        })?;
        let line = key.to_line();
        let entry = format!("{}: {}", quoted(account), quoted(&line));
        Ok(Self { account: account.to_owned(), pem: key.to_pem(), line, entry })
    }

    fn lines(&self, style: Style) -> Vec<String> {
        let mut lines = vec![style.title(&self.account)];
        lines.extend(self.pem.lines().map(str::to_owned));
        lines.push(self.line.clone());
        lines.push(style.dim("into \"keys\" of the operators file (--operators):"));
        lines.push(self.entry.clone());
        lines
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Writes a file that only this account can read, and replaces nothing.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Refused> {
    let write = || {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            let text = format!(
                "{} is there already, and a key is never written over; name another file",
                path.display()
            );
            usage("file_exists", text)
        }
        _ => usage(
            "file_unwritable",
            format!("{}: {error}; name a file that this user can write", path.display()),
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tenantry_coordinator::Operators;

    use super::*;

    fn new(out: &Path, account: &str) -> anyhow::Result<ExitCode> {
        let of = Of { account: Some(account.to_owned()), json: true };
        run(&Args { what: What::New(New { out: out.to_owned(), of }) })
    }

    #[test]
    fn a_key_is_its_owners_alone_and_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("op.pem");
        new(&path, "ada").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        let refused = new(&path, "ada").unwrap_err();
        assert_eq!(refused.downcast::<Refused>().unwrap().code, "file_exists");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        let refused = new(&folder.path().join("other"), "ada b").unwrap_err();
        assert_eq!(refused.downcast::<Refused>().unwrap().code, "account_invalid");
        assert!(!folder.path().join("other").exists(), "what is refused leaves nothing");
    }

    #[test]
    fn the_entry_is_what_the_operators_file_takes_and_nothing_private_is_shown() {
        let key = Signer::from_entropy("operator", [7; 32]).unwrap();
        let shown = Shown::of("ada", key.public()).unwrap();
        Operators::read(&format!("{{\"keys\":{{{}}}}}", shown.entry)).unwrap();
        assert_eq!(PublicKey::read(&shown.pem).unwrap().bytes(), key.public().bytes());
        let text = shown.lines(Style::PLAIN).join("\n");
        let secret = key.to_pem();
        assert!(!text.contains("PRIVATE") && !text.contains(secret.lines().nth(1).unwrap()), "{text}");
    }
}
