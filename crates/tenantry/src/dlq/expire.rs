//! `tenantry dlq expire`: which letters retention is about to take; and giving letters up before it does.
//!
//! Kafka deletes records from the beginning of a partition only, and letters that are given up lie in the middle. So a mark
//! beside the letter says that it is given up; whatever reads letters leaves it out, and its bytes stay until retention
//! takes them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;
use tenantry_contracts::operation::{Deed, DeedKind};
use tenantry_contracts::time::rfc3339;
use tenantry_contracts::topic::Name;
use tenantry_contracts::{Origin, Time, Topic, letter};
use tenantry_kafka::{Kafka, topics};
use tenantry_ports::{Bus, Clock, Outgoing, Place};

use super::filter;
use super::manifest::{Entry, Manifest};
use super::plan;
use super::read::{self, Scope};
use crate::clock::SystemClock;
use crate::fleet::Worker;
use crate::frozen::people::People;
use crate::frozen::{entry, file, run};
use crate::out::{self, Refused, failed, usage};
use crate::settings::Find;
use crate::show::style::{Style, count, duration};
use crate::show::table;

/// Report which letters retention takes next; or give up those of a manifest before it does
///
/// --report compares the topics' settings with what the fleet asks for: a topic that keeps letters for less is reckoned
/// with what it has, one that keeps them for longer with what the fleet asks for, so that nothing goes earlier than is said.
///
/// --manifest takes what `tenantry dlq plan` froze, and gives up all its letters, whatever their verdicts; without --yes it
/// only shows them. First the audit has it, then they are gone for ls, plan and replay; their bytes stay until retention
/// takes them. A tenant that a letter holds stays held.
#[derive(Debug, ClapArgs)]
#[command(mut_arg("reason", |arg| arg.required(false).default_value("").hide_default_value(true)))]
pub(super) struct Args {
    /// Report, and change nothing
    #[arg(long, env = "TENANTRY_DLQ_REPORT", conflicts_with = "manifest")]
    report: bool,
    /// Give up exactly these letters: a manifest, as `tenantry dlq plan -o` wrote it
    #[arg(
        short,
        long,
        env = "TENANTRY_DLQ_MANIFEST",
        value_name = "FILE",
        required_unless_present = "report"
    )]
    manifest: Option<PathBuf>,
    /// Do it
    #[arg(long, env = "TENANTRY_YES")]
    yes: bool,
    #[command(flatten)]
    people: People,
    /// How far the report looks ahead: 36h, 7d
    #[arg(long, env = "TENANTRY_DLQ_WITHIN", value_name = "TIME", default_value = "7d", value_parser = within)]
    within: i64,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    find: Find,
}

fn within(text: &str) -> Result<i64, String> {
    filter::since(text, Time(0))
        .map(|at| -at.0)
        .and_then(|ms| if ms >= 0 { Ok(ms) } else { Err("write 36h or 7d".into()) })
}

/// A topic.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Line {
    topic: Name,
    retention_ms: i64,
    letters: usize,
    /// Those that go in that time.
    going: usize,
    #[serde(with = "rfc3339")]
    oldest: Time,
    /// When the first one goes, at the earliest.
    #[serde(with = "rfc3339")]
    first: Time,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match &args.manifest {
        Some(manifest) => give_up(&args, &file::read(manifest)?).await,
        None => report(&args).await,
    }
}

/// What giving up came to.
#[derive(Debug, Serialize)]
struct GivenUp<'a> {
    manifest: &'a str,
    planned: usize,
    /// Given up now.
    expired: usize,
    /// Given up before.
    already: usize,
    /// Taken by retention before.
    gone: usize,
}

async fn give_up(args: &Args, manifest: &Manifest) -> anyhow::Result<ExitCode> {
    let options = args.find.bus()?;
    if args.yes {
        args.people.demand(manifest.count, false)?;
    }
    if args.find.fleet()? != manifest.fleet {
        let text = format!("the manifest is of fleet {}; name the right one", manifest.fleet);
        return Err(usage("manifest_foreign", text).into());
    }
    let wanted: BTreeMap<_, _> = manifest.letters.iter().map(|entry| (&entry.letter, entry)).collect();
    let topics = read::topics(&options, Scope::All).await?;
    let mut changed = None;
    let found = read::each(&options, topics, |letter| {
        let entry = wanted.get(&letter.id())?;
        if hex::encode(letter.digest()) != entry.digest {
            changed.get_or_insert(letter.id());
        }
        Some(letter.lies)
    });
    let read::Found { all: lie, expired, .. } = found.await?;
    if let Some(letter) = changed {
        let text = format!("{letter} is not what was planned; plan anew. Nothing was done");
        return Err(failed("letter_changed", text).into());
    }
    let there: BTreeSet<_> = lie.into_iter().collect();
    let open: Vec<_> = manifest.letters.iter().filter(|entry| there.contains(&entry.lies)).collect();
    let already = manifest.letters.iter().filter(|entry| expired.contains(&entry.letter)).count();
    let came = GivenUp {
        manifest: &manifest.digest,
        planned: manifest.count,
        expired: if args.yes { open.len() } else { 0 },
        already,
        gone: manifest.count - already - open.len(),
    };
    if args.yes && !open.is_empty() {
        let by: Vec<_> =
            manifest.verdicts.iter().map(|(verdict, n)| format!("{} {n}", verdict.as_str())).collect();
        let note = format!("{} of {} letters given up ({})", open.len(), manifest.count, by.join(", "));
        let deed = Deed { what: DeedKind::DlqExpired, digest: manifest.digest.clone(), note };
        let key = format!("expire.{}.{}", manifest.short(), args.people.digest());
        entry::once(&options, &args.people, &key, deed).await?;
        let mut producer = Kafka::new(options.clone()).producer().await.map_err(out::bus)?;
        for entry in &open {
            run::say(&mut producer, mark(entry, &manifest.digest)?).await?;
        }
    }
    if args.json {
        out::json(&came)?;
        return Ok(ExitCode::SUCCESS);
    }
    for line in plan::summary(manifest) {
        out::line(line);
    }
    let GivenUp { planned, expired, already, gone, .. } = came;
    if args.yes {
        out::line(format_args!("planned {planned} = given up {expired} + before {already} + gone {gone}"));
    } else {
        out::line(format_args!(
            "{} would be given up. Nothing was done. Add --yes to do it.",
            count(open.len(), "letter")
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The mark that gives this letter up, beside where it lies.
fn mark(entry: &Entry, batch: &str) -> Result<Outgoing, Refused> {
    let Origin { topic, partition, .. } = &entry.lies;
    let unknown = || failed("topic_unknown", format!("{topic} is no topic of the fleet; plan anew"));
    let topic = Topic::parse(topic).ok_or_else(unknown)?;
    let (key, headers) = letter::mark(&entry.letter, batch);
    let place = Place { topic, partition: *partition };
    Ok(Outgoing { place, key: Some(key), headers, value: None, tag: 0 })
}

async fn report(args: &Args) -> anyhow::Result<ExitCode> {
    let options = args.find.bus()?;
    let now = SystemClock::from_env()?.now();
    let found = topics::check(&options, &Worker::names()).await.map_err(out::bus)?;
    let short: BTreeMap<Name, i64> = found
        .into_iter()
        .filter(|difference| difference.code == "topic_retention")
        .filter_map(|difference| Some((difference.topic, kept(&difference.text)?)))
        .collect();
    let all = read::topics(&options, Scope::All).await?;
    let wanted: BTreeMap<Name, i64> = all
        .iter()
        .map(|topic| (topic.name(), topic.settings().retention_ms))
        .map(|(name, wanted)| (name.clone(), short.get(&name).copied().unwrap_or(wanted)))
        .collect();
    let mut ages: BTreeMap<Name, Vec<Time>> = BTreeMap::new();
    let found = read::each(&options, all, |letter| Some((letter.lies.topic, letter.aside))).await?;
    for (topic, aside) in found.all {
        ages.entry(topic).or_default().push(aside);
    }
    let lines: Vec<Line> = ages
        .into_iter()
        .filter_map(|(topic, ages)| line(wanted.get(&topic).copied()?, topic, &ages, now, args.within))
        .collect();
    if args.json {
        out::json(&serde_json::json!({"within_ms": args.within, "topics": lines}))?;
        return Ok(ExitCode::SUCCESS);
    }
    if lines.is_empty() {
        out::line("no letters");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = table::new(Style::detect(), &["TOPIC", "LETTERS", "GOING", "KEPT FOR", "FIRST GOES IN"]);
    for line in &lines {
        table.add_row([
            line.topic.to_string(),
            line.letters.to_string(),
            line.going.to_string(),
            duration(line.retention_ms),
            duration(line.first.since(now)),
        ]);
    }
    for line in table::lines(&mut table, 0) {
        out::line(line);
    }
    let going: usize = lines.iter().map(|line| line.going).sum();
    out::line(format_args!("{going} letters go within {}, at the earliest", duration(args.within)));
    Ok(ExitCode::SUCCESS)
}

fn line(retention_ms: i64, topic: Name, ages: &[Time], now: Time, within: i64) -> Option<Line> {
    let oldest = *ages.iter().min()?;
    let going = ages.iter().filter(|at| at.plus(retention_ms) <= now.plus(within)).count();
    Some(Line { topic, retention_ms, letters: ages.len(), going, oldest, first: oldest.plus(retention_ms) })
}

/// The number in `retention.ms is 604800000, wants 7776000000; raise it`.
fn kept(text: &str) -> Option<i64> {
    let rest = text.strip_prefix("retention.ms is ")?;
    rest.split(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_soon_is_counted_by_the_topics_own_retention() {
        const DAY: i64 = 86_400_000;
        let now = Time(100 * DAY);
        let ages = [Time(10 * DAY), Time(16 * DAY), Time(18 * DAY)];
        let line = line(90 * DAY, "t.dlq".into(), &ages, now, 7 * DAY).unwrap();
        assert_eq!((line.letters, line.going, line.first), (3, 2, Time(100 * DAY)));
        assert_eq!(kept("retention.ms is 604800000, wants 7776000000; raise it"), Some(604_800_000));
        assert_eq!(kept("retention.ms is nothing, wants 1; raise it"), None);
        assert_eq!((within("7d"), within("36h").is_ok()), (Ok(7 * DAY), true));
    }
}
