//! What a person reads: the limit line, the cases, and how they stand against what was kept.

use super::figures::{Figures, Limits, Report};
use crate::out;
use crate::show::{Style, table};

pub(super) fn report(report: &Report, baseline: Option<&Report>) {
    let style = Style::detect();
    let several = match report.coordinators {
        1 => String::new(),
        more => format!(", {more} coordinators"),
    };
    out::line(format_args!(
        "saga-12 on the {} broker, {} lanes{several}, producer {}, linger {} ms, medians of {}",
        report.broker, report.lanes, report.producer, report.linger_ms, report.repeats
    ));
    if report.limits != Limits::default() {
        out::line(limit_line(&report.limits));
    }
    if let Some(filled) = &report.finished {
        out::line(filled);
    }
    for figures in &report.cases {
        out::line("");
        out::line(style.title(&head(figures)));
        let before = baseline.and_then(|kept| kept.cases.iter().find(|kept| kept.case == figures.case));
        let mut rows = match before {
            None => table::new(style, &["figure", "now"]),
            Some(_) => table::new(style, &["figure", "now", "kept", "ratio"]),
        };
        for (at, (name, now, more)) in figures.compared().into_iter().enumerate() {
            let mut row = vec![name.to_owned(), number(now)];
            if let Some(before) = before {
                let (_, was, _) = before.compared()[at];
                row.extend([number(was), ratio(now, was, more)]);
            }
            rows.add_row(row);
        }
        for line in table::lines(&mut rows, 2) {
            out::line(line);
        }
        let mut processes = table::new(style, &["process", "CPU s per 1,000", "MiB"]);
        for process in &figures.processes {
            processes.add_row([
                process.name.clone(),
                format!("{:.3}", process.cpu_s_per_1000),
                format!("{:.0}", process.rss_mib),
            ]);
        }
        for line in table::lines(&mut processes, 2) {
            out::line(line);
        }
    }
    out::line("");
    out::line(format_args!(
        "every outcome was as it must be; the audit verified: {} records in {} chains",
        report.audit_records, report.audit_chains
    ));
}

fn head(figures: &Figures) -> String {
    let how = figures.in_flight.map_or_else(String::new, |in_flight| format!(", {in_flight} in flight"));
    format!(
        "{}: {} sagas{how}, {} active, {} rolled back",
        figures.case, figures.sagas, figures.active, figures.rolled_back
    )
}

fn limit_line(limits: &Limits) -> String {
    format!(
        "limits here: {:.0} one-row commits/s by one client, {:.0} by 64; fdatasync {:.2} ms (p99 {:.2}); loopback {:.0} us; \
         the broker takes {:.0} records/s; a paced hop {:.2} ms (p99 {:.2})",
        limits.commits_per_s_1,
        limits.commits_per_s_64,
        limits.fdatasync_p50_ms,
        limits.fdatasync_p99_ms,
        limits.loopback_us,
        limits.produced_per_s,
        limits.hop_p50_ms,
        limits.hop_p99_ms,
    )
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Now against then, and which of the two is better.
fn ratio(now: f64, was: f64, more_is_better: bool) -> String {
    if was == 0.0 {
        return "-".to_owned();
    }
    let ratio = now / was;
    let word = match (ratio, more_is_better) {
        (ratio, _) if (0.97..=1.03).contains(&ratio) => "",
        (ratio, more) if (ratio > 1.0) == more => " better",
        _ => " worse",
    };
    format!("{ratio:.2}{word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_says_which_way_is_better() {
        assert_eq!(ratio(2.0, 1.0, true), "2.00 better");
        assert_eq!(ratio(2.0, 1.0, false), "2.00 worse");
        assert_eq!(ratio(1.01, 1.0, false), "1.01");
        assert_eq!(ratio(1.0, 0.0, true), "-");
    }
}
