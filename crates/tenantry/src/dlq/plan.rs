//! `tenantry dlq plan`: freezes letters into a manifest, with a verdict for each.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;

use super::article::{Article, Subject};
use super::filter::Filter;
use super::manifest::{Entry, Manifest};
use super::read::{self, Scope};
use super::verdict::Verdict;
use crate::frozen::file;
use crate::frozen::house::House;
use crate::out::{self, failed};
use crate::request::user;
use crate::settings::Find;
use crate::show::style::{Style, count};

/// Freeze letters into a manifest, each with what would answer it
///
/// Nothing is published. The manifest holds the letters' ids and digests and its own; `tenantry dlq replay` answers those
/// and no others, however many arrive in between.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Example:\n  tenantry dlq plan --filter code=misconfigured,worker=database,since=2h -o m.json"
)]
pub(super) struct Args {
    /// Which: build, class, code, letter, row, since, step, tenant, topic, worker; different ones must all hold
    #[arg(long, env = "TENANTRY_DLQ_FILTER", value_name = "WORD=VALUE,...", default_value = "")]
    filter: Filter,
    /// Where to write the manifest; a new file [default: the standard output]
    #[arg(short, long, env = "TENANTRY_DLQ_OUTPUT", value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    find: Find,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut house = House::open(&args.find).await?;
    let articles = articles(&house, &args.filter).await?;
    if articles.is_empty() {
        let text = "no letter is meant by that filter; see `tenantry dlq ls`";
        return Err(failed("no_letters", text).into());
    }
    house.learn(&articles).await?;
    let mut letters = Vec::new();
    for article in &articles {
        let (judged, past) = house.judge(article).await?;
        letters.push(Entry {
            letter: article.letter.id(),
            lies: article.letter.lies.clone(),
            digest: article.digest.clone(),
            verdict: judged.verdict,
            why: judged.why,
            key: order(article),
            code: article.letter.code_text.clone(),
            step: article.step.clone(),
            question: match &article.subject {
                Subject::Command(question, _) => question.clone(),
                Subject::Answer(Ok(answer)) => Some(answer.question.clone()),
                _ => None,
            },
            version: past.map(|past| past.tenant.version),
            request: article.request().cloned(),
        });
    }
    let file = args.output.clone().unwrap_or_else(|| "m.json".into());
    let run = |_| {
        let file = file.display();
        format!("tenantry dlq replay --manifest {file} --rate 5/s --max-failures 3 --reason TICKET --yes")
    };
    let fleet = house.fleet.clone();
    let manifest = Manifest::of(fleet, house.now(), user(), args.filter.to_string(), letters, run);
    let Some(path) = &args.output else {
        out::json(&manifest)?;
        return Ok(ExitCode::SUCCESS);
    };
    file::write(&manifest, path)?;
    let style = Style::detect();
    let letters = count(manifest.count, "letter");
    out::line(format_args!(
        "{}  {letters}  {}",
        style.title(&path.display().to_string()),
        style.dim(manifest.short())
    ));
    for line in summary(&manifest) {
        out::line(line);
    }
    out::line(format_args!("run it:  {}", manifest.run));
    Ok(ExitCode::SUCCESS)
}

/// The letters that are meant, without their values.
pub(super) async fn articles(house: &House, filter: &Filter) -> anyhow::Result<Vec<Article>> {
    let topics = read::topics(&house.options, Scope::All).await?;
    let now = house.now();
    let found = read::each(&house.options, topics, |letter| {
        let article = Article::of(letter, house.lanes);
        filter.fits(&article, now).then_some(article)
    });
    Ok(found.await?.all)
}

/// How many letters have each verdict, and what is done with them.
pub(super) fn summary(manifest: &Manifest) -> Vec<String> {
    let line = |verdict: &Verdict| {
        let number = manifest.verdicts.get(verdict)?;
        let what = match verdict {
            Verdict::AskAfresh => "the coordinator asks again, with a new token",
            Verdict::Replay => "the raw record goes back to its topic",
            Verdict::NeedsEdit => "left alone: `tenantry dlq edit`",
            Verdict::Poison => "left alone: see `tenantry dlq show`",
            _ => "left alone: answered since",
        };
        Some(format!("{number:>6}  {:<15}  {what}", verdict.as_str()))
    };
    Verdict::ALL.iter().filter_map(line).collect()
}

/// What keeps order: the tenant where there is one, else the slug or key, else the letter alone.
fn order(article: &Article) -> String {
    let tenant = || article.tenant().map(|tenant| tenant.to_string());
    article.slug.clone().or_else(tenant).unwrap_or_else(|| article.letter.id().to_string())
}
