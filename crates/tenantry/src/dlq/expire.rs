//! `tenantry dlq expire --report`: which letters retention is about to take.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;
use tenantry_contracts::Time;
use tenantry_contracts::time::rfc3339;
use tenantry_kafka::topics;

use super::filter;
use super::read::{self, Scope};
use crate::clock::SystemClock;
use crate::fleet::Worker;
use crate::out;
use crate::settings::Find;
use crate::show::style::{Style, duration};
use crate::show::table;
use tenantry_ports::Clock;

/// Report which letters retention takes next, by topic
///
/// The topics' settings are compared with what the fleet asks for: a topic that keeps letters for less is reckoned with
/// what it has, one that keeps them for longer with what the fleet asks for, so that nothing goes earlier than is said here.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Report, and change nothing; there is no other way yet
    #[arg(long, env = "TENANTRY_DLQ_REPORT", required = true)]
    report: bool,
    /// How far to look ahead: 36h, 7d
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
    topic: String,
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
    let options = args.find.bus()?;
    let now = SystemClock::from_env()?.now();
    let found = topics::check(&options, &Worker::names()).await.map_err(out::bus)?;
    let short: BTreeMap<String, i64> = found
        .into_iter()
        .filter(|difference| difference.code == "topic_retention")
        .filter_map(|difference| Some((difference.topic, kept(&difference.text)?)))
        .collect();
    let all = read::topics(&options, Scope::All).await?;
    let wanted: BTreeMap<String, i64> = all
        .iter()
        .map(|topic| (topic.name(), topic.settings().retention_ms))
        .map(|(name, wanted)| (name.clone(), short.get(&name).copied().unwrap_or(wanted)))
        .collect();
    let mut ages: BTreeMap<String, Vec<Time>> = BTreeMap::new();
    read::each(&options, all, |letter| ages.entry(letter.lies.topic).or_default().push(letter.aside)).await?;
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
            line.topic.clone(),
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

fn line(retention_ms: i64, topic: String, ages: &[Time], now: Time, within: i64) -> Option<Line> {
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
