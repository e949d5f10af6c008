//! `tenantry dlq replay`: answers exactly the letters of a manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;
use serde::Serialize;
use tenantry_contracts::operation::Actor;
use tenantry_contracts::{Letter, Origin};

use super::article::Article;
use super::know::House;
use super::manifest::{Entry, Manifest};
use super::pace::Rate;
use super::plan::summary;
use super::progress::{Ended, Head, Progress};
use super::read::{self, Scope};
use super::run::{Pace, Run};
use super::verdict::Verdict;
use crate::out::{self, Refused, failed, usage};
use crate::request::user;
use crate::settings::Find;
use crate::show::style::{Style, count, duration};

/// Answer exactly the letters of a manifest, and report what became of each
///
/// Without --yes it only shows what it would do. A replay that was stopped or killed is run again with the same command:
/// it goes on where it was. A second replay of the same manifest has no effect.
///
/// Exit codes: 0 every letter was answered or needed no answer; 1 some failed or are left; 2 a wrong command line.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The manifest, as `tenantry dlq plan -o` wrote it; the progress is kept beside it
    #[arg(short, long, env = "TENANTRY_DLQ_MANIFEST", value_name = "FILE")]
    manifest: PathBuf,
    /// How many letters are begun in a time, as in 5/s or 30/m
    #[arg(long, env = "TENANTRY_DLQ_RATE", default_value = "5/s")]
    rate: Rate,
    /// Begin nothing new after so many failures in this run
    #[arg(long, env = "TENANTRY_DLQ_MAX_FAILURES", value_name = "N", default_value_t = 3, value_parser = positive)]
    max_failures: usize,
    /// Why; it is part of the audit
    #[arg(short, long, env = "TENANTRY_REASON")]
    reason: String,
    /// Do it
    #[arg(long, env = "TENANTRY_YES")]
    yes: bool,
    /// Who else agreed; needed for many letters. Not verified: no signature is asked for yet
    #[arg(long, env = "TENANTRY_APPROVED_BY", value_name = "ACCOUNT")]
    approved_by: Option<String>,
    /// More letters than this need --approved-by
    #[arg(long, env = "TENANTRY_DLQ_FOUR_EYES_ABOVE", value_name = "N", default_value_t = 100)]
    four_eyes_above: usize,
    /// How long each letter's outcome is waited for, in seconds; what has none by then is left, and seen by the next run
    #[arg(long, env = "TENANTRY_TIMEOUT_S", value_name = "SECONDS", default_value_t = 300)]
    timeout_s: u64,
    /// Print one JSON document at the end instead of lines
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    /// Who decides [default: the operating system's user]; not verified, and marked so in the audit
    #[arg(long, env = "TENANTRY_ACTOR", value_name = "ACCOUNT")]
    actor: Option<String>,
    #[command(flatten)]
    find: Find,
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "write a whole number from 1".to_owned())
}

/// What a replay came to. Planned is what the others sum up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Sums {
    planned: usize,
    done: usize,
    already: usize,
    moved_on: usize,
    failed: usize,
    left: usize,
}

impl Sums {
    /// Counts the letters that a replay acts on.
    fn of(manifest: &Manifest, ended: impl Fn(&Origin) -> Option<Ended>) -> Self {
        let mut sums = Self::default();
        for entry in manifest.runs() {
            sums.planned += 1;
            match ended(&entry.letter) {
                Some(Ended::Done) => sums.done += 1,
                Some(Ended::Already) => sums.already += 1,
                Some(Ended::MovedOn) => sums.moved_on += 1,
                Some(Ended::Failed) => sums.failed += 1,
                None => sums.left += 1,
            }
        }
        sums
    }

    fn fit(self) -> bool {
        self.planned == self.done + self.already + self.moved_on + self.failed + self.left
    }

    fn words(self) -> String {
        let Self { planned, done, already, moved_on, failed, left } = self;
        format!(
            "planned {planned} = done {done} + already {already} + moved on {moved_on} + failed {failed} + left {left}"
        )
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    manifest: &'a str,
    reason: &'a str,
    actor: &'a Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_by: Option<&'a str>,
    #[serde(flatten)]
    sums: Sums,
    sums_match: bool,
    /// How many letters of the manifest a replay does not act on.
    not_acted_on: usize,
    /// Whether this run had anything to do.
    nothing_to_do: bool,
    letters: Vec<Line<'a>>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    letter: String,
    how: Ended,
    why: &'a str,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let manifest = Manifest::read(&args.manifest)?;
    let head = head(&args, &manifest)?;
    let mut house = House::open(&args.find).await?;
    if house.fleet != manifest.fleet {
        let text = format!(
            "the manifest is of fleet {}, this is {}; name the right one",
            manifest.fleet, house.fleet
        );
        return Err(usage("manifest_foreign", text).into());
    }
    let so_far = Progress::look(&manifest, &args.manifest)?.unwrap_or_default();
    let before = Sums::of(&manifest, |letter| so_far.get(letter).copied());
    let (raw, articles) = letters(&house, &manifest, &so_far).await?;
    house.learn(&articles).await?;
    if !args.yes {
        return preview(&args, &manifest, &house, before).await;
    }
    let style = Style::detect();
    let tell = |entry: &Entry, how: Ended, why: &str| {
        if !args.json {
            let word = format!("{:<8}", word(how));
            let word = if how == Ended::Failed { style.red(&word) } else { word };
            out::line(format_args!("{word}  {}  {}", entry.letter, style.dim(&out::plain(why))));
        }
    };
    let progress = Progress::open(&manifest, &args.manifest, head)?;
    let pace = Pace {
        gap: args.rate.gap(),
        most_failures: args.max_failures,
        patience: Duration::from_secs(args.timeout_s),
    };
    let run = Run { house: &house, manifest: &manifest, progress, pace, raw, tell: &tell };
    let progress = run.run().await?;
    let sums = Sums::of(&manifest, |letter| progress.ended(letter));
    report(&args, &manifest, &progress, before.left == 0, sums)
}

/// Who replays and why; refused where a second pair of eyes is missing.
fn head(args: &Args, manifest: &Manifest) -> Result<Head, Refused> {
    let actor = Actor { name: args.actor.clone().unwrap_or_else(user), verified: false };
    if args.reason.trim().is_empty() {
        return Err(usage("reason_missing", "give a reason with --reason; it is part of the audit"));
    }
    let letters = manifest.runs().count();
    match &args.approved_by {
        Some(second) if second.trim().is_empty() || second.trim().eq_ignore_ascii_case(actor.name.trim()) => {
            let text = format!("{} cannot approve what {} replays; somebody else must", second, actor.name);
            return Err(usage("approver_is_operator", text));
        }
        None if letters > args.four_eyes_above => {
            let most = args.four_eyes_above;
            let text =
                format!("{letters} letters are more than {most}: name who else agreed with --approved-by");
            return Err(usage("four_eyes", text));
        }
        _ => {}
    }
    Ok(Head {
        manifest: manifest.digest.clone(),
        actor,
        reason: args.reason.clone(),
        approved_by: args.approved_by.clone(),
    })
}

/// The letters that are still to be answered, as they lie there now: those whose raw bytes are needed, and all of them
/// decoded. Refused where one is not what was planned.
async fn letters(
    house: &House,
    manifest: &Manifest,
    ended: &BTreeMap<Origin, Ended>,
) -> anyhow::Result<(BTreeMap<Origin, Letter>, Vec<Article>)> {
    let open = manifest.runs().filter(|entry| !ended.contains_key(&entry.letter));
    let wanted: BTreeMap<&Origin, &Entry> = open.map(|entry| (&entry.letter, entry)).collect();
    let (mut raw, mut articles, mut changed) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
    if wanted.is_empty() {
        return Ok((raw, articles));
    }
    let lie: BTreeSet<&str> = wanted.values().map(|entry| entry.lies.topic.as_str()).collect();
    let topics = read::topics(&house.options, Scope::All).await?.into_iter();
    let topics = topics.filter(|topic| lie.contains(topic.name().as_str()));
    read::each(&house.options, topics.collect(), |letter| {
        let Some(entry) = wanted.get(&letter.id()) else { return };
        if hex::encode(letter.digest()) != entry.digest {
            changed.insert(letter.id().to_string());
        } else if entry.verdict == Verdict::Replay {
            raw.insert(letter.id(), letter.clone());
        }
        articles.push(Article::of(letter, house.lanes));
    })
    .await?;
    if let Some(first) = changed.first() {
        let text = format!("{first} is not what was planned; plan anew. Nothing was done");
        return Err(failed("letter_changed", text).into());
    }
    Ok((raw, articles))
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
    let takes =
        i64::try_from(args.rate.gap().as_millis()).unwrap_or(i64::MAX).saturating_mul(before.left as i64);
    out::line(format_args!(
        "planned {} ago; {} to begin at {}, in {} at least",
        duration(age),
        count(before.left, "letter"),
        args.rate,
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
    sums: Sums,
) -> anyhow::Result<ExitCode> {
    if args.json {
        let line = |(letter, how, why): (&Origin, Ended, _)| Line { letter: letter.to_string(), how, why };
        let letters = progress.all().map(line).collect();
        out::json(&Report {
            manifest: &manifest.digest,
            reason: &progress.head.reason,
            actor: &progress.head.actor,
            approved_by: progress.head.approved_by.as_deref(),
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
        let fit = if sums.fit() { "the sums match" } else { "THE SUMS DO NOT MATCH: report this" };
        out::line(format_args!("{}; {fit}", sums.words()));
        if sums.planned < manifest.count {
            out::line(format_args!("not acted on: {}", count(manifest.count - sums.planned, "letter")));
        }
        if sums.left > 0 {
            out::line("Run the same command again for those that are left.");
        }
    }
    let well = sums.failed == 0 && sums.left == 0 && sums.fit();
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(out::FAILED) })
}

fn word(how: Ended) -> &'static str {
    match how {
        Ended::Done => "done",
        Ended::Already => "already",
        Ended::MovedOn => "moved on",
        Ended::Failed => "failed",
    }
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
        let sums = Sums::of(&plan, |letter| how.get(usize::try_from(letter.offset).unwrap()).copied());
        let want = "planned 6 = done 2 + already 1 + moved on 1 + failed 1 + left 1";
        assert_eq!(sums.words(), want, "a letter that a replay does not act on is not planned");
        assert!(sums.fit());
    }
}
