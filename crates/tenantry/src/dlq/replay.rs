//! `tenantry dlq replay`: answers exactly the letters of a manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;
use tenantry_contracts::operation::{Actor, DeedKind};
use tenantry_contracts::{Letter, Origin};

use super::answer::Answers;
use super::article::Article;
use super::manifest::{Entry, Manifest};
use super::plan::summary;
use super::read::{self, Scope};
use super::verdict::Verdict;
use crate::frozen::entry::Audit;
use crate::frozen::file;
use crate::frozen::house::House;
use crate::frozen::pace::Pacing;
use crate::frozen::people::People;
use crate::frozen::progress::{self, Ended, Progress};
use crate::frozen::run;
use crate::frozen::sums::Sums;
use crate::out::{self, failed, usage};
use crate::settings::Find;
use crate::show::style::{Style, count, duration};

/// Answer exactly the letters of a manifest, and report what became of each
///
/// Without --yes it only shows what it would do. A replay that was stopped or killed is run again with the same command:
/// it goes on where it was. A second replay of the same manifest has no effect. Each run is one entry of the audit.
///
/// Exit codes: 0 every letter was answered or needed no answer; 1 some failed or are left; 2 a wrong command line.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The manifest, as `tenantry dlq plan -o` wrote it; the progress is kept beside it
    #[arg(short, long, env = "TENANTRY_DLQ_MANIFEST", value_name = "FILE")]
    manifest: PathBuf,
    #[command(flatten)]
    pacing: Pacing,
    /// Do it
    #[arg(long, env = "TENANTRY_YES")]
    yes: bool,
    #[command(flatten)]
    people: People,
    /// Print one JSON document at the end instead of lines
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    find: Find,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    manifest: &'a str,
    reason: &'a str,
    actor: &'a Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    second: Option<&'a Actor>,
    #[serde(flatten)]
    sums: Sums,
    sums_match: bool,
    /// How many letters of the manifest a replay does not act on.
    not_acted_on: usize,
    /// Whether this run had nothing to do.
    nothing_to_do: bool,
    /// Why nothing new was begun, where something is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<&'a str>,
    letters: Vec<Line<'a>>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    letter: &'a str,
    how: Ended,
    why: &'a str,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let manifest: Manifest = file::read(&args.manifest)?;
    let planned = manifest.runs().count();
    if args.yes {
        args.people.demand(planned, false)?;
    }
    let mut house = House::open(&args.find).await?;
    if house.fleet != manifest.fleet {
        let text = format!(
            "the manifest is of fleet {}, this is {}; name the right one",
            manifest.fleet, house.fleet
        );
        return Err(usage("manifest_foreign", text).into());
    }
    let so_far = progress::look(&manifest.digest, &args.manifest)?;
    let before = sums(&manifest, |letter| so_far.get(letter).copied());
    let Letters { raw, articles, expired } = letters(&house, &manifest, &so_far).await?;
    house.learn(&articles).await?;
    if !args.yes {
        return preview(&args, &manifest, &house, before).await;
    }
    let style = Style::detect();
    let tell = |entry: &Entry, how: Ended, why: &str| {
        if !args.json {
            out::line(how.line(style, &entry.letter, why));
        }
    };
    let (people, what) = (&args.people, DeedKind::DlqReplayed);
    let mut progress = Progress::open(&args.manifest, people.head(&manifest.digest))?;
    let first = people.of(&progress.head)?;
    let audit = Audit { options: &house.options, people, what, planned };
    audit.begin(&mut progress).await?;
    let answers = Answers { house: &house, manifest: &manifest, people: first, raw, expired, tell: &tell };
    let ended = run::run(&answers, manifest.runs(), args.pacing.pace(), &house.options, &mut progress).await;
    let stopped = audit.end(&mut progress, ended).await?;
    report(&args, &manifest, &progress, before.left == 0, stopped)
}

/// Counts the letters that a replay acts on.
fn sums(manifest: &Manifest, ended: impl Fn(&str) -> Option<Ended>) -> Sums {
    Sums::of(manifest.runs().map(|entry| ended(&entry.letter.to_string())))
}

/// Letters as they lie there now.
#[derive(Default)]
struct Letters {
    /// Those that go back as raw bytes.
    raw: BTreeMap<Origin, Letter>,
    /// All of them, decoded.
    articles: Vec<Article>,
    /// Those that were given up.
    expired: BTreeSet<Origin>,
}

/// The letters that are still to be answered. Refused where one is not what was planned.
async fn letters(
    house: &House,
    manifest: &Manifest,
    ended: &BTreeMap<String, Ended>,
) -> anyhow::Result<Letters> {
    let open = manifest.runs().filter(|entry| !ended.contains_key(&entry.letter.to_string()));
    let wanted: BTreeMap<&Origin, &Entry> = open.map(|entry| (&entry.letter, entry)).collect();
    if wanted.is_empty() {
        return Ok(Letters::default());
    }
    let lie: BTreeSet<&str> = wanted.values().map(|entry| entry.lies.topic.as_ref()).collect();
    let topics = read::topics(&house.options, Scope::All).await?.into_iter();
    let topics = topics.filter(|topic| lie.contains(topic.name().as_ref()));
    let (mut raw, mut changed) = (BTreeMap::new(), BTreeSet::new());
    let found = read::each(&house.options, topics.collect(), |letter| {
        let entry = wanted.get(&letter.id())?;
        if hex::encode(letter.digest()) != entry.digest {
            changed.insert(letter.id().to_string());
        } else if entry.verdict == Verdict::Replay {
            raw.insert(letter.id(), letter.clone());
        }
        Some(Article::of(letter, house.lanes))
    })
    .await?;
    if let Some(first) = changed.first() {
        let text = format!("{first} is not what was planned; plan anew. Nothing was done");
        return Err(failed("letter_changed", text).into());
    }
    Ok(Letters { raw, articles: found.all, expired: found.expired })
}

async fn preview(args: &Args, manifest: &Manifest, house: &House, before: Sums) -> anyhow::Result<ExitCode> {
    let style = Style::detect();
    if args.json {
        out::json(&serde_json::json!({"manifest": manifest.digest, "sums": before, "done": false}))?;
        return Ok(ExitCode::SUCCESS);
    }
    let title = style.title(&args.manifest.display().to_string());
    out::line(format_args!("{title}  {}  {}", count(manifest.count, "letter"), style.dim(manifest.short())));
    for line in summary(manifest) {
        out::line(line);
    }
    if before.left < before.planned {
        out::line(format_args!("so far: {}", before.words()));
    }
    let age = house.now().since(manifest.made);
    let takes = i64::try_from(args.pacing.rate.gap().as_millis())
        .unwrap_or(i64::MAX)
        .saturating_mul(before.left as i64);
    out::line(format_args!(
        "planned {} ago; {} to begin at {}, in {} at least",
        duration(age),
        count(before.left, "letter"),
        args.pacing.rate,
        duration(takes)
    ));
    out::line("Nothing was done. Add --yes to do it.");
    Ok(ExitCode::SUCCESS)
}

fn report(
    args: &Args,
    manifest: &Manifest,
    progress: &Progress,
    nothing_to_do: bool,
    stopped: Option<String>,
) -> anyhow::Result<ExitCode> {
    let sums = sums(manifest, |letter| progress.ended(letter));
    if args.json {
        let letters = progress.all().map(|(letter, how, why)| Line { letter, how, why }).collect();
        out::json(&Report {
            manifest: &manifest.digest,
            reason: &progress.head.reason,
            actor: &progress.head.actor,
            second: progress.head.second.as_ref(),
            stopped: stopped.as_deref(),
            sums,
            sums_match: sums.fit(),
            not_acted_on: manifest.count - sums.planned,
            nothing_to_do,
            letters,
        })?;
    } else {
        if nothing_to_do {
            out::line("This manifest was replayed already; nothing was done now.");
        }
        for line in sums.report(manifest.count, "letter", stopped.as_deref()) {
            out::line(line);
        }
    }
    Ok(sums.exit())
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::{entry, manifest};
    use super::*;

    #[test]
    fn the_parts_of_a_report_sum_up_to_what_was_planned() {
        let topic = "tenant.commands.database";
        let mut letters: Vec<_> = (0..6).map(|n| entry(topic, n, Verdict::AskAfresh)).collect();
        letters.push(entry(topic, 6, Verdict::Poison));
        let plan = manifest(letters);
        let how = [Ended::Done, Ended::Done, Ended::Already, Ended::MovedOn, Ended::Failed];
        let sums =
            sums(&plan, |letter| how.get(letter.rsplit('/').next()?.parse::<usize>().unwrap()).copied());
        let want = "planned 6 = done 2 + already 1 + moved on 1 + failed 1 + left 1";
        assert_eq!(sums.words(), want, "a letter that a replay does not act on is not planned");
        assert!(sums.fit());
    }
}
