//! `tenantry dlq ls`: letters in groups, with what would answer them.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};
use serde::Serialize;
use tenantry_contracts::Time;
use tenantry_contracts::time::rfc3339;

use super::article::Article;
use super::filter::{self, Filter};
use super::read::{self, Scope};
use super::verdict::{Judged, Verdict};
use crate::frozen::house::House;
use crate::out::{self, plain};
use crate::settings::Find;
use crate::show::style::{Style, count, duration};
use crate::show::table;

/// List letters in groups: how many, how many nobody answered yet, and how old the oldest is
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// By what
    #[arg(short, long, env = "TENANTRY_DLQ_GROUP", value_enum, default_value = "code")]
    group: Group,
    /// Only letters of this topic; may be repeated
    #[arg(long = "topic", env = "TENANTRY_DLQ_TOPICS", value_name = "TOPIC", value_delimiter = ',')]
    topics: Vec<String>,
    /// Only letters put aside since then: 90s, 30m, 2h, 7d, or a time
    #[arg(long, env = "TENANTRY_DLQ_SINCE", value_name = "AGE|TIME", value_parser = age)]
    since: Option<String>,
    /// Only these, as in `tenantry dlq plan --help`
    #[arg(long, env = "TENANTRY_DLQ_FILTER", value_name = "WORD=VALUE,...", default_value = "")]
    filter: Filter,
    /// Print one JSON document, with every letter
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    find: Find,
}

fn age(text: &str) -> Result<String, String> {
    filter::since(text, Time(0)).map(|_| text.to_owned())
}

/// What letters are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    Code,
    Step,
    Tenant,
    Build,
    Age,
    Topic,
    /// Not at all: one line for each letter.
    Letter,
}

/// A group.
#[derive(Debug, Serialize)]
struct Line {
    group: String,
    letters: usize,
    /// Those that somebody must still act on.
    open: usize,
    /// Those that were answered since.
    answered: usize,
    #[serde(with = "rfc3339")]
    oldest: Time,
    verdicts: BTreeMap<Verdict, usize>,
}

/// A letter in the JSON document.
#[derive(Debug, Serialize)]
struct Item {
    letter: String,
    lies: String,
    #[serde(with = "rfc3339")]
    aside: Time,
    code: String,
    class: String,
    summary: String,
    build: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    verdict: Verdict,
    why: String,
}

#[derive(Debug, Serialize)]
struct Listing {
    groups: Vec<Line>,
    letters: Vec<Item>,
    /// Records in these topics that are no letters of the fleet.
    strange: usize,
    /// Letters in these topics that were given up, and are not listed.
    expired: usize,
}

pub(super) async fn run(args: Args, scope: Scope) -> anyhow::Result<ExitCode> {
    let mut house = House::open(&args.find).await?;
    let now = house.now();
    let filter = args.filter.clone().with("topic", &args.topics);
    let filter = filter.with("since", args.since.as_slice());
    let topics = read::topics(&house.options, scope).await?;
    let found = read::each(&house.options, topics, |letter| {
        let article = Article::of(letter, house.lanes);
        filter.fits(&article, now).then_some(article)
    });
    let read::Found { all: articles, strange, expired } = found.await?;
    house.learn(&articles).await?;
    let mut judged = Vec::with_capacity(articles.len());
    for article in articles {
        let (verdict, _) = house.judge(&article).await?;
        judged.push((article, verdict));
    }
    let groups = groups(&judged, args.group, now);
    if args.json {
        let letters = judged.iter().map(|(article, judged)| item(article, judged)).collect();
        out::json(&Listing { groups, letters, strange, expired: expired.len() })?;
        return Ok(ExitCode::SUCCESS);
    }
    for line in lines(&groups, args.group, now, Style::detect()) {
        out::line(line);
    }
    if !expired.is_empty() {
        out::line(format_args!("{} given up before, and not listed", count(expired.len(), "letter")));
    }
    if strange > 0 {
        out::line(format_args!("{} of somebody else in these topics", count(strange, "record")));
    }
    Ok(ExitCode::SUCCESS)
}

fn groups(judged: &[(Article, Judged)], group: Group, now: Time) -> Vec<Line> {
    let mut all: BTreeMap<String, Line> = BTreeMap::new();
    for (article, judged) in judged {
        let letter = &article.letter;
        let name = match group {
            Group::Code => letter.code_text.clone(),
            Group::Step => article.step.clone().unwrap_or_else(|| letter.record.topic.name().into_owned()),
            Group::Tenant => {
                let id = || article.tenant().map(|id| id.to_string());
                article.slug.clone().or_else(id).unwrap_or_else(|| "(none)".to_owned())
            }
            Group::Build => letter.build.clone(),
            Group::Age => bucket(now.since(letter.aside)).to_owned(),
            Group::Topic => letter.record.topic.name().into_owned(),
            Group::Letter => letter.id().to_string(),
        };
        let line = all.entry(name.clone()).or_insert_with(|| Line {
            group: name,
            letters: 0,
            open: 0,
            answered: 0,
            oldest: letter.aside,
            verdicts: BTreeMap::new(),
        });
        line.letters += 1;
        line.open += usize::from(!judged.verdict.answered());
        line.answered += usize::from(judged.verdict.answered());
        line.oldest = line.oldest.min(letter.aside);
        *line.verdicts.entry(judged.verdict).or_default() += 1;
    }
    let mut lines: Vec<_> = all.into_values().collect();
    if group != Group::Age && group != Group::Letter {
        lines.sort_by_key(|line| (std::cmp::Reverse(line.open), std::cmp::Reverse(line.letters)));
    }
    lines
}

/// An age in few words, that sort as they are old.
fn bucket(ms: i64) -> &'static str {
    const HOUR: i64 = 3_600_000;
    let buckets = [
        (HOUR, "1: under 1 h"),
        (24 * HOUR, "2: under 1 d"),
        (7 * 24 * HOUR, "3: under 7 d"),
        (30 * 24 * HOUR, "4: under 30 d"),
    ];
    buckets.into_iter().find(|(most, _)| ms < *most).map_or("5: older", |(_, name)| name)
}

fn lines(groups: &[Line], group: Group, now: Time, style: Style) -> Vec<String> {
    if groups.is_empty() {
        return vec!["no letters".to_owned()];
    }
    let heading = format!("{group:?}").to_uppercase();
    let mut table =
        table::new(style, &[&heading, "LETTERS", "OPEN", "ANSWERED", "OLDEST", "WHAT WOULD ANSWER THEM"]);
    for line in groups {
        let verdicts = Verdict::ALL.iter().filter_map(|verdict| {
            line.verdicts.get(verdict).map(|number| format!("{} {number}", verdict.as_str()))
        });
        table.add_row([
            plain(&line.group),
            line.letters.to_string(),
            line.open.to_string(),
            line.answered.to_string(),
            duration(now.since(line.oldest)),
            verdicts.collect::<Vec<_>>().join(", "),
        ]);
    }
    table::lines(&mut table, 0)
}

fn item(article: &Article, judged: &Judged) -> Item {
    let letter = &article.letter;
    Item {
        letter: letter.id().to_string(),
        lies: letter.lies.to_string(),
        aside: letter.aside,
        code: letter.code_text.clone(),
        class: letter.class.clone(),
        summary: letter.summary.clone(),
        build: letter.build.clone(),
        step: article.step.clone(),
        tenant: article.slug.clone().or_else(|| article.tenant().map(|id| id.to_string())),
        verdict: judged.verdict,
        why: judged.why.clone(),
    }
}
