//! A dry run, for people.

use tenantry_contracts::Json;
use tenantry_contracts::steps::{capacity, policy, quota};

use super::foreseen::{Foreseen, Row, Will};
use crate::show::Style;

/// What it prints.
pub(super) fn lines(plan: &Foreseen, style: Style) -> Vec<String> {
    let mut lines = vec![format!("{}  {}", style.title(&plan.slug), style.dim(&plan.environment))];
    let mut fact = |name: &str, value: &str| lines.push(format!("  {name:<10} {value}"));
    if !plan.plan.is_empty() {
        fact("plan", &short(&plan.plan));
        fact("template", &plan.template.as_deref().map_or_else(|| "none".to_owned(), short));
    }
    if let Some(preset) = &plan.preset {
        fact("failures", &format!("preset {preset}"));
    }
    for assumed in &plan.assumed {
        fact("assumed", &format!("{} = {} ({})", assumed.field, assumed.value, assumed.why));
    }
    if !plan.rows.is_empty() {
        lines.push(String::new());
    }
    for row in &plan.rows {
        let word = word(row, style);
        let about = about(row).unwrap_or_default();
        lines.push(format!("  {word} {:<24} {}", row.row, style.dim(&about)).trim_end().to_owned());
        if let Some(trouble) = &row.trouble {
            lines.extend(trouble.lines(style, 6));
        }
    }
    if let Some(refusal) = &plan.refusal {
        lines.extend(refusal.lines(style, 2));
    }
    lines.push(String::new());
    lines.push(match &plan.estimate {
        Some(of) => format!(
            "  takes about {}, nine of ten within {} (of the last {}); people at gates come on top",
            seconds(of.p50_ms),
            seconds(of.p90_ms),
            of.of
        ),
        None => "  no tenant of this plan has been made yet, so nobody knows how long it takes".to_owned(),
    });
    lines.push(format!("  {} {}", style.dim("digest"), plan.digest));
    lines.push(
        "  nothing was written; publish exactly this with `tenantry request -f ... --plan <digest>`"
            .to_owned(),
    );
    lines
}

/// What will become of the row, in a column of ten.
fn word(row: &Row, style: Style) -> String {
    let (word, paint): (&str, fn(Style, &str) -> String) = match row.will {
        Will::Create => ("create", Style::green),
        Will::Adopt => ("adopt", Style::green),
        Will::Change => ("change", Style::yellow),
        Will::Refuse => ("REFUSE", Style::red),
        Will::Conflict => ("CONFLICT", Style::red),
        Will::Ask => ("ask", Style::yellow),
        Will::Later => ("then", Style::dim),
    };
    paint(style, &format!("{word:<10}"))
}

/// What a reader wants to know about the row.
fn about(row: &Row) -> Option<String> {
    if let Some(role) = row.role {
        return Some(format!("{role} decides"));
    }
    if !row.differences.is_empty() {
        return Some(row.differences.join(", "));
    }
    let output = row.output.as_ref()?;
    match row.row {
        "policy" => {
            let decided: policy::Output = output.read().ok()?;
            Some(format!("allowed by {} ({})", decided.engine, decided.decision))
        }
        "capacity" => {
            let reserved: capacity::Reserved = output.read().ok()?;
            let parts: Vec<_> =
                reserved.parts.iter().map(|part| format!("{} {}", part.pool, part.amount)).collect();
            Some(parts.join(", "))
        }
        "quota" => {
            let quota: quota::Output = output.read().ok()?;
            Some(format!("{}: {} requests a day, {} seats", quota.tier, quota.requests_per_day, quota.seats))
        }
        _ => names(output),
    }
}

/// The names that a step would make.
fn names(output: &Json) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Names {
        database: Option<String>,
        schema: Option<String>,
        bucket: Option<String>,
        region: Option<String>,
    }
    let names: Names = output.read().ok()?;
    let parts = [names.database, names.schema, names.bucket, names.region];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some(text)
}

/// Digests in full are for programs.
fn short(text: &str) -> String {
    match text.split_once("sha256:") {
        Some((name, digest)) => format!("{name}sha256:{}", digest.get(..12).unwrap_or(digest)),
        None => text.to_owned(),
    }
}

fn seconds(ms: i64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1000, ms % 1000 / 100) }
}
