//! `tenantry dlq show`: one letter, decoded, with what happened around it and what would answer it.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::Value;
use tenantry_contracts::headers::Name;
use tenantry_contracts::time::rfc3339;
use tenantry_contracts::{Origin, State, Time, Token, Topic};

use super::article::{Article, Subject};
use super::mask;
use super::read::{self, Scope};
use super::verdict::{Judged, Verdict};
use crate::frozen::house::House;
use crate::frozen::past::Past;
use crate::out;
use crate::settings::Find;
use crate::show::style::{Style, duration, wrap};
use crate::show::timeline::{self, Told};
use crate::show::trouble::Trouble;

/// How many rows of the tenant's history are shown before and after.
const AROUND: usize = 2;

/// Show one letter: decoded, masked, with its tenant's history around it and what would answer it
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The letter's id: where its record was heard, topic/partition/offset
    #[arg(value_name = "LETTER")]
    letter: Origin,
    /// Show personal data too; what is sealed stays sealed
    #[arg(long, env = "TENANTRY_REVEAL")]
    reveal: bool,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    find: Find,
}

/// What is shown.
#[derive(Serialize)]
struct Shown<'a> {
    letter: String,
    lies: String,
    #[serde(with = "rfc3339")]
    heard: Time,
    #[serde(with = "rfc3339")]
    aside: Time,
    code: &'a str,
    class: &'a str,
    summary: &'a str,
    group: &'a str,
    build: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    headers: Vec<(&'a str, String)>,
    value: Value,
    digest: &'a str,
    /// Why it cannot be read now either; absent where it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Trouble>,
    verdict: Verdict,
    why: &'a str,
    /// The command that helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<Of<'a>>,
}

/// The tenant around it.
#[derive(Serialize)]
struct Of<'a> {
    id: String,
    slug: &'a str,
    state: State,
    #[serde(with = "rfc3339")]
    since: Time,
    version: i64,
    timeline: &'a [Told],
}

pub(super) async fn run(args: Args, scope: Scope) -> anyhow::Result<ExitCode> {
    let mut house = House::open(&args.find).await?;
    let letter = read::one(&house.options, scope, &args.letter).await?;
    let value = letter.record.value.clone();
    let article = Article::of(letter, house.lanes);
    house.learn(std::slice::from_ref(&article)).await?;
    let (judged, past) = house.judge(&article).await?;
    // Commands and answers in the fleet's own closed shape carry what is personal sealed.
    let internal = matches!(article.letter.record.topic, Topic::Commands(_) | Topic::Results);
    let value = mask::value(value.as_ref(), internal && article.refusal().is_none(), args.reveal);
    let shown = shown(&article, value, &judged, past.as_ref(), args.reveal);
    if args.json {
        out::json(&shown)?;
    } else {
        for line in lines(&shown, house.now(), Style::detect()) {
            out::line(line);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn shown<'a>(
    article: &'a Article,
    value: Value,
    judged: &'a Judged,
    past: Option<&'a Past>,
    reveal: bool,
) -> Shown<'a> {
    let letter = &article.letter;
    let record = &letter.record;
    let header = |(name, value): &'a (Name, bytes::Bytes)| (name.as_ref(), mask::header(name, value, reveal));
    let id = letter.id();
    let next = match judged.verdict {
        Verdict::AskAfresh | Verdict::Replay => {
            Some(format!("tenantry dlq plan --filter letter={id} -o m.json"))
        }
        Verdict::NeedsEdit => Some(format!("tenantry dlq edit {id} --reason TICKET")),
        _ => None,
    };
    Shown {
        letter: id.to_string(),
        lies: letter.lies.to_string(),
        heard: record.at,
        aside: letter.aside,
        code: &letter.code_text,
        class: &letter.class,
        summary: &letter.summary,
        group: &letter.group,
        build: &letter.build,
        // A key is a slug, or it is not ours and may be anything.
        key: article.slug.clone().or_else(|| record.key.as_ref().map(|key| format!("({} bytes)", key.len()))),
        headers: record.headers.iter().map(header).collect(),
        value,
        digest: &article.digest,
        now: article.refusal().map(Trouble::from),
        verdict: judged.verdict,
        why: &judged.why,
        next,
        tenant: past.map(|past| Of {
            id: past.tenant.id.to_string(),
            slug: past.tenant.request.slug.as_str(),
            state: past.tenant.state,
            since: past.tenant.since,
            version: past.tenant.version,
            timeline: around(article, past),
        }),
    }
}

/// The rows around the question and its answer.
fn around<'a>(article: &Article, past: &'a Past) -> &'a [Told] {
    let (row, token) = match &article.subject {
        Subject::Command(Some(question), _) => (question.row.as_str(), question.token),
        Subject::Answer(Ok(answer)) => (answer.question.row.as_str(), answer.question.token),
        _ => ("", Token(0)),
    };
    let last = past.told.len();
    let at = |n: i64| past.told.iter().position(|told| told.n == n);
    let from = at(token.0).unwrap_or(last.saturating_sub(1));
    let to = past.heard(row, token).and_then(|heard| at(heard.n)).unwrap_or(from);
    &past.told[from.saturating_sub(AROUND)..(to + AROUND + 1).min(last)]
}

fn lines(shown: &Shown<'_>, now: Time, style: Style) -> Vec<String> {
    let mut lines = vec![format!("{}  {}", style.title(&shown.letter), style.red(shown.code))];
    let mut row = |name: &str, text: &str| lines.push(format!("  {name:<10}{}", out::plain(text)));
    row("why", shown.summary);
    row("lies", &shown.lies);
    row("aside", &format!("{} ({} ago)", shown.aside, duration(now.since(shown.aside))));
    row("heard", &shown.heard.to_string());
    row("by", &format!("{}, build {}, class {}", shown.group, shown.build, shown.class));
    row("key", shown.key.as_deref().unwrap_or("(none)"));
    row("digest", shown.digest);
    lines.push("headers".into());
    lines.extend(
        shown.headers.iter().map(|(name, value)| format!("  {}  {}", out::plain(name), out::plain(value))),
    );
    lines.push("value".into());
    let text = serde_json::to_string_pretty(&shown.value).unwrap_or_default();
    lines.extend(text.lines().map(|line| format!("  {line}")));
    match &shown.now {
        Some(trouble) => {
            lines.push("read again now".into());
            lines.extend(trouble.lines(style, 2));
        }
        None => lines.push("read again now: it can be read".into()),
    }
    if let Some(tenant) = &shown.tenant {
        let Of { slug, state, since, version, .. } = tenant;
        let since = duration(now.since(*since));
        lines.push(format!("tenant  {}  {state} for {since}, version {version}", style.bold(slug)));
        lines.extend(timeline::lines(style, tenant.timeline));
    }
    lines.push(format!("verdict  {}", style.bold(shown.verdict.as_str())));
    lines.extend(wrap(shown.why, 2));
    lines.extend(shown.next.iter().map(|next| format!("  next: {next}")));
    lines
}
