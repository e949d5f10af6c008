//! The demo's last words: what was seen, and what to try next.

use super::Demo;
use crate::show::Style;
use crate::show::code::Outcome;
use crate::show::style::wrap;

/// What to try next.
pub(super) fn lines(demo: &Demo<'_>, outcome: Outcome, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    match outcome {
        Outcome::Done => lines.extend(wrap("One event became a tenant of its own, and everything about it is on record.", 0)),
        Outcome::RolledBack => lines.extend(wrap(
            "The step failed when its schema, its role and its tables stood already; everything was undone, newest \
             first, and nothing of it is left.",
            0,
        )),
        Outcome::Rejected => {
            lines.extend(wrap("The first step said no, so nothing was made: upstream reads the code and the reason.", 0));
        }
        Outcome::Parked => lines.extend(wrap(
            "Behind the point of no return nothing is undone: the tenant is HELD until a person acts. It is mended at \
             the next start, when the fault is gone, with the retry below.",
            0,
        )),
        Outcome::Timeout => {}
    }
    let slug = &demo.sample.slug;
    lines.push(String::new());
    let elsewhere = crate::settings::Where::default().data_dir() != demo.home
        && std::env::var_os("TENANTRY_DATA_DIR").is_none();
    lines.push(style.bold("Next"));
    if elsewhere {
        let text = format!("export TENANTRY_DATA_DIR={}", demo.home.display());
        lines.push(format!("   {text:<47} {}", style.dim("where this fleet is")));
    }
    let mut tip = |command: String, why: &str| lines.push(format!("   {command:<47} {}", style.dim(why)));
    if !demo.args.stay {
        tip("tenantry up &".into(), "the same fleet, to stay");
    }
    if outcome == Outcome::Parked {
        tip(format!("tenantry tenant retry {slug} -r mended --yes -w"), "go on");
    }
    tip("tenantry request --name \"Acme Corp\" --watch".into(), "ask for a tenant");
    tip("tenantry tenant ls".into(), "all tenants");
    tip(format!("tenantry tenant timeline {slug}"), "what happened");
    tip("tenantry audit verify".into(), "the proof again");
    if demo.args.fail.is_none() {
        tip("tenantry demo --fail database".into(), "everything undone");
    }
    match demo.args.stay {
        true => tip(format!("kill -9 {}; tenantry demo", demo.running.pid), "it finishes what was begun"),
        false => tip("tenantry demo --stay".into(), "then kill -9, and again"),
    }
    lines
}
