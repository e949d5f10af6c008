//! `tenantry operation`: verbs in files, which a second person reads and signs before they are sent.

pub(crate) mod draft;
pub(crate) mod preview;
pub(crate) mod send;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tenantry_audit::Signer;
use tenantry_contracts::operation::{Operation, OperationVerb, Scope, same_account};
use tenantry_ports::Clock;

use crate::clock::SystemClock;
use crate::out::{self, Refused, failed, usage};
use crate::platform;
use crate::request::user;
use crate::settings::{Find, read_key, sign};
use crate::show::Style;
use crate::show::style::{field, labelled};
use crate::show::which::Which;
use crate::tenant::find::{self, One};
use draft::Draft;
use preview::Preview;
use send::Follow;

/// Verbs that were written to a file with --draft: look at one, sign it, send it
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Show(Show),
    Sign(Sign),
    Send(Box<Send>),
}

/// Show what a draft would do, who answers for it, and who has signed
#[derive(Debug, ClapArgs)]
struct Show {
    /// The draft
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
}

/// Sign a draft in your own name
///
/// Read it first with `tenantry operation show`. Both persons sign the same bytes; whatever changes in the file afterwards
/// makes both signatures worthless.
#[derive(Debug, ClapArgs)]
struct Sign {
    /// The draft; the signature is put into it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file with your private key (`tenantry keys new` makes one)
    #[arg(long, env = "TENANTRY_SIGN_WITH", value_name = "KEYFILE")]
    key: PathBuf,
    /// Whose key it is [default: the operating system's user]
    #[arg(long, env = "TENANTRY_ACTOR", value_name = "ACCOUNT")]
    account: Option<String>,
}

/// Send a draft; without --yes only say what it would do now
///
/// Exit codes: as of the verb itself.
#[derive(Debug, ClapArgs)]
struct Send {
    /// The draft
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Do it
    #[arg(long, env = "TENANTRY_YES")]
    yes: bool,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    find: Find,
}

/// Runs one of them.
///
/// # Errors
/// A file cannot be read or written, a key is not what it should be, or the fleet cannot be found or reached.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.what {
        What::Show(args) => show(&args),
        What::Sign(args) => add(&args),
        What::Send(args) => deliver(*args).await,
    }
}

/// A draft, for programs.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    /// What is signed: SHA-256 over the very bytes.
    digest: String,
    does: String,
    operation: &'a Operation,
}

impl<'a> Shown<'a> {
    fn of(operation: &'a Operation) -> anyhow::Result<Self> {
        let digest = hex::encode(Sha256::digest(operation.signed_bytes()?));
        Ok(Self { digest, does: does(&operation.verb), operation })
    }

    fn lines(&self, style: Style) -> Vec<String> {
        let operation = self.operation;
        let mut lines = vec![format!("{}  {}", style.title(operation.key()), operation.verb.as_str())];
        lines.extend(labelled("does", &self.does));
        if let Some(target) = &operation.target {
            let id = target.tenant.map(|id| format!(", {id}")).unwrap_or_default();
            lines.push(field("tenant", &format!("{} in {}{id}", target.slug, target.environment)));
        }
        if let Some(version) = operation.expected_version {
            lines.push(field("version", &format!("{version}, and no other")));
        }
        if let Some(seen) = &operation.seen {
            lines.push(field("about", seen));
        }
        lines.extend(labelled("reason", &operation.reason));
        for (word, person) in [("first", Some(&operation.actor)), ("second", operation.second.as_ref())] {
            let Some(person) = person else { continue };
            let signed =
                operation.signatures.iter().any(|signed| same_account(&signed.account, &person.name));
            let signed = if signed { "signed; the fleet checks it" } else { "has not signed" };
            lines.push(field(word, &format!("{} ({signed})", person.name)));
        }
        lines.push(field("id", &operation.id.to_string()));
        lines.push(field("digest", &self.digest));
        lines
    }
}

fn show(args: &Show) -> anyhow::Result<ExitCode> {
    let draft = Draft::read(&args.file)?;
    let shown: Vec<Shown<'_>> = draft.operations.iter().map(Shown::of).collect::<Result<_, _>>()?;
    if args.json {
        out::json(&shown)?;
    } else {
        let style = Style::detect();
        shown.iter().flat_map(|shown| shown.lines(style)).for_each(|line| out::line(out::plain(&line)));
    }
    Ok(ExitCode::SUCCESS)
}

fn add(args: &Sign) -> anyhow::Result<ExitCode> {
    let key = read_key(&args.key)?;
    let account = args.account.clone().unwrap_or_else(user);
    let mut draft = Draft::read(&args.file)?;
    for operation in &mut draft.operations {
        may_sign(operation, &account, &key)?;
        sign(operation, &account, &key)?;
    }
    draft.replace()?;
    let file = args.file.display();
    out::line(format_args!("{account} has signed {file}; to send it: tenantry operation send {file} --yes"));
    Ok(ExitCode::SUCCESS)
}

/// Whether this account may sign it, and with this key: nobody signs for two, and nobody over what was changed.
fn may_sign(operation: &Operation, account: &str, key: &Signer) -> Result<(), Refused> {
    let second = operation.second.as_ref().map(|second| second.name.as_str());
    let mut named = second.into_iter().chain([operation.actor.name.as_str()]);
    if !named.any(|named| same_account(named, account)) {
        let text = format!(
            "{account} is neither the actor nor the second person of this operation; have it drafted anew with --second {account}"
        );
        return Err(usage("signer_not_named", text));
    }
    let words = operation.signed_bytes().map_err(|error| failed("internal", error.to_string()))?;
    for signed in &operation.signatures {
        let by_key = signed.bytes().is_some_and(|sig| key.public().signed(&words, &sig));
        if by_key != same_account(&signed.account, account) {
            let text = if by_key {
                format!(
                    "this very key signed as {} already; everybody signs with a key of their own",
                    signed.account
                )
            } else {
                format!(
                    "{account} signed it with another key, or it was changed since; have it drafted anew and compare"
                )
            };
            return Err(failed("signature_differs", text));
        }
    }
    Ok(())
}

async fn deliver(args: Send) -> anyhow::Result<ExitCode> {
    let draft = Draft::read(&args.file)?;
    let [operation] = draft.operations.as_slice() else {
        return platform::deliver(&args.find, &draft.operations, &args.follow, args.yes).await;
    };
    let Some(target) = operation.target.as_ref().filter(|_| !args.yes) else {
        return match &operation.target {
            Some(_) => send::send(&args.find, operation, &args.follow).await,
            None => platform::deliver(&args.find, &draft.operations, &args.follow, args.yes).await,
        };
    };
    let which = target.tenant.map_or_else(|| Which::Slug(target.slug.clone()), Which::Id);
    let one = One { which, environment: target.environment.clone() };
    let found = one.fold(&find::store(&args.find).await?).await?;
    let preview = Preview::of(&found, operation, SystemClock::from_env()?.now());
    let command = format!("tenantry operation send {} --yes", args.file.display());
    told(&preview, &command, args.follow.json)
}

/// Prints a preview, and how to do it.
///
/// # Errors
/// Where it has no JSON form, which is a defect.
pub(crate) fn told(preview: &Preview, command: &str, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        out::json(preview)?;
    } else {
        preview.lines(Style::detect()).iter().for_each(out::line);
        out::line(match preview.refused() {
            true => "Nothing was sent (--yes sends it all the same: the refusal then stands in the audit)."
                .to_owned(),
            false => format!("Nothing was sent. To send it: {command}"),
        });
    }
    let refused = crate::show::code::Outcome::Rejected.exit();
    Ok(if preview.refused() { ExitCode::from(refused) } else { ExitCode::SUCCESS })
}

/// What a verb does, in a sentence.
pub(crate) fn does(verb: &OperationVerb) -> String {
    match verb {
        OperationVerb::Retry => "goes on from what failed; what is done stays done".to_owned(),
        OperationVerb::Cancel => "undoes everything that was made".to_owned(),
        OperationVerb::Approve(row) => format!("says yes at {row}"),
        OperationVerb::Reject(row) => format!("says no at {row}"),
        OperationVerb::Rerun(row) => format!("asks {row} again, and everything that was built on it"),
        OperationVerb::Correct(patch) => {
            format!("goes on with the request corrected by {}", patch.text())
        }
        OperationVerb::Skip(row) => format!("gives {row} up and goes on without it"),
        OperationVerb::MarkDone(row) => format!("counts {row} as undone by hand"),
        OperationVerb::Hold => "lets nothing of it be destroyed from here on (legal hold)".to_owned(),
        OperationVerb::Release => "lifts the legal hold".to_owned(),
        OperationVerb::Pause(scope) => format!("asks nothing new of {} from here on", of(scope)),
        OperationVerb::Resume(scope) => format!("asks {} again", of(scope)),
        OperationVerb::Forget => "destroys the key of its personal data, for ever".to_owned(),
        OperationVerb::Attest(deed) => {
            format!("writes down {}: {} ({})", deed.what.kind().as_str(), deed.note, deed.digest)
        }
        OperationVerb::AcceptRestore => {
            "goes on with what the restored store has; what it lacks is lost".to_owned()
        }
    }
}

fn of(scope: &Scope) -> String {
    match scope {
        Scope::Tenant => "any worker about it".to_owned(),
        Scope::Worker(name) => format!("worker {name}"),
        Scope::Fleet => "any worker".to_owned(),
    }
}
